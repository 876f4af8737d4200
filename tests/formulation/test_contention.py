"""Co-run slowdown: nothing beside, nothing lost; and the two factors of the formula."""

import numpy as np
import pytest
from edgeplan.formulation import Activity, ContentionModel, CostError, co_run_slowdowns

BUSY = Activity(model="a", configuration="x/t1", sensitivity=0.5, pressure=0.2)
QUIET = Activity(model="b", configuration="x/t1", sensitivity=0.1, pressure=0.4)


def test_alone_nothing_is_slower() -> None:
    assert co_run_slowdowns([BUSY], cores=1) == pytest.approx([1.0])


def test_sensitivity_meets_the_others_pressure() -> None:
    assert co_run_slowdowns([BUSY, QUIET], cores=2) == pytest.approx([1 + 0.5 * 0.4, 1 + 0.1 * 0.2])


def test_more_threads_than_cores_share_them_evenly() -> None:
    three = [Activity(model=name, configuration="x/t1") for name in "abc"]
    assert co_run_slowdowns(three, cores=2) == pytest.approx(np.full(3, 1.5))


def test_what_runs_seldom_presses_seldom() -> None:
    assert co_run_slowdowns([BUSY, QUIET], cores=2, active=[1.0, 0.0])[0] == 1.0


def test_unmeasured_activities_feel_nothing() -> None:
    model = ContentionModel(activities=(BUSY,))
    assert model.activity("a", "x/t1") == BUSY
    assert model.activity("z", "x/t1").sensitivity == 0.0


def test_an_activity_twice_is_refused() -> None:
    with pytest.raises(CostError, match="each activity once"):
        ContentionModel(activities=(BUSY, BUSY))


def test_threads_that_wait_for_each_other_lose_more_than_their_share() -> None:
    joint = Activity(model="j", configuration="x/t2", threads=2, oversubscription=2.0)
    single = Activity(model="s", configuration="x/t1")
    assert co_run_slowdowns([joint, single], cores=2) == pytest.approx([1.5**2, 1.5])


def test_threads_that_sleep_leave_their_neighbours_alone() -> None:
    sleepy = Activity(model="j", configuration="x/t2", threads=2, claim=0.5)
    single = Activity(model="s", configuration="x/t1")
    assert co_run_slowdowns([sleepy, single], cores=2) == pytest.approx([1.5, 1.0])
    assert co_run_slowdowns([sleepy], cores=2) == pytest.approx([1.0])
