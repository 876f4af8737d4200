"""Tests of what is seen: certain before they speak, silent on what the system does not say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgeplan.formulation import WorkloadError
from edgeplan.runtime_bridge.operating_points import LatencyTest, MemAvailable, PressureStall, RateTest


def test_one_sample_says_nothing_and_noise_around_the_prediction_neither() -> None:
    test = LatencyTest()
    test.add(1e9, 1.0)
    assert test.drift is None
    false_alarms = 0
    for seed in range(300):
        noise = LatencyTest()
        for ratio in np.random.default_rng(seed).lognormal(0, 0.5, 40):
            noise.add(ratio, 1.0)
        false_alarms += noise.drift is not None
    assert false_alarms == 0


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_a_lasting_change_is_found_either_way_and_forgotten(factor: float) -> None:
    test = LatencyTest()
    for ratio in np.random.default_rng(0).lognormal(math.log(factor), 0.2, 20):
        test.add(ratio * 100, 100)
    assert test.drift == pytest.approx(factor, rel=0.2)
    test.forget()
    assert test.drift is None


def test_what_cannot_be_predicted_does_not_count() -> None:
    test = LatencyTest(at_least=6)
    for _ in range(10):
        test.add(5.0, math.inf)
    assert test.drift is None


@pytest.mark.parametrize("wrong", [{"confidence": 1.0}, {"factor": 0.5}, {"at_least": 1}, {"samples": 3}])
def test_settings_without_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(WorkloadError, match="latency test"):
        LatencyTest(**wrong)


def test_a_rate_is_doubted_only_where_the_interval_excludes_it() -> None:
    test = RateTest(window_us=4e6)
    for step in range(20):
        test.add(step * 0.25e6, step * 10)
        if step < 16:
            assert test.drift(10.0) is None  # the window is not full
    assert test.drift(10.0) == pytest.approx(40.0, rel=0.05)
    assert test.drift(41.0) is None


def test_memory_is_read_as_linux_writes_it() -> None:
    assert MemAvailable(lambda: "MemTotal: 8 kB\nMemAvailable:      3 kB\n").bytes() == 3072
    assert MemAvailable(lambda: "nothing").bytes() == math.inf
    text = "some avg10=25.00 avg60=1.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    assert PressureStall(0.2, lambda: text).share() == 0.25
    assert PressureStall(0.2, lambda: text).is_short
    assert not PressureStall(0.3, lambda: text).is_short

    def missing() -> str:
        raise FileNotFoundError

    assert MemAvailable(missing).bytes() == math.inf
    assert PressureStall(0.2, missing).share() is None
    assert not PressureStall(0.2, missing).is_short
