"""The catalogue's data files: figures with their sources, as typed entries."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Device = Literal["desktop-cpu", "desktop-tpu", "embedded-cpu", "board-tpu"]
"""Of the official latencies: a desktop's CPU, that desktop with a USB accelerator, a development board's CPU, and that
board's accelerator."""
Unit = Literal["us", "bytes", "bytes/s", "operations/s", "multiply-adds", "parameters", "ratio"]
T = TypeVar("T")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Model):
    """A published figure.

    Attributes
    ----------
    value : float
        In `unit`: µs and bytes, whatever the source has.
    unit : str
    published : str
        As the source has it, with its unit.
    source : str
        Key of `sources`.
    note : str
    """

    value: float = Field(ge=0)
    unit: Unit
    published: str
    source: str
    note: str = ""


class Source(_Model):
    """Where figures come from.

    Attributes
    ----------
    title, url : str
    licence : str
        Of the data, where it is stated.
    note : str
    """

    title: str
    url: str
    licence: str = ""
    note: str = ""


class Totals(_Model):
    """Published totals of an architecture, which its counted layers are held against."""

    macs: Figure | None = None
    parameters: Figure | None = None


class Measured(_Model):
    """A whole model measured as a tenant of the accelerator.

    Attributes
    ----------
    switch, service : Figure
        Time to bring its weights in, and time of a request with them there, streaming included.
    on_chip, off_chip : Figure, optional
        Bytes of weights that stay in the accelerator's memory, and that are streamed.
    switch_in_traces : Figure, optional
        The switch time that goes with the published request traces, where it differs.
    """

    switch: Figure
    service: Figure
    on_chip: Figure | None = None
    off_chip: Figure | None = None
    switch_in_traces: Figure | None = None


class ModelEntry(_Model):
    """What is known of one model.

    Attributes
    ----------
    title : str
    aliases : tuple of str
        Other names that find it.
    note : str
    totals : Totals
    latency : dict of device to Figure
        Official latencies.
    cpu_like : str, optional
        Model whose CPU latency, scaled by multiplications, stands in where the official list has none.
    measured : Measured, optional
    """

    title: str
    aliases: tuple[str, ...] = ()
    note: str = ""
    totals: Totals = Totals()
    latency: dict[Device, Figure] = Field(default_factory=dict)
    cpu_like: str | None = None
    measured: Measured | None = None


class AcceleratorFigures(_Model):
    """Figures of an accelerator.

    Attributes
    ----------
    weight_capacity : Figure
    reload_fixed, reload_per_mib, streaming_fixed, streaming_per_mib, handover_per_mib : Figure
        Times, fixed and per MiB.
    compute : Figure
        Operations a second that convolutions achieve; a multiplication with addition counts as two.
    bytes : Figure
        Bytes a second, of weights and tensors, that layers with little arithmetic achieve.
    """

    weight_capacity: Figure
    reload_fixed: Figure
    reload_per_mib: Figure
    streaming_fixed: Figure
    streaming_per_mib: Figure
    handover_per_mib: Figure
    compute: Figure
    bytes: Figure


class AcceleratorEntry(_Model):
    """An accelerator and how it treats tenants that share it.

    Attributes
    ----------
    title : str
    residency : {'token', 'co_compiled'}
    figures : AcceleratorFigures
        In the file, `like` may stand instead: the name of an accelerator that has the same ones.
    """

    title: str
    residency: Literal["token", "co_compiled"]
    figures: AcceleratorFigures


class SegmentExperiment(_Model):
    """Synthetic networks on one or several Edge TPUs.

    Attributes
    ----------
    network : str
    tpus : int
        Accelerators, one segment each.
    split : {'whole', 'compiler', 'profiled'}
        How the segments were chosen.
    time : Figure
    on_chip, off_chip : Figure, optional
    """

    network: str
    tpus: Annotated[int, Field(ge=1)]
    split: Literal["whole", "compiler", "profiled"]
    time: Figure
    on_chip: Figure | None = None
    off_chip: Figure | None = None


class ThreadTime(_Model):
    """Time of a large network on some threads of a CPU."""

    threads: Annotated[int, Field(ge=1)]
    time: Figure


class ThreadSpeedup(_Model):
    """How many times faster a small network runs on some threads of a CPU than on one."""

    threads: Annotated[int, Field(ge=2)]
    speedup: Figure


class Experiments(_Model):
    """Experiments that rules and speed-ups are taken from."""

    segments: tuple[SegmentExperiment, ...]
    thread_times_large: tuple[ThreadTime, ...]
    thread_speedups_small: tuple[ThreadSpeedup, ...]


@cache
def sources() -> dict[str, Source]:
    """Sources by key."""
    return _read("sources.json", dict[str, Source])


@cache
def entries() -> dict[str, ModelEntry]:
    """What is known of each model, by name."""
    return _read("models.json", dict[str, ModelEntry])


@cache
def accelerator_entries() -> dict[str, AcceleratorEntry]:
    """Figures of each accelerator, by name."""
    found = _json("accelerators.json")
    for entry in found.values():
        if "like" in entry:
            entry["figures"] = found[entry.pop("like")]["figures"]
    return TypeAdapter(dict[str, AcceleratorEntry]).validate_python(found)


@cache
def experiments() -> Experiments:
    """Experiments with segments and with threads."""
    return _read("experiments.json", Experiments)


def _read(name: str, kind: type[T]) -> T:
    return TypeAdapter(kind).validate_python(_json(name))


def _json(name: str) -> Any:
    return json.loads((files(__name__.rpartition(".")[0]) / name).read_text(encoding="utf-8"))
