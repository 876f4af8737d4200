"""The controller on a live runtime: it sees what happens, switches, loses nothing, and can be replayed."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from edgeplan.formulation.tenancy import Allocation, TenancyProblem
from edgeplan.runtime_bridge import Arrivals
from edgeplan.runtime_bridge.tenancy import (
    ControllerSettings,
    Journal,
    TenancyController,
    TenantRuntime,
    propose,
    replay,
)

from .conftest import ACCELERATOR, CPU, Pair, allocate, feeds, needs_two_cores

pytestmark = needs_two_cores
SETTINGS = ControllerSettings(
    interval_s=0.05, rate_windows_s=(0.25, 0.5, 1.0), persistence=2, rest_s=10.0, cost_change=100.0
)
LEFT_WHOLE, RIGHT_WHOLE = allocate((4, 0), (0, 1)), allocate((0, 1), (4, 0))


def predict(problem: TenancyProblem, allocation: Allocation) -> float:
    """Whoever is asked more should be whole on the accelerator."""
    left_first = problem.rate_hz[0] > problem.rate_hz[1]
    return 1000.0 if (allocation.tenants[0].point == 4) == left_first else 2000.0


def solve(problem: TenancyProblem) -> SimpleNamespace:
    return SimpleNamespace(allocation=min((LEFT_WHOLE, RIGHT_WHOLE), key=lambda a: predict(problem, a)))


def steady(tenants: tuple[str, ...], seconds: float, rate_hz: float) -> Arrivals:
    n = int(seconds * rate_hz)
    return Arrivals(tuple(tenants[k % len(tenants)] for k in range(n)), np.arange(n) * 1e6 / rate_hz)


@pytest.fixture
def problem(pair: Pair) -> TenancyProblem:
    return pair.problem().replace(rate_hz=np.array([80.0, 10.0]))


def test_a_change_of_the_load_leads_to_an_exchange_that_can_be_replayed(
    pair: Pair, problem: TenancyProblem, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    inputs = {"left": feeds(), "right": feeds()}
    seen = []
    with TenantRuntime(problem, LEFT_WHOLE, pair.models, accelerator_cores=ACCELERATOR, cpu_cores=CPU) as runtime:
        with TenancyController(
            runtime, solve, settings=SETTINGS, predict=predict, journal_path=path, on_decision=seen.append
        ) as controller:
            runtime.offer(steady(("right",) * 8 + ("left",), 1.5, 90.0), inputs)
            runtime.drain(20)
            deadline = time.monotonic() + 5
            while not controller.decisions and time.monotonic() < deadline:
                time.sleep(0.02)
        assert runtime.version == 1
        assert runtime.allocation == RIGHT_WHOLE
        records = list(runtime.records)
    assert len(records) == 135
    assert not any(r.error for r in records)
    journal = Journal.load(path)
    assert journal.complete
    assert [c.decision for c in journal.decisions] == controller.decisions == seen
    (considered,) = journal.decisions
    assert considered.decision.action == "switch"
    assert considered.outcome is not None
    assert considered.outcome.done
    assert considered.outcome.opening_us > 0
    assert sum(t.arrivals for w in journal.windows for t in w.tenants) <= 135
    assert any(t.service_us for w in journal.windows for t in w.tenants)
    for again in (None, lambda p, a, b: propose(p, a, b, solve, predict)):
        assert replay(journal, again).difference is None


def test_a_defect_of_the_solver_is_raised_at_the_end_and_requests_are_served_on(
    pair: Pair, problem: TenancyProblem
) -> None:
    inputs = {"left": feeds(), "right": feeds()}
    with TenantRuntime(problem, LEFT_WHOLE, pair.models, accelerator_cores=ACCELERATOR, cpu_cores=CPU) as runtime:
        controller = TenancyController(runtime, lambda _: 1 / 0, settings=SETTINGS, predict=predict)
        controller.__enter__()
        runtime.offer(steady(("right",) * 8 + ("left",), 1.0, 90.0), inputs)
        runtime.drain(20)
        with pytest.raises(ZeroDivisionError):
            controller.close()
        assert len(runtime.records) == 90
        assert not any(r.error for r in runtime.records)


def test_an_exchange_that_fails_is_written_down_and_the_old_allocation_serves_on(
    pair: Pair, problem: TenancyProblem
) -> None:
    class Broken(TenantRuntime):
        def exchange(self, allocation: Allocation) -> float:
            return super().exchange(allocate((2, 0), (2, 0)))

    inputs = {"left": feeds(), "right": feeds()}
    with Broken(problem, LEFT_WHOLE, pair.models, accelerator_cores=ACCELERATOR, cpu_cores=CPU) as runtime:
        with TenancyController(runtime, solve, settings=SETTINGS, predict=predict) as controller:
            runtime.offer(steady(("right",) * 8 + ("left",), 1.0, 90.0), inputs)
            runtime.drain(20)
        assert runtime.version == 0
        assert not any(r.error for r in runtime.records)
    (considered,) = controller.journal.decisions
    assert considered.outcome is not None
    assert not considered.outcome.done
    assert "cores" in considered.outcome.failure
    assert replay(controller.journal).difference is None
