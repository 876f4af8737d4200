"""Requests and segments that an executor has under way."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from ..formulation import Start
from .admission import Demand
from .pipeline import Runnable
from .records import RequestRecord

Outputs = dict[str, np.ndarray]
Work = Sequence[tuple[float, float]]
"""Of each step its core time, and the least time that it takes, in microseconds."""

HANG_FACTOR = 50.0
"""A segment hangs that has run for this many times its predicted time and at least for the executor's `hang_us`. No
load that shares a core with it makes it so slow."""
_LONGEST_LOOK_US = 1e6


@dataclass(slots=True)
class Running:
    """A segment that runs.

    Its age counts only what passed between two looks, and little where the second came late: a process that was stopped
    as a whole has no hanging segments.
    """

    start: Start
    expected_us: float
    began_us: float
    age_us: float = 0.0

    def hangs(self, now_us: float, passed_us: float, hang_us: float) -> bool:
        """Look at it, `passed_us` after the look before."""
        self.age_us += min(passed_us, _LONGEST_LOOK_US, now_us - self.began_us)
        return self.age_us >= max(hang_us, HANG_FACTOR * self.expected_us)


class Request:
    """A request that was taken, and how far it is."""

    __slots__ = ("future", "record", "runnable", "running", "tensors", "work")

    def __init__(self, runnable: Runnable, tensors: Outputs, record: RequestRecord, work: Work | None) -> None:
        self.runnable = runnable
        self.tensors = tensors
        self.record = record
        self.work = work
        self.running: dict[int, float] = {}  # by step, when it should end
        self.future: Future[Outputs] = Future()

    def demand(self, work: Work, pace: float) -> Demand:
        """What has not begun of it, at a pace."""
        begun = {segment.segment for segment in self.record.segments} | self.running.keys()
        left = [both for k, both in enumerate(work) if k not in begun]
        core_us, latency_us = (pace * sum(each) for each in zip(*left, strict=True)) if left else (0.0, 0.0)
        return Demand(self.record.deadline_us, core_us, latency_us, max(self.running.values(), default=0.0))

    def expected_us(self, start: Start) -> float:
        """What a segment is predicted to take, run as it starts; 0 where nothing is predicted."""
        if self.work is None:
            return 0.0
        core_us, least_us = self.work[start.step]
        return core_us / max(1, self.runnable.steps[start.step].threads) if start.gang is None else least_us
