"""Refusals that every backend shares."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ...formulation import Configuration, EdgePlanError, UnsupportedError, capped
from ..segments import SegmentFiles
from .base import Backend


def check_form(backend: Backend, configuration: Configuration) -> None:
    """Refuse a session form that the backend does not have."""
    if configuration.form not in backend.forms:
        raise UnsupportedError(
            f"configuration {configuration.name}",
            expected=f"one of the forms {capped(backend.forms)}",
            got=configuration.form,
            remedy="Correct the form.",
        )


def check_cores(configuration: Configuration, cores: tuple[int, ...]) -> None:
    """Refuse more threads than cores; one thread runs wherever it is called from."""
    if configuration.threads > max(len(cores), 1):
        raise UnsupportedError(
            f"configuration {configuration.name}",
            expected=f"at least {configuration.threads} cores",
            got=f"cores {capped(cores) or 'none'}",
            remedy="Give the segment as many cores as it has threads.",
        )


@contextlib.contextmanager
def refused(backend: str, segment: SegmentFiles) -> Iterator[None]:
    """Say which segment a runtime would not take, whatever it raises: runtimes' exceptions share no base."""
    try:
        yield
    except (EdgePlanError, MemoryError):
        raise
    except Exception as error:
        raise UnsupportedError(
            f"segment {segment.label} of {segment.source.parent.name} on {backend}",
            expected="a submodel that the runtime can open",
            got=" ".join(str(error).split())[:300],
            remedy="Plan without this backend, or cut elsewhere.",
        ) from error
