"""Points made from a front carry its plans, and their figures are the evaluator's."""

from __future__ import annotations

import pytest
from edgeplan.formulation import Activity, PlanError, evaluate
from edgeplan.solvers import solve
from edgeplan.solvers.operating_points import from_front
from edgeplan.solvers.testing import ProblemKind, random_problem


def test_points_from_a_front() -> None:
    problem = random_problem(ProblemKind(objective="front", layers=4, two_memories=True, memory_slack=None), 3)
    front = solve(problem, "brute_force").front

    def measured(model: str, configuration: str, processor: str, threads: int) -> Activity:
        return Activity(
            model=model,
            configuration=configuration,
            processor=processor,
            threads=threads,
            sensitivity=0.25,
            pressure=0.5,
        )

    model = from_front(problem, front, rate_hz=3.0, contention=measured, recompile_us=100.0)
    assert len(model.points) == len(front) > 1
    for point, source in zip(model.points, front, strict=True):
        scored = evaluate(problem, source.plan)
        segments = scored.models[model.model].segments
        assert point.plan == source.plan.models[0]
        assert dict(point.memory_bytes) == dict(scored.memory_bytes)
        assert sum(use.busy_us for use in point.uses) == pytest.approx(sum(s.latency_us for s in segments))
        assert point.latency_us >= source.latency_us
        assert point.recompile_us == 100.0 * len(segments)
        assert {(use.sensitivity, use.pressure) for use in point.uses} == {(0.25, 0.5)}


def test_several_models_are_refused() -> None:
    with pytest.raises(PlanError, match="one model"):
        from_front(random_problem(ProblemKind(models=2, layers=2), 0), (), rate_hz=1.0)
