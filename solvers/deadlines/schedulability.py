"""A sound verdict on sporadic tasks whose segments run, one after another, on fixed processors without interruption.

Analyses of tasks that suspend themselves have often been wrong (Chen et al. 2019, doi 10.1007/s11241-018-9316-9), so
none is used. Each task's deadline is split among its segments once and for all; then each processor sees plain sporadic
jobs, to which the demand test of non-preemptive EDF applies: George, Rivierre and Spuri 1996 (INRIA RR-2966), and
Baruah 2005 (doi 10.1109/ECRTS.2005.32) for its use with segments. The test is sufficient, not necessary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...formulation import WorkloadError

MOST_POINTS = 200_000
"""More deadlines to look at on one processor than this, and the verdict is no."""

_SLACK = 1e-9


@dataclass(frozen=True)
class TaskSegment:
    """A part of a task that is never interrupted.

    Attributes
    ----------
    processor : str
    wcet_us : float
        Longest time on its processor, with contention at its worst (`worst_case_us`).
    transfer_us : float
        From its end until the next segment can start; keeps no processor busy.
    """

    processor: str
    wcet_us: float
    transfer_us: float = 0.0


@dataclass(frozen=True)
class SporadicTask:
    """Requests at least a period apart, each through all segments in order.

    Attributes
    ----------
    name : str
    segments : tuple of TaskSegment
    period_us : float
        Shortest time between two requests.
    deadline_us : float
        After each request; at most the period.
    """

    name: str
    segments: tuple[TaskSegment, ...]
    period_us: float
    deadline_us: float

    def __post_init__(self) -> None:
        times = [t for s in self.segments for t in (s.wcet_us, s.transfer_us)]
        if not self.segments or min(times) < 0 or not 0 < self.deadline_us <= self.period_us < math.inf:
            raise WorkloadError(
                f"task {self.name!r}",
                expected="segments with times of 0 or more, and a deadline above 0 and no later than the finite period",
                got=f"{len(self.segments)} segments, deadline {self.deadline_us} µs, period {self.period_us} µs",
                remedy="Correct the task; a longer deadline may be given as the period.",
            )

    def segment_deadlines_us(self) -> tuple[float, ...]:
        """Deadline of each segment, after the request.

        What neither segments nor transfers need is shared in proportion to the segments' times. Negative slack shortens
        them below what they need, and the verdict is then no.
        """
        work_us = sum(s.wcet_us for s in self.segments)
        slack_us = self.deadline_us - work_us - sum(s.transfer_us for s in self.segments[:-1])
        at_us, deadlines = 0.0, []
        for segment in self.segments:
            share = segment.wcet_us / work_us if work_us else 1 / len(self.segments)
            at_us += segment.wcet_us + slack_us * share
            deadlines.append(at_us)
            at_us += segment.transfer_us
        return tuple(deadlines)


@dataclass(frozen=True)
class Verdict:
    """Whether tasks surely meet their deadlines.

    Attributes
    ----------
    schedulable : bool
        False says that it was not shown, not that a deadline will be missed.
    reason : str
    """

    schedulable: bool
    reason: str


@dataclass(frozen=True)
class _Part:
    name: str
    wcet_us: float
    period_us: float
    relative_us: float


def worst_case_us(duration_us: float, losses: Sequence[float]) -> float:
    """Time of a layer while all other processors are busy throughout; `losses` as in `JobProblem.loss`, its row."""
    return duration_us / (1.0 - sum(losses))


def schedulability(tasks: Sequence[SporadicTask]) -> Verdict:
    """Verdict for non-preemptive EDF on every processor, ordered by the deadlines of segments.

    The rule it holds for: a processor that is free starts, of the segments whose input is there, the one with the
    earliest absolute segment deadline. For each length L, each processor must have room for all segments that can
    both arrive and be due within L, and, where one of a later deadline has just started, for that one too.

    Why early segments do no harm: a segment may start before its predecessor's deadline. Take a first missed deadline d
    and the last time t before it when no segment due by d was waiting or running but one with a later deadline. What
    runs between t and d is due by d and was ready after t, so that its nominal window, which opens no earlier, lies
    within [t, d] and the demand counts it; and one segment of a later deadline may have started before t. The same
    segment of its task's other requests is then none of those: it ended before, or is due later still.

    Parameters
    ----------
    tasks : sequence of SporadicTask
    """
    by_processor: dict[str, list[_Part]] = {}
    for task in tasks:
        begin_us = 0.0
        for segment, due_us in zip(task.segments, task.segment_deadlines_us(), strict=True):
            part = _Part(task.name, segment.wcet_us, task.period_us, due_us - begin_us)
            by_processor.setdefault(segment.processor, []).append(part)
            begin_us = due_us + segment.transfer_us
    for processor, parts in by_processor.items():
        reason = _overload(parts)
        if reason is not None:
            return Verdict(False, f"{processor}: {reason}")
    return Verdict(True, f"the demand of segments fits on {', '.join(sorted(by_processor)) or 'no processor'}")


def _overload(parts: Sequence[_Part]) -> str | None:
    """Why a processor's demand may not fit, or None."""
    wcet = np.array([part.wcet_us for part in parts])
    period = np.array([part.period_us for part in parts])
    relative = np.array([part.relative_us for part in parts])
    short = np.flatnonzero(wcet > relative * (1 + _SLACK))
    if len(short):
        return f"a segment of {parts[short[0]].name!r} is longer than its share of the deadline"
    load = float((wcet / period).sum())
    if load >= 1 - _SLACK:
        return f"utilisation is {load:.3f}"
    # Beyond this length demand grows no faster than time: the line through it stays below.
    end_us = (wcet.max() + float((wcet / period * np.maximum(period - relative, 0)).sum())) / (1 - load)
    end_us = max(end_us, float(relative.max()))
    counts = np.floor(np.maximum(end_us - relative, 0) / period) + 1
    if counts.sum() > MOST_POINTS:
        return f"more than {MOST_POINTS} deadlines would have to be looked at"
    points = np.unique(
        np.concatenate([d + p * np.arange(int(c)) for d, p, c in zip(relative, period, counts, strict=True)])
    )
    jobs = np.maximum(np.floor((points[:, None] - relative) / period + _SLACK) + 1, 0)
    demand = jobs * wcet
    whole = demand.sum(axis=1)
    # With each part as the one that has just started; its own demand is then none.
    others = whole[:, None] - demand
    needed = np.maximum(whole, np.where(others > 0, others + wcet, 0.0).max(axis=1))
    over = np.flatnonzero(needed > points * (1 + _SLACK))
    if len(over):
        return f"{needed[over[0]]:.6g} µs of work may be due within {points[over[0]]:.6g} µs"
    return None
