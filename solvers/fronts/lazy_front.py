"""A front whose plans are made when they are looked at: figures and choices are arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

from ...formulation import Plan, SolverStamp
from ..solution import FrontPoint


class PlanSource(Protocol):
    """Numbered plans in arrays."""

    def figures(self) -> NDArray[np.float64]:
        """Latency and memory of every plan, computed anew from its segments, shape (p, 2)."""
        ...

    def plan(self, index: int, /) -> Plan:
        """One of the plans."""
        ...


@dataclass(frozen=True, eq=False)
class LazyFront(Sequence[FrontPoint]):
    """Points of a front by growing latency; a sequence like the tuple that short fronts are.

    Attributes
    ----------
    figures : ndarray, shape (p, 2)
        Latency in microseconds and memory in bytes.
    source : PlanSource
    stamp : SolverStamp or None
        Goes on every plan, with the point's own latency as the objective.
    """

    figures: NDArray[np.float64]
    source: PlanSource
    stamp: SolverStamp | None = None

    def __len__(self) -> int:
        return len(self.figures)

    @overload
    def __getitem__(self, index: int) -> FrontPoint: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[FrontPoint, ...]: ...
    def __getitem__(self, index: int | slice) -> FrontPoint | tuple[FrontPoint, ...]:
        if isinstance(index, slice):
            return tuple(self[k] for k in range(*index.indices(len(self))))
        k = range(len(self))[index]
        latency_us, memory_bytes = (float(value) for value in self.figures[k])
        plan = self.source.plan(k)
        if self.stamp is not None:
            stamp = self.stamp.model_copy(update={"objective": latency_us, "bound": None, "gap": None})
            plan = plan.model_copy(update={"solver": stamp})
        return FrontPoint(latency_us, memory_bytes, plan)

    def stamped(self, stamp: SolverStamp) -> LazyFront:
        """Copy whose plans carry the stamp."""
        return replace(self, stamp=stamp)
