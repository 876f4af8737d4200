"""Which requests a live runtime takes: those that it can end in time beside what it has taken before.

The schedule is played on, as if nothing more came: requests by deadline, each on the core that is free first (list
scheduling, Graham 1969, doi 10.1137/0117039), behind the segments that run, which nothing interrupts. A request counts
as one piece, though at its segment boundaries others may pass it: what is played is a little worse than what happens.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..formulation import AdmissionError


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request still asks for.

    Attributes
    ----------
    deadline_us : float
        Absolute.
    core_us : float
        Core time of the segments that have not begun.
    latency_us : float
        Time that they take, if nothing else were there.
    ready_us : float
        When they may begin, absolute: when its segment that runs has ended.
    """

    deadline_us: float
    core_us: float
    latency_us: float
    ready_us: float = 0.0


@dataclass(frozen=True)
class Late:
    """Who would be late: the newcomer, or how many of those taken before because of it; and when it would end."""

    finish_us: float
    others: int = 0


def late_by_admitting(newcomer: Demand, taken: Iterable[Demand], free_us: Sequence[float]) -> Late | None:
    """What taking a request would make late; None where it makes nothing late.

    Those of `taken` that are late anyway do not count, and neither does their work: late requests go last.

    Parameters
    ----------
    newcomer : Demand
    taken : iterable of Demand
    free_us : sequence of float
        For each core when it is free, absolute: now, or when the segment ends that runs there.
    """
    before = [demand for demand in taken if demand.core_us > 0]
    in_time = [demand for demand, late in _played(before, free_us, drop_late=True) if late <= 0]
    finish_us, others = 0.0, 0
    for demand, late_us in _played([*in_time, newcomer], free_us):
        if demand is newcomer:
            finish_us = newcomer.deadline_us + late_us
        else:
            others += late_us > 0
    if finish_us > newcomer.deadline_us:
        return Late(finish_us)
    return Late(finish_us, others) if others else None


def _played(demands: Iterable[Demand], free_us: Sequence[float], drop_late: bool = False) -> list[tuple[Demand, float]]:
    """By how much each request ends after its deadline; with `drop_late`, those that do take no time."""
    free = list(free_us)
    heapq.heapify(free)
    ended = []
    for demand in sorted(demands, key=lambda demand: demand.deadline_us):
        begin_us = max(free[0], demand.ready_us)
        late_us = begin_us + demand.latency_us - demand.deadline_us
        if late_us <= 0 or not drop_late:
            heapq.heapreplace(free, begin_us + demand.core_us)
        ended.append((demand, late_us))
    return ended


def refuse_if_late(
    model: str, newcomer: Demand, taken: Iterable[Demand], free_us: Sequence[float], now_us: float
) -> None:
    """Refuse a request that cannot be in time, or would make others late.

    Raises
    ------
    AdmissionError
    """
    late = late_by_admitting(newcomer, taken, free_us)
    if late is None:
        return
    due_us = newcomer.deadline_us
    expected = f"a finish within its deadline, {(due_us - now_us) / 1e3:.1f} ms from now"
    got = f"a predicted finish {(late.finish_us - now_us) / 1e3:.1f} ms from now"
    if late.others:
        expected, got = "all requests taken before to end in time beside it", f"{late.others} that would be late"
    raise AdmissionError(
        f"request for model {model!r}",
        expected=expected,
        got=got,
        remedy="Ask less often, allow more time, or plan for this load.",
        predicted_us=late.finish_us,
        deadline_us=due_us,
    )
