"""Drift tests, hysteresis and the observer that feeds them."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from edgeplan.runtime_bridge import (
    Assumptions,
    Drift,
    DriftTest,
    Hysteresis,
    Observation,
    Observer,
    RequestRecord,
    SegmentRecord,
    core_hog,
    now_us,
)
from edgeplan.runtime_bridge.cores import CoreSample, foreign_share

ASSUMED = Assumptions({"a": 20.0})


def seen(arrivals: int = 40, slowdown: float | None = None, foreign: float = 0.0) -> Observation:
    slow = {} if slowdown is None else {"a": slowdown}
    return Observation(2e6, {"a": arrivals}, slow, {}, {0: foreign, 1: 0.0})


def test_what_was_assumed_is_no_drift() -> None:
    assert DriftTest().drifts(seen(slowdown=1.1, foreign=0.1), ASSUMED) == ()


@pytest.mark.parametrize(
    ("observation", "kind", "subject"),
    [
        (seen(arrivals=80), "rate", "a"),
        (seen(arrivals=10), "rate", "a"),
        (seen(arrivals=0), "rate", "a"),
        (seen(slowdown=1.6), "slowdown", "a"),
        (seen(slowdown=0.6), "slowdown", "a"),
        (seen(foreign=0.5), "core", "core 0"),
    ],
)
def test_each_kind_of_drift_is_named(observation: Observation, kind: str, subject: str) -> None:
    assert [(d.kind, d.subject) for d in DriftTest().drifts(observation, ASSUMED)] == [(kind, subject)]


def test_a_poisson_stream_at_its_rate_seldom_looks_like_drift() -> None:
    counts = np.random.default_rng(0).poisson(40, size=2000)
    alarms = sum(bool(DriftTest().drifts(seen(arrivals=int(c)), ASSUMED)) for c in counts)
    assert alarms < 0.005 * len(counts)


def test_a_core_is_free_again_only_well_below_the_mark_at_which_it_was_taken() -> None:
    taken = Assumptions({"a": 20.0}, taken=frozenset({0}))
    assert DriftTest().drifts(seen(foreign=0.3), taken) == ()
    assert [d.kind for d in DriftTest().drifts(seen(foreign=0.05), taken)] == ["core"]


def test_a_drift_must_last_and_a_decision_is_followed_by_rest() -> None:
    rule, drift = Hysteresis(persistence=2, rest_us=100), (Drift("rate", "a", 1, 2),)
    assert rule.admit(drift, 0) == ()
    assert rule.admit((), 1) == ()
    assert rule.admit(drift, 2) == ()
    assert rule.admit(drift, 3) == drift
    rule.decided(4)
    assert rule.admit(drift, 50) == ()
    assert rule.admit(drift, 105) == drift


def record(us: float, at_us: float) -> RequestRecord:
    segment = SegmentRecord(0, (0,), at_us - us, at_us, us)
    return RequestRecord(0, "a", 0, at_us - us, float("inf"), at_us, [segment])


def test_the_observer_states_rates_and_the_median_slowdown_of_the_window() -> None:
    observer = Observer(window_us=1e6, min_runs=3)
    now = now_us()
    observer.arrived("a", now - 5e6)
    observer.finished(record(900, now - 5e6), {(0, None): ("c", 100.0)})
    for us in (150, 200, 1000):
        observer.arrived("a", now)
        observer.finished(record(us, now), {(0, None): ("c", 100.0)})
    observation = observer.observe()
    assert observation.arrivals == {"a": 3}
    assert observation.rate_hz("a") == 3
    if all(share < 0.15 for share in observation.foreign.values()):
        assert observation.slowdown == {("a", "c"): 2.0}
        assert observation.latency_ratio == {"a": 2.0}


def test_too_few_runs_state_nothing() -> None:
    observer = Observer(min_runs=2)
    observer.finished(record(200, now_us()), {(0, None): ("c", 100.0)})
    assert observer.observe().slowdown == {}


def test_somebody_elses_work_on_a_core_is_seen_and_ones_own_is_not() -> None:
    core = max(os.sched_getaffinity(0))
    with core_hog(core) as hog:
        before, with_hog = CoreSample.take(), CoreSample.take([os.getpid(), hog])
        time.sleep(1.0)
        foreign = foreign_share(before, CoreSample.take())[core]
        left = foreign_share(with_hog, CoreSample.take([os.getpid(), hog]))[core]
    assert foreign > 0.3
    assert left < foreign - 0.2


def test_what_nobody_observes_is_forgotten_too() -> None:
    observer = Observer(window_us=1e6)
    for k in range(5000):
        at_us = 1e4 * k
        observer.arrived("a", at_us)
        record = RequestRecord(k, "a", 0, at_us, at_us + 1e6, at_us + 100.0)
        record.segments.append(SegmentRecord(0, (0,), at_us, at_us + 100.0, 100.0))
        observer.finished(record, {(0, None): ("c", 100.0)})
    assert len(observer._arrivals) < 200
    assert len(observer._runs) < 400
