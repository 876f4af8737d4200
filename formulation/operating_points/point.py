"""Operating points: ways to run a model, each with what it takes and what it asks of the device."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..errors import CostError, WorkloadError, capped
from ..plan import ModelPlan


@dataclass(frozen=True)
class ProcessorUse:
    """What one request asks of a processor.

    Attributes
    ----------
    processor : str
    busy_us : float
        Time that the request spends there on an idle device, microseconds.
    cores : int
        Cores it holds meanwhile.
    sensitivity, pressure : float
        See `edgeplan.formulation.Activity`.
    """

    processor: str
    busy_us: float
    cores: int = 1
    sensitivity: float = 0.0
    pressure: float = 0.0


@dataclass(frozen=True, eq=False)
class OperatingPoint:
    """One way to run a model.

    Attributes
    ----------
    name : str
    latency_us : float
        Of one request on an idle device; what is not spent on a processor goes to transfers.
    memory_bytes : mapping of str to float
        Bytes it takes of each memory.
    uses : tuple of ProcessorUse
        Each processor at most once, in the order of first use.
    recompile_us : float
        Time to get it ready: to compile it, or to open its sessions.
    reload_bytes : float
        Bytes that are read for that.
    plan : ModelPlan, optional
        The plan that runs the model in this way.

    Raises
    ------
    CostError
        A figure that is negative or not a number, a processor twice, or more time on processors than in all.
    """

    name: str
    latency_us: float
    memory_bytes: Mapping[str, float]
    uses: tuple[ProcessorUse, ...]
    recompile_us: float = 0.0
    reload_bytes: float = 0.0
    plan: ModelPlan | None = None

    def __post_init__(self) -> None:
        subject = f"operating point {self.name!r}"
        costs = {"latency_us": self.latency_us, "recompile_us": self.recompile_us, "reload_bytes": self.reload_bytes}
        costs |= {f"memory_bytes[{memory}]": taken for memory, taken in self.memory_bytes.items()}
        for use in self.uses:
            costs |= {f"busy_us[{use.processor}]": use.busy_us, f"sensitivity[{use.processor}]": use.sensitivity}
            costs[f"pressure[{use.processor}]"] = use.pressure
        _refuse_negative(subject, costs)
        names = [use.processor for use in self.uses]
        if not names or len(set(names)) < len(names) or any(use.cores < 1 for use in self.uses):
            raise CostError(
                subject,
                expected="at least one processor, each once, with one core or more",
                got=capped(f"{use.processor} ({use.cores} cores)" for use in self.uses) or "none",
                remedy="Add up the times on one processor.",
            )
        busy_us = sum(use.busy_us for use in self.uses)
        if self.latency_us <= 0 or busy_us > self.latency_us * (1 + 1e-9):
            raise CostError(
                subject,
                expected="a latency above 0 that covers the time on processors",
                got=f"{self.latency_us:g} µs, of which {busy_us:g} µs on processors",
                remedy="Count the time on processors in the latency.",
            )

    @property
    def total_bytes(self) -> float:
        """Bytes of all memories together."""
        return float(sum(self.memory_bytes.values()))


@dataclass(frozen=True, eq=False)
class ModelPoints:
    """A model, the points that it may run at, and how it is asked.

    Attributes
    ----------
    model : str
    points : tuple of OperatingPoint
    rate_hz : float
        Requests a second on average, more than 0.
    weight : float
        How much one of its requests counts.
    deadline_us : float, optional
        From arrival to end.
    current : int, optional
        Which point is in force; a change of it costs, one from none does not.

    Raises
    ------
    WorkloadError
        No points, a name twice, a rate, weight or deadline that is not positive, or a current point that is not there.
    """

    model: str
    points: tuple[OperatingPoint, ...]
    rate_hz: float
    weight: float = 1.0
    deadline_us: float | None = None
    current: int | None = field(default=None)

    def __post_init__(self) -> None:
        subject = f"model {self.model!r}"
        names = [point.name for point in self.points]
        if not names or len(set(names)) < len(names):
            raise WorkloadError(
                f"operating points of {subject}",
                expected="at least one, each name once",
                got=capped(names) or "none",
                remedy="Give the model its front.",
            )
        for label, value in (("rate_hz", self.rate_hz), ("weight", self.weight), ("deadline_us", self.deadline_us)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise WorkloadError(
                    f"{label} of {subject}",
                    expected="a number above 0",
                    got=f"{value:g}",
                    remedy="Leave out a model that is never asked, and a deadline that there is none of.",
                )
        if self.current is not None and not 0 <= self.current < len(self.points):
            raise WorkloadError(
                f"current point of {subject}",
                expected=f"an index below {len(self.points)}",
                got=f"{self.current}",
                remedy="Give the index of the point in force, or none.",
            )


def _refuse_negative(subject: str, costs: Mapping[str, float]) -> None:
    wrong: Iterable[str] = [f"{name} = {v:g}" for name, v in costs.items() if not (math.isfinite(v) and v >= 0)]
    if wrong:
        raise CostError(subject, expected="finite figures of 0 or more", got=capped(wrong), remedy="Measure it again.")
