"""Which requests a live runtime takes: those that it can end in time beside what it has taken before.

The schedule is played on, as if nothing more came: requests by deadline, each on the core that is free first (list
scheduling, Graham 1969, doi 10.1137/0117039), behind the segments that run, which nothing interrupts. A request counts
as one piece, though at its segment boundaries others may pass it: what is played is a little worse than what happens.
Segments are played as long as they have lately taken (`Pace`), for others may use the cores too.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..formulation import AdmissionError

_PACE_STEP = 0.1
_PACE_SHARE = 0.9
_SLOWEST_LOG_PACE = math.log(20.0)
_MEMORY_US = 2e6


@dataclass(frozen=True, slots=True, eq=False)
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


class Pace:
    """By what segments take longer than predicted, by model: the ratio that one in ten exceeds.

    It rises by 9 % when a segment took longer and falls by 1 % when it did not: a quantile by stochastic approximation
    (Robbins, Monro 1951, doi 10.1214/aoms/1177729586) on the logarithm. Promises are made by it, so it is a high
    quantile and not the mean. Where nothing runs any more, it is forgotten within seconds: if all requests of a model
    are refused for being slow, nothing would ever show that it is no longer.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}  # by model: logarithm of the ratio, and when

    def of(self, model: str, now_us: float) -> float:
        """What the predicted times of a model are to be multiplied by."""
        return math.exp(self._log_ratio(model, now_us))

    def observe(self, model: str, expected_us: float, took_us: float, now_us: float) -> None:
        """A segment has run."""
        if expected_us <= 0:
            return
        log_ratio = self._log_ratio(model, now_us)
        slower = took_us > expected_us * math.exp(log_ratio)
        log_ratio += _PACE_STEP * (_PACE_SHARE if slower else _PACE_SHARE - 1.0)
        self._seen[model] = min(max(log_ratio, -_SLOWEST_LOG_PACE), _SLOWEST_LOG_PACE), now_us

    def _log_ratio(self, model: str, now_us: float) -> float:
        log_ratio, then_us = self._seen.get(model, (0.0, now_us))
        idle_us = max(0.0, now_us - then_us - _MEMORY_US)
        return log_ratio * math.exp(-idle_us / _MEMORY_US)


@dataclass(frozen=True)
class Late:
    """Who would be late: the newcomer, or how many of those taken before because of it; and when it would end."""

    finish_us: float
    others: int = 0


def late_by_admitting(newcomer: Demand, taken: Iterable[Demand], free_us: Sequence[float]) -> Late | None:
    """What taking a request would make late; None where it makes nothing late.

    Those of `taken` that are late anyway are not counted as made late, but their work is: they go last, so a newcomer
    would pass them, and where room were not kept for them they would wait for as long as too many come, in ever larger
    number.

    Parameters
    ----------
    newcomer : Demand
    taken : iterable of Demand
    free_us : sequence of float
        For each core when it is free, absolute: now, or when the segment ends that runs there.
    """
    before = [demand for demand in taken if demand.core_us > 0]
    played = _played([*before, newcomer], free_us)
    if (late_us := played.pop(newcomer)) > 0:
        return Late(newcomer.deadline_us + late_us)
    late = {demand for demand, late_us in played.items() if late_us > 0}
    if late:
        late.difference_update(demand for demand, late_us in _played(before, free_us).items() if late_us > 0)
    return Late(newcomer.deadline_us + late_us, len(late)) if late else None


def _played(demands: Iterable[Demand], free_us: Sequence[float]) -> dict[Demand, float]:
    """By how much each request ends after its deadline."""
    free = list(free_us)
    heapq.heapify(free)
    late_us = {}
    for demand in sorted(demands, key=lambda demand: demand.deadline_us):
        begin_us = max(free[0], demand.ready_us)
        late_us[demand] = begin_us + demand.latency_us - demand.deadline_us
        heapq.heapreplace(free, begin_us + demand.core_us)
    return late_us


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
