"""What makes no sense is refused with its name; the evaluator's figures meet closed forms and grow with use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from edgeplan.formulation import CostError, EdgePlanError, PlanError, PlatformError, WorkloadError
from edgeplan.formulation.operating_points import (
    ModelPoints,
    OperatingPoint,
    OperatingPointProblem,
    ProcessorUse,
    SharedProcessor,
    evaluate_points,
)
from edgeplan.solvers.operating_points.testing import random_points


def point(name: str = "p", busy_us: float = 1e4, size: float = 1e6, **more: float) -> OperatingPoint:
    return OperatingPoint(name, busy_us, {"ram": size}, (ProcessorUse("cpu", busy_us),), **more)


def problem(*models: ModelPoints, cores: int = 1, **more: object) -> OperatingPointProblem:
    return OperatingPointProblem(models, (SharedProcessor("cpu", cores),), **more)


@pytest.mark.parametrize(
    ("make", "error", "what"),
    [
        (lambda: point(busy_us=-1.0), CostError, "busy_us"),
        (lambda: point(size=float("nan")), CostError, "memory_bytes"),
        (lambda: point(recompile_us=float("inf")), CostError, "recompile_us"),
        (lambda: OperatingPoint("p", 1.0, {}, ()), CostError, "at least one processor"),
        (lambda: OperatingPoint("p", 1.0, {}, (ProcessorUse("cpu", 2.0),)), CostError, "covers the time"),
        (lambda: ModelPoints("m", (), 1.0), WorkloadError, "at least one"),
        (lambda: ModelPoints("m", (point(), point()), 1.0), WorkloadError, "each name once"),
        (lambda: ModelPoints("m", (point(),), 0.0), WorkloadError, "rate_hz"),
        (lambda: ModelPoints("m", (point(),), 1.0, weight=-1.0), WorkloadError, "weight"),
        (lambda: ModelPoints("m", (point(),), 1.0, current=1), WorkloadError, "current point"),
        (problem, WorkloadError, "models"),
        (lambda: problem(ModelPoints("m", (point(),), 1.0), objective="misses"), WorkloadError, "deadline"),
        (lambda: problem(ModelPoints("m", (point(),), 1.0), horizon_us=0.0), WorkloadError, "horizon"),
        (lambda: problem(ModelPoints("m", (point(),), 1.0), memory_limit_bytes={"ram": 0.0}), PlatformError, "ram"),
        (lambda: problem(ModelPoints("m", (point(),), 1.0), cores=0), PlatformError, "one core"),
        (
            lambda: OperatingPointProblem((ModelPoints("m", (point(),), 1.0),), (SharedProcessor("gpu"),)),
            PlatformError,
            "cpu: 1",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object], error: type[EdgePlanError], what: str) -> None:
    with pytest.raises(error, match=what):
        make()


def test_a_choice_that_is_none_is_refused() -> None:
    with pytest.raises(PlanError, match="one index for each model"):
        evaluate_points(problem(ModelPoints("m", (point(),), 1.0)), (1,))


def test_one_model_alone_waits_as_an_m_d_1_queue() -> None:
    service_us, rate_hz = 1e4, 60.0
    rho = rate_hz * service_us / 1e6
    scored = evaluate_points(problem(ModelPoints("m", (point(),), rate_hz)), (0,))
    assert scored.models[0].execution_us == pytest.approx(service_us)
    assert scored.response_us == pytest.approx(service_us * (1 + rho / (2 * (1 - rho))))


def test_beside_others_one_core_is_shared_and_a_switch_costs_its_share_of_the_horizon() -> None:
    other = ModelPoints("other", (point(),), 30.0)
    scored = evaluate_points(problem(ModelPoints("m", (point(),), 1e-9), other), (0, 0))
    assert scored.models[0].execution_us == pytest.approx(1e4 / (1 - 0.3))
    slow = ModelPoints("m", (point("a"), point("b", recompile_us=2e6)), 1.0, current=0)
    kept, moved = (evaluate_points(problem(slow, horizon_us=20e6), (k,)).objective for k in (0, 1))
    assert moved - kept == pytest.approx((2e6) ** 2 / (2 * 20e6))


def test_background_takes_its_fair_share_and_slowdown_multiplies() -> None:
    asked = problem(ModelPoints("m", (point(),), 1e-6))
    busy = asked.replace(processors=(SharedProcessor("cpu", 1, background_cores=1.0, slowdown=1.5),))
    assert evaluate_points(busy, (0,)).response_us == pytest.approx(3 * evaluate_points(asked, (0,)).response_us)
    wide = asked.replace(processors=(SharedProcessor("cpu", 4, background_cores=2.0),))
    assert evaluate_points(wide, (0,)).response_us == pytest.approx(1e4)


def test_what_breaks_a_limit_is_said() -> None:
    full = problem(ModelPoints("m", (point(),), 99.0), memory_limit_bytes={"ram": 10.0})
    scored = evaluate_points(full, (0,))
    assert not np.isfinite(scored.objective)
    assert [violation.split(":")[0] for violation in scored.violations] == ["utilisation of cpu", "memory ram"]


@pytest.mark.parametrize("objective", ["response", "misses"])
@pytest.mark.parametrize("seed", range(4))
def test_costs_grow_with_the_use_of_every_processor(objective: str, seed: int) -> None:
    tables = random_points(3, 4, seed, objective=objective).tables
    rng = np.random.default_rng(seed)
    low = tables.use[:, 0].sum(axis=0)
    for column in range(2 * tables.n_processors):
        high = low.copy()
        high[column] += rng.uniform(0, 0.3)
        assert np.all(tables.cost_rows(high) >= tables.cost_rows(low))


def test_one_evaluator_scores_alone_and_in_bulk() -> None:
    asked = random_points(3, 4, 5, load=0.2, memory_share=None)
    choices = np.array(np.meshgrid(*[range(4)] * 3)).reshape(3, -1).T
    bulk = asked.tables.objectives(choices)
    assert [evaluate_points(asked, c).objective for c in choices.tolist()] == bulk.tolist()
    assert evaluate_points(asked.with_current((1, 2, 3)), (1, 2, 3)).models[0].switch_us == 0
    assert asked.choice({"m0": "p1", "m1": "p0", "m2": "p3"}) == (1, 0, 3)
    assert replace(asked, max_utilisation=0.5).tables.highest[0] == 0.5
