"""Timing: intervals that cover, repeats that end, and what others take of the machine."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping

import numpy as np
import pytest
from edgeplan.profiles.foreign_load import ForeignLoad
from edgeplan.profiles.measure import StopRule, on_core, summarise_latency, time_session
from hypothesis import given
from hypothesis import strategies as st


class Clockwork:
    """A session that counts its runs and takes no time worth speaking of."""

    input_names = ("x",)
    output_names = ("y",)

    def __init__(self) -> None:
        self.runs = 0

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.runs += 1
        return dict(feeds)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("n", [6, 7, 10, 17, 30, 60])
@pytest.mark.parametrize("distribution", ["lognormal", "pareto", "two modes"])
def test_the_interval_covers_the_median(n: int, distribution: str) -> None:
    rng = np.random.default_rng(n)
    draws = {
        "lognormal": lambda size: rng.lognormal(0, 0.4, size),
        "pareto": lambda size: 1 + rng.pareto(1.5, size),
        "two modes": lambda size: np.where(rng.random(size) < 0.45, 3, 1) + rng.random(size),
    }[distribution]
    median = np.median(draws(1_000_000))
    trials = 2000
    summaries = [summarise_latency(draws(n)) for _ in range(trials)]
    covered = sum(s.low_us <= median <= s.high_us for s in summaries)
    # 0.95 less four standard deviations of a binomial share
    assert covered / trials >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / trials)


@given(st.lists(st.floats(min_value=0, max_value=1e9), min_size=1, max_size=40))
def test_a_summary_is_ordered_and_within_what_was_seen(times: list[float]) -> None:
    summary = summarise_latency(times)
    assert min(times) <= summary.low_us <= summary.median_us <= summary.high_us <= max(times)
    assert summary.repeats == len(times)


def test_one_outlier_moves_nothing() -> None:
    times = [100.0 + k for k in range(21)]
    with_outlier = [*times[:-1], 1e6]
    assert summarise_latency(times).median_us == summarise_latency(with_outlier).median_us
    assert summarise_latency(with_outlier).spread_us < 20


def test_repeats_keep_to_their_limits() -> None:
    never, session = StopRule(1e-9, min_repeats=3, max_repeats=12, max_s=60, warm_up=4), Clockwork()
    assert time_session(session, {}, never).repeats <= 12
    assert session.runs <= 16
    at_once, session = StopRule(1e9, min_repeats=5, max_repeats=100, max_s=60, warm_up=1), Clockwork()
    assert time_session(session, {}, at_once).repeats == 5
    out_of_time = StopRule(1e-9, min_repeats=3, max_repeats=10**6, max_s=60).within(-1.0)
    assert time_session(Clockwork(), {}, out_of_time).repeats == 3


def test_work_runs_on_the_core_asked_for_and_failures_come_back() -> None:
    core = max(os.sched_getaffinity(0))
    assert on_core(core, lambda: os.sched_getaffinity(0)) == {core}
    assert os.sched_getaffinity(0) != {core} or os.cpu_count() == 1
    with pytest.raises(ZeroDivisionError):
        on_core(core, lambda: 1 // 0)


def test_what_others_take_is_noticed() -> None:
    hog = "import time\nend = time.monotonic() + 1.6\nwhile time.monotonic() < end: pass"
    load = ForeignLoad()
    with subprocess.Popen([sys.executable, "-c", hog]) as process:
        time.sleep(1.3)
        share = load.share()
        process.kill()
    assert share >= 0.5 / (os.cpu_count() or 1)
