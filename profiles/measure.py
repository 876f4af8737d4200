"""Timing a session: warm-up, repeats until the median is known well enough, a robust summary."""

from __future__ import annotations

import functools
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ..formulation import LatencySummary
from .backends import Session
from .machine import largest_cache_bytes

T = TypeVar("T")


@dataclass(frozen=True)
class StopRule:
    """When to stop repeating.

    Attributes
    ----------
    relative_interval : float
        Stop once the 95 % interval of the median is at most this share of the median wide …
    min_repeats, max_repeats : int
        … but never before, and never after so many repeats.
    max_s : float
        Stop after this many seconds, the least repeats done.
    warm_up : int
        Runs that are not counted.
    """

    relative_interval: float = 0.02
    min_repeats: int = 7
    max_repeats: int = 100
    max_s: float = 1.0
    warm_up: int = 2

    def within(self, seconds: float) -> StopRule:
        """Copy that stops after at most so many seconds, the least repeats done."""
        return replace(self, max_s=min(self.max_s, max(seconds, 0.0)))


def summarise_latency(times_us: ArrayLike) -> LatencySummary:
    """Median, 95 % interval of the median, and robust spread of timings in microseconds.

    The interval needs no assumption on the distribution: it reaches from the k-th smallest to the k-th largest timing,
    k being the largest for which Binomial(n, ½) puts at most 2.5 % below it. Fewer than six timings give the whole
    range, which covers the median with probability 1 − 2^(1 − n).
    """
    times = np.sort(np.asarray(times_us, dtype=np.float64))
    n = len(times)
    median = float(np.median(times))
    outside = _timings_outside(n)
    return LatencySummary(
        median_us=median,
        low_us=float(times[outside]),
        high_us=float(times[n - 1 - outside]),
        spread_us=1.4826 * float(np.median(np.abs(times - median))),
        repeats=n,
    )


@functools.cache
def _timings_outside(n: int) -> int:
    """How many of n ordered timings lie beyond each end of the interval."""
    outside, tail = -1, 0
    while (tail + math.comb(n, outside + 1)) <= 0.025 * 2**n:
        outside += 1
        tail += math.comb(n, outside)
    return max(outside, 0)


_LEAST_EVICTED_BYTES, _MOST_EVICTED_BYTES = 8 * 2**20, 256 * 2**20


def evicted_bytes() -> int:
    """Memory that is written between timings: twice what the largest cache holds, so that little is left in any."""
    return min(max(2 * largest_cache_bytes(), _LEAST_EVICTED_BYTES), _MOST_EVICTED_BYTES)


def time_session(session: Session, feeds: Mapping[str, np.ndarray], rule: StopRule) -> LatencySummary:
    """Time a session on the calling thread until the rule says stop.

    Between two runs the caches are filled with something else, as they are where models take turns: the weights of a
    few models are more than any cache holds.
    """
    evicted = np.zeros(evicted_bytes(), dtype=np.uint8)
    for _ in range(rule.warm_up):
        session.run(feeds)
    times: list[float] = []
    deadline = time.perf_counter() + rule.max_s
    while True:
        evicted += 1
        began = time.perf_counter_ns()
        session.run(feeds)
        times.append((time.perf_counter_ns() - began) / 1e3)
        if len(times) < rule.min_repeats:
            continue
        summary = summarise_latency(times)
        narrow = summary.high_us - summary.low_us <= rule.relative_interval * summary.median_us
        if narrow or len(times) >= rule.max_repeats or time.perf_counter() > deadline:
            return summary


def on_core(core: int, work: Callable[[], T]) -> T:
    """Call `work` on a thread of its own that is pinned to a core, as the live executor's workers are."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def pinned() -> None:
        try:
            os.sched_setaffinity(0, {core})
            outcome.append(work())
        except BaseException as error:  # handed to the caller
            failure.append(error)

    thread = threading.Thread(target=pinned, name=f"measure-core-{core}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
