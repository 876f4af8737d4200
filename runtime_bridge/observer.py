"""What the live system shows: arrival rates, how segments compare with their prediction, who else uses the cores."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .clock import now_us
from .cores import CoreSample, foreign_share
from .records import RequestRecord

BUSY_CORE = 0.15
"""Share of a core taken by others above which times measured on it say nothing about the model."""


@dataclass(frozen=True)
class Observation:
    """The last window.

    Attributes
    ----------
    window_us : float
    arrivals : dict of str to int
        Requests of each model that were due in the window.
    latency_ratio : dict of str to float
        Observed over predicted run time of whole requests by model, the median; missing like `slowdown`.
    slowdown : dict of (str, str) to float
        Observed over predicted time by model and configuration name, the median over the segments that ran; missing
        where fewer than `Observer.min_runs` did, and where others used a core, for that says nothing about the model.
    foreign : dict of int to float
        Share of each core taken by others.
    """

    window_us: float
    arrivals: Mapping[str, int]
    latency_ratio: Mapping[str, float]
    slowdown: Mapping[tuple[str, str], float]
    foreign: Mapping[int, float]

    def rate_hz(self, model: str) -> float:
        """Requests a second of one model."""
        return self.arrivals.get(model, 0) * 1e6 / self.window_us


@dataclass(frozen=True)
class _Run:
    at_us: float
    model: str
    configuration: str  # empty for a whole request
    ratio: float


class Observer:
    """Collects arrivals and segment times over a sliding window. Safe to feed from several threads.

    Parameters
    ----------
    window_us : float
        Length of the window.
    min_runs : int
        Segment runs needed to state a slowdown.

    Attributes
    ----------
    own_pids : set of int
        Processes whose core time is not foreign: this one, and those that the runtime starts for itself.
    """

    def __init__(self, window_us: float = 2e6, min_runs: int = 5) -> None:
        self.window_us = window_us
        self.min_runs = min_runs
        self.own_pids = {os.getpid()}
        self._lock = threading.Lock()
        self._arrivals: deque[tuple[float, str]] = deque()
        self._runs: deque[_Run] = deque()
        self._samples: deque[CoreSample] = deque([CoreSample.take(set(self.own_pids))])

    def arrived(self, model: str, at_us: float) -> None:
        """Note an arrival."""
        with self._lock:
            self._arrivals.append((at_us, model))
            self._drop(at_us - self.window_us)

    def finished(self, record: RequestRecord, predicted: Mapping[tuple[int, int | None], tuple[str, float]]) -> None:
        """Note the segments of a request; `predicted` has configuration name and microseconds by segment and gang."""
        runs, ran_us, whole_us = [], 0.0, 0.0
        for segment in record.segments:
            configuration, expected_us = predicted[segment.segment, segment.gang]
            took_us = segment.finish_us - segment.start_us
            ran_us, whole_us = ran_us + took_us, whole_us + expected_us
            if expected_us > 0:
                runs.append(_Run(segment.finish_us, record.model, configuration, took_us / expected_us))
        if whole_us > 0:
            runs.append(_Run(record.finish_us, record.model, "", ran_us / whole_us))
        with self._lock:
            self._runs.extend(runs)
            self._drop(record.finish_us - self.window_us)

    def forget(self) -> None:
        """Begin the window anew: what it holds is not to be believed, for this process was stopped meanwhile."""
        with self._lock:
            self._arrivals.clear()
            self._runs.clear()
            self._samples = deque([CoreSample.take(set(self.own_pids))])

    def _drop(self, oldest_us: float) -> None:
        """Forget what is older: also where nobody observes."""
        while self._arrivals and self._arrivals[0][0] < oldest_us:
            self._arrivals.popleft()
        while self._runs and self._runs[0].at_us < oldest_us:
            self._runs.popleft()

    def observe(self) -> Observation:
        """Summarise the window that ends now and forget what is older."""
        now, sample = now_us(), CoreSample.take(set(self.own_pids))
        oldest = now - self.window_us
        with self._lock:
            self._samples.append(sample)
            while len(self._samples) > 2 and self._samples[1].at_us <= oldest:
                self._samples.popleft()
            self._drop(oldest)
            foreign = foreign_share(self._samples[0], sample) if self._samples[0].at_us < now else {}
            arrivals = [model for _, model in self._arrivals]
            runs = list(self._runs)
        ratios: dict[tuple[str, str], list[float]] = {}
        if max(foreign.values(), default=0.0) < BUSY_CORE:
            for run in runs:
                ratios.setdefault((run.model, run.configuration), []).append(run.ratio)
        medians = {key: float(np.median(values)) for key, values in ratios.items() if len(values) >= self.min_runs}
        return Observation(
            self.window_us,
            {m: arrivals.count(m) for m in set(arrivals)},
            {model: ratio for (model, configuration), ratio in medians.items() if not configuration},
            {key: ratio for key, ratio in medians.items() if key[1]},
            foreign,
        )
