"""What a runtime of tenants refuses: cores and settings before it opens anything, and requests that fit no model."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ...formulation import InferenceError, PlatformError, UnsupportedError, capped
from .lanes import Emulation
from .models import TenantModel


def available_cores() -> set[int]:
    """Cores that this process may use, also where the calling thread is held to some of them."""
    found: list[set[int]] = []

    def ask() -> None:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        found.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return found[0]


def check_cores(accelerator_cores: Sequence[int], cpu_cores: Sequence[int], wanted: int) -> None:
    """Refuse cores that are not there, named twice, or too few; `wanted` is what the problem has for suffixes.

    Raises
    ------
    PlatformError
    """
    there = available_cores()
    named = [*accelerator_cores, *cpu_cores]
    missing = sorted(set(named) - there)
    if missing or len(set(named)) < len(named) or not accelerator_cores or len(cpu_cores) < wanted:
        raise PlatformError(
            "cores of the emulated accelerator and of the CPU",
            expected=f"cores of {capped(sorted(there))}, each once, one or more for the accelerator and {wanted} or "
            "more for the CPU",
            got=f"{capped(accelerator_cores) or 'none'} for the accelerator, {capped(cpu_cores) or 'none'} for the CPU",
            remedy="Name cores that this process may use.",
        )


def check_emulation(emulation: Emulation, accelerator_cores: Sequence[int]) -> None:
    """Refuse settings of the emulation that make no sense.

    Raises
    ------
    UnsupportedError
        An unknown kind of service, or a time scale that does not go with it.
    PlatformError
        Fewer cores than threads.
    """
    if emulation.service not in ("run", "table") or not 0 < emulation.time_scale < float("inf"):
        raise UnsupportedError(
            "emulation",
            expected="service 'run' or 'table', and a time scale of more than 0",
            got=f"{emulation.service!r}, {emulation.time_scale:g}",
            remedy="Correct the emulation's settings.",
        )
    if emulation.service == "table" and emulation.time_scale != 1:
        raise UnsupportedError(
            "emulation",
            expected="time scale 1 with a table of service times, which says how fast the accelerator is",
            got=f"{emulation.time_scale:g}",
            remedy="Scale the table's own times.",
        )
    if emulation.accelerator.threads > len(accelerator_cores):
        raise PlatformError(
            "cores of the emulated accelerator",
            expected=f"{emulation.accelerator.threads} for as many threads",
            got=capped(accelerator_cores),
            remedy="Reserve more cores, or run prefixes on fewer threads.",
        )


def misfit(model: TenantModel, feeds: Mapping[str, np.ndarray]) -> InferenceError | None:
    """What is wrong with the names of a request's inputs; None where they are the model's."""
    wanted = {name for name, _ in model.graph.inputs}
    if set(feeds) == wanted:
        return None
    return InferenceError(
        f"request for tenant {model.name!r}",
        expected=f"inputs {capped(sorted(wanted))}",
        got=capped(sorted(feeds)) or "none",
        remedy="Name every input of the model and no other.",
    )


def unknown_tenant(tenant: str, known: Iterable[str]) -> InferenceError:
    """The error for a request of a tenant that is not served."""
    return InferenceError(
        f"request for tenant {tenant!r}",
        expected=f"one of {capped(known)}",
        got=repr(tenant),
        remedy="Add the tenant to the problem and allocate again.",
    )
