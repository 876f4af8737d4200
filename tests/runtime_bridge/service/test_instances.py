"""What an instance predicts: by batch size, and at the pace that batches really keep."""

from __future__ import annotations

import numpy as np
import pytest
from edgeplan.runtime_bridge.service import ServedInstance, Stage, planned_instances

from .conftest import Lookups
from .virtual import whole


def test_stages_add_up() -> None:
    instance = ServedInstance("m", 0, (Stage(1, (0,), (10.0, 15.0)), Stage(2, (0, 1), (1.0, 2.0))))
    assert instance.service_us == (11.0, 17.0)
    instance.keep_pace(2.0)
    assert instance.service_us == (22.0, 34.0)


@pytest.mark.parametrize("slowdown", [0.5, 1.0, 3.0])
def test_the_pace_comes_to_what_one_batch_in_ten_exceeds(slowdown: float) -> None:
    rng = np.random.default_rng(7)
    instance = whole(0, (100.0, 180.0))
    exceeded, predicted = [], []
    for k in range(6000):
        size = 1 + k % 2
        took_us = slowdown * (100.0, 180.0)[size - 1] * rng.lognormal(sigma=0.2)
        exceeded.append(took_us > instance.service_us[size - 1])
        predicted.append(instance.pace)
        instance.observe(size, took_us)
    assert np.mean(exceeded[1000:]) == pytest.approx(0.1, abs=0.01)
    # The quantile of the lognormal is exp(1.2816 · 0.2) = 1.292.
    assert np.mean(predicted[1000:]) == pytest.approx(1.292 * slowdown, rel=0.05)


def test_a_batch_runs_in_the_smallest_session_that_holds_it(lookups: Lookups) -> None:
    (planned,) = planned_instances(lookups.problem, lookups.plan(3), time_factor=2.0)["left"]
    assert sorted(planned.segments) == [1, 2, 4]
    assert [planned.open_size(size) for size in (1, 2, 3)] == [1, 2, 4]
    assert planned.served.service_us == (2 * 170.0, 2 * 320.0, 2 * 620.0)
    (small,) = planned_instances(lookups.problem, lookups.plan(2))["left"]
    assert sorted(small.segments) == [1, 2]
