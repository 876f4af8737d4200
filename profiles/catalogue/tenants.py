"""Tenants and accelerators of the catalogue, ready for a problem."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal

import numpy as np

from ...formulation import Accelerator, CoCompiledResidency, ModelError, PlatformError, Tenant, TokenResidency, capped
from .architectures import architecture
from .data import Device, Figure, ModelEntry, accelerator_entries, entries, experiments, sources
from .split import MIB, MOST_POINTS, Totals, split

Cpu = Literal["embedded", "desktop"]
DEVICES: tuple[Device, ...] = ("desktop-cpu", "desktop-tpu", "embedded-cpu", "board-tpu")
_CPU: dict[Cpu, Device] = {"embedded": "embedded-cpu", "desktop": "desktop-cpu"}
_TPU: dict[Cpu, Device] = {"embedded": "board-tpu", "desktop": "desktop-tpu"}


def names() -> tuple[str, ...]:
    """Names of all models of the catalogue."""
    return tuple(sorted(entries()))


def measured_names() -> tuple[str, ...]:
    """Names of the models that were measured as tenants of the accelerator."""
    return tuple(name for name in names() if entries()[name].measured is not None)


def accelerator_names() -> tuple[str, ...]:
    """Names of all accelerators of the catalogue."""
    return tuple(sorted(accelerator_entries()))


def accelerator(name: str) -> Accelerator:
    """An accelerator of the catalogue.

    Raises
    ------
    PlatformError
        The catalogue has no such accelerator.
    """
    found = accelerator_entries()
    key = _plain(name)
    if key not in found:
        raise PlatformError(
            f"accelerator {name!r}",
            expected=f"one of {capped(accelerator_names())}",
            got="none of them",
            remedy="Correct the name, or describe the device.",
        )
    figures = found[key].figures
    shared = found[key].residency == "co_compiled"
    cited = _cited(figure for _, figure in figures if isinstance(figure, Figure))
    return Accelerator(
        name=key,
        weight_capacity_bytes=int(figures.weight_capacity.value),  # pyright: ignore[reportArgumentType] a ByteSize is an int
        residency=CoCompiledResidency() if shared else TokenResidency(),
        reload_fixed_us=figures.reload_fixed.value,
        reload_us_per_byte=figures.reload_per_mib.value / MIB,
        streaming_fixed_us=figures.streaming_fixed.value,
        streaming_us_per_byte=figures.streaming_per_mib.value / MIB,
        handover_us_per_byte=figures.handover_per_mib.value / MIB,
        source=cited,
    )


def official_latency_us(model: str, device: str) -> float:
    """The vendor's latency of one model alone, µs.

    Parameters
    ----------
    model : str
    device : {'desktop-cpu', 'desktop-tpu', 'embedded-cpu', 'board-tpu'}

    Raises
    ------
    ModelError
        No such model, or no figure for it.
    PlatformError
        No such device.
    """
    if device not in DEVICES:
        raise PlatformError(
            f"device {device!r}",
            expected=f"one of {', '.join(DEVICES)}",
            got="none of them",
            remedy="Correct the name.",
        )
    name, entry = _entry(model)
    for key, figure in entry.latency.items():
        if key == device:
            return figure.value
    raise ModelError(
        f"official latency of {name!r} on {device!r}",
        expected="a published figure",
        got=f"figures for {capped(sorted(entry.latency)) or 'no device'}",
        remedy="Use `tenant`, which estimates what is not published.",
    )


def tenant(model: str, name: str | None = None, *, cpu: Cpu = "embedded", points: int | None = None) -> Tenant:
    """A model of the catalogue as a tenant of the catalogue's accelerator, with costs at its partition points.

    The last point has the measured totals; what lies between is split by the rule in docs/catalogue.md, so the basis is
    "estimated".

    Parameters
    ----------
    model : str
        One of `names`; upper case, spaces and underscores are as good.
    name : str, optional
        Of the tenant; by default the model's.
    cpu : {'embedded', 'desktop'}
        Which CPU's official latency the suffixes have. It also says which official accelerator latency is taken where
        the model was not measured as a tenant: the development board's or the USB accelerator's.
    points : int, optional
        Most partition points, at least 2; by default 30. Blocks end there and one tensor crosses; of more such places
        those are kept that spread best by time and weight.

    Raises
    ------
    ModelError
        No such model, or fewer than 2 points.
    PlatformError
        No such CPU.
    """
    key, entry = _entry(model)
    if cpu not in _CPU:
        raise PlatformError(f"CPU {cpu!r}", expected=" or ".join(_CPU), got="neither", remedy="Correct the name.")
    most = MOST_POINTS if points is None else points
    if most < 2:
        raise ModelError(f"partition points of {key!r}", expected="2 or more", got=f"{most}", remedy="Ask for more.")
    cpu_us, cpu_source = _cpu_latency(key, cpu)
    service = entry.measured.service if entry.measured else _tpu_latency(entry, cpu)
    cited = [] if service is None else [service]
    on = off = reload = None
    if entry.measured is not None:
        reload = entry.measured.switch
        on, off = entry.measured.on_chip, entry.measured.off_chip
        cited += [figure for figure in (reload, on, off) if figure is not None]
    costs = split(
        architecture(key),
        Totals(
            cpu_us,
            service.value if service else None,
            int(on.value) if on else None,
            int(off.value) if off else None,
            reload.value if reload else None,
        ),
        accelerator_entries()["edge-tpu"].figures,
        most,
    )
    totals_source = _cited(cited) or "no measured total: the rule of layer costs alone"
    return Tenant.create(
        name or key,
        costs.accelerator_us,
        costs.cpu_us,
        costs.weight_bytes,
        costs.handover_bytes,
        points=costs.points,
        reload_us=costs.reload_us,
        streaming_us=costs.streaming_us,
        resident_bytes=costs.resident_bytes,
        streaming_us_per_byte=costs.streaming_us_per_byte,
        speedup=thread_speedup(),
        basis="estimated",
        source=f"Accelerator: {totals_source}. CPU: {cpu_source}. Split over layers by rule.",
    )


def measured_tenant(model: str, name: str | None = None) -> Tenant:
    """A model with what was measured of it and nothing else: it runs as a whole on the accelerator.

    Two partition points, of which the first (all on the CPU) cannot run: no CPU was measured beside the accelerator.
    Where resident bytes were not published they are counted, and the source says so.

    Raises
    ------
    ModelError
        No such model, or it was not measured as a tenant.
    """
    key, entry = _entry(model)
    measured = entry.measured
    if measured is None:
        raise ModelError(
            f"model {key!r}",
            expected=f"one that was measured as a tenant: {', '.join(measured_names())}",
            got="a model with official latencies or less",
            remedy="Use `tenant`, which estimates.",
        )
    on, off = measured.on_chip, measured.off_chip
    resident = int(on.value) if on else architecture(key).weight_bytes
    cited = _cited(figure for figure in (measured.service, measured.switch, on, off) if figure is not None)
    return Tenant.create(
        name or key,
        [0.0, measured.service.value],
        [np.inf, 0.0],
        [0, resident + (int(off.value) if off else 0)],
        points=("none", "all"),
        reload_us=[0.0, measured.switch.value],
        streaming_us=[0.0, 0.0],
        resident_bytes=[0, resident],
        basis="measured",
        source=cited if on else f"{cited}; resident bytes counted",
    )


def thread_speedup() -> tuple[float, ...]:
    """Speed-up on 1, 2, … threads: measured on small networks, straight lines between the measured counts."""
    known = experiments().thread_speedups_small
    threads = [1, *(entry.threads for entry in known)]
    values = [1.0, *(entry.speedup.value for entry in known)]
    return tuple(float(v) for v in np.interp(np.arange(1, threads[-1] + 1), threads, values))


def _entry(model: str) -> tuple[str, ModelEntry]:
    found = entries()
    plain = _plain(model)
    key = next((name for name, entry in found.items() if plain == name or plain in entry.aliases), None)
    if key is None:
        every = {alias: name for name, entry in found.items() for alias in (name, *entry.aliases)}
        near = list(dict.fromkeys(every[a] for a in difflib.get_close_matches(plain, every, n=5, cutoff=0.4)))
        raise ModelError(
            f"model {model!r}",
            expected=f"a name of the catalogue, for instance {capped(near or sorted(found))}",
            got="none of them",
            remedy="`edgeplan.profiles.catalogue.names()` lists all.",
        )
    return key, found[key]


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def _cpu_latency(model: str, cpu: Cpu) -> tuple[float, str]:
    """Official CPU latency, or that of the model named in the catalogue scaled by multiplications; and its source."""
    entry = entries()[model]
    figure = entry.latency.get(_CPU[cpu])
    if figure is not None:
        return figure.value, _cited([figure])
    assert entry.cpu_like is not None, f"{model} has neither a CPU latency nor a model that stands in"
    value, source = _cpu_latency(entry.cpu_like, cpu)
    ratio = architecture(model).macs / architecture(entry.cpu_like).macs
    return value * ratio, f"{source}, {entry.cpu_like} scaled by multiplications (× {ratio:.3g})"


def _tpu_latency(entry: ModelEntry, cpu: Cpu) -> Figure | None:
    return entry.latency.get(_TPU[cpu])


def _cited(figures: Iterable[Figure]) -> str:
    """Titles of the sources of figures, each once."""
    known = sources()
    return "; ".join(dict.fromkeys(f"{known[f.source].title} ({known[f.source].url})" for f in figures))
