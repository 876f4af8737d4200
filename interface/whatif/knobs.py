"""What of a problem can be turned: each limit, rate and count of cores, by name, and the problem at another value."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ...formulation import Limits, Platform, Problem, WorkloadError, capped
from ...formulation.competition import competing_releases
from ..units import MIB

if TYPE_CHECKING:
    from ...solvers import Limit

KnobKind = Literal["memory", "deadline", "rate", "cores", "max_utilisation", "max_threads", "core_sets"]

_UNITS: dict[KnobKind, tuple[str, float]] = {
    "memory": ("MiB", MIB),
    "deadline": ("ms", 1e3),
    "rate": ("Hz", 1.0),
    "cores": ("core", 1.0),
    "max_utilisation": ("% of a core", 0.01),
    "max_threads": ("thread", 1.0),
    "core_sets": ("choice", 1.0),
}


@dataclass(frozen=True, order=True)
class Knob:
    """Something of a problem that can be turned.

    Attributes
    ----------
    kind : {'memory', 'deadline', 'rate', 'cores', 'max_utilisation', 'max_threads', 'core_sets'}
    subject : str
        Of which memory, model or processor; empty for what there is once.
    """

    kind: KnobKind
    subject: str = ""

    @property
    def name(self) -> str:
        """As axes name it, for instance ``memory.ram``."""
        return f"{self.kind}.{self.subject}" if self.subject else self.kind

    @property
    def unit(self) -> str:
        """In which people read it."""
        return _UNITS[self.kind][0]

    @property
    def unit_size(self) -> float:
        """One of that unit in the formulation's own: bytes, µs, Hz, cores, a share."""
        return _UNITS[self.kind][1]

    @property
    def is_whole(self) -> bool:
        """Whether it takes whole numbers only."""
        return self.kind in ("memory", "cores", "max_threads", "core_sets")

    @property
    def looser(self) -> int:
        """+1 where more is looser, −1 where less is."""
        return -1 if self.kind == "rate" else 1

    def shown(self, value: float) -> str:
        """A value with its unit, for people."""
        if self.kind == "core_sets":
            return "any" if value else "all"
        if self.kind in ("cores", "max_threads"):
            return f"{value:g}"
        if self.kind == "max_utilisation":
            return f"{value:.3g}"
        return f"{rounded(value / self.unit_size)} {self.unit}"


def rounded(number: float) -> str:
    """Four digits, more where they stand before the point: never a power of ten."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def knob_of(limit: Limit) -> Knob:
    """The knob that a limit of a problem is turned by."""
    return Knob("max_utilisation") if limit.kind == "utilisation" else Knob(limit.kind, limit.subject)


def knobs_of(problem: Problem) -> tuple[Knob, ...]:
    """Everything of a problem that has a value and can be turned, in a fixed order."""
    return tuple(_knobs(problem))


def _knobs(problem: Problem) -> Iterator[Knob]:
    for memory in problem.platform.memories:
        yield Knob("memory", memory.name)
    for stream in problem.streams:
        if stream.deadline_us is not None:
            yield Knob("deadline", stream.model)
    for stream in problem.streams:
        yield Knob("rate", stream.model)
    for processor in problem.platform.processors:
        yield Knob("cores", processor.name)
    if problem.streams:
        yield Knob("max_utilisation")
    if problem.limits.max_threads is not None:
        yield Knob("max_threads")
    if problem.limits.core_sets == "all":
        yield Knob("core_sets")


def value_of(problem: Problem, knob: Knob) -> float:
    """Where a knob stands: bytes, µs, Hz, cores, a share, threads; ``core_sets`` is 0 for all, 1 for any.

    Raises
    ------
    WorkloadError
        The problem has no such knob, or no value for it (a stream without a deadline); the message lists what it has.
    """
    limits = problem.limits
    found: float | None = None
    if knob.kind == "memory":
        found = problem.memory_limit.get(knob.subject)
    elif knob.kind in ("deadline", "rate"):
        stream = problem.stream_of.get(knob.subject)
        if stream is not None:
            found = stream.deadline_us if knob.kind == "deadline" else stream.rate_hz
    elif knob.kind == "cores":
        processor = problem.platform.processor_by_name.get(knob.subject)
        found = None if processor is None else len(processor.cores)
    elif knob.kind == "max_utilisation":
        found = limits.max_utilisation
    elif knob.kind == "max_threads":
        found = limits.max_threads or max(len(p.cores) for p in problem.platform.processors)
    else:
        found = float(limits.core_sets == "any")
    if found is None:
        raise WorkloadError(
            f"{knob.name!r}",
            expected=f"one of {capped(k.name for k in knobs_of(problem))}",
            got="a name that this problem has no value for",
            remedy="Take a name of a memory, model or processor of the scenario.",
        )
    return float(found)


def turned(problem: Problem, knob: Knob, value: float) -> Problem:
    """The problem with one knob at another value; all else as it was.

    A memory above its capacity stands for a device with more of it, cores above their number for a larger processor;
    such a platform is only thought of and has no fingerprint. Fewer cores are the first ones.

    Raises
    ------
    EdgePlanError
        The problem has no such knob; nothing can run at that value.
    """
    if value == value_of(problem, knob):
        return problem
    if knob.kind == "memory":
        return _with_memory(problem, knob.subject, math.floor(value))
    if knob.kind == "cores":
        return _with_cores(problem, knob.subject, round(value))
    if knob.kind in ("deadline", "rate"):
        streams = tuple(
            stream
            if stream.model != knob.subject
            else stream.at_rate(value)
            if knob.kind == "rate"
            else stream.model_copy(update={"deadline_us": float(value)})
            for stream in problem.streams
        )
        return problem.replace(streams=streams)
    changes: dict[str, Any] = {
        "max_utilisation": {"max_utilisation": float(value)},
        "max_threads": {"max_threads": round(value)},
        "core_sets": {"core_sets": "any" if value else "all"},
    }[knob.kind]
    return problem.replace(limits=Limits.model_validate({**problem.limits.model_dump(), **changes}))


def _with_memory(problem: Problem, name: str, n_bytes: int) -> Problem:
    limits = problem.limits.model_dump()
    limits["memory_bytes"] = {**limits["memory_bytes"], name: n_bytes}
    platform = problem.platform
    if any(m.name == name and n_bytes > m.capacity_bytes for m in platform.memories):
        data = platform.model_dump()
        data["fingerprint"] = ""
        for memory in data["memories"]:
            if memory["name"] == name:
                memory["capacity_bytes"] = n_bytes
        platform = Platform.model_validate(data)
    return problem.replace(platform=platform, limits=Limits.model_validate(limits))


def _with_cores(problem: Problem, name: str, number: int) -> Problem:
    data = problem.platform.model_dump()
    fresh = 1 + max(core for processor in problem.platform.processors for core in processor.cores)
    for processor in data["processors"]:
        if processor["name"] == name:
            cores = tuple(processor["cores"])
            more = number - len(cores)
            processor["cores"] = (*cores, *range(fresh, fresh + more)) if more > 0 else cores[:number]
            if more > 0:
                data["fingerprint"] = ""
    return problem.replace(platform=Platform.model_validate(data))


def same_order(one: Problem, other: Problem) -> bool:
    """Whether the same requests go before the same others in both: deadlines are ranks, not only limits."""
    return all(
        competing_releases(one.stream_of.get(a), one.stream_of.get(b))
        == competing_releases(other.stream_of.get(a), other.stream_of.get(b))
        for a in one.stream_of
        for b in one.stream_of
        if a != b
    )


def never_hurts(problem: Problem, knob: Knob, looser: Problem) -> bool:
    """Whether every plan of `problem` is on offer for `looser` too and is no worse there, so that its optimum is not.

    Not so for a deadline that changes who goes before whom, where every segment must have all cores and there are more
    of them, and beyond the number of cores up to which solvers offer every set of them.
    """
    from ...solvers.core_sets import ALL_SUBSETS_CORES

    if knob.kind == "deadline":
        return same_order(problem, looser)
    if knob.kind == "cores":
        most = max(len(p.cores) for p in looser.platform.processors)
        return problem.limits.core_sets == "any" and most <= ALL_SUBSETS_CORES
    return True
