"""Fronts of models whose costs add up: brute force, general label setting and the evaluator agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from edgeplan.formulation import (
    Configuration,
    CostTable,
    LayerGraph,
    Limits,
    Memory,
    Model,
    Periodic,
    Platform,
    Problem,
    Processor,
    Stream,
    evaluate,
)
from edgeplan.solvers import FrontPoint, SolverBugError, TimeLimit, solve
from edgeplan.solvers.dynamic_program import DynamicProgram
from edgeplan.solvers.fronts.layered import LayeredModel
from edgeplan.solvers.fronts.lazy_front import LazyFront
from edgeplan.solvers.testing import ProblemKind, random_problem
from edgeplan.solvers.verify import verified

SEEDS = [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
KINDS = [
    pytest.param(ProblemKind("front", layers=4), id="chain", marks=pytest.mark.slow),
    pytest.param(ProblemKind("front", layers=4, cores=1, unsupported=0.3), id="missing costs"),
    pytest.param(ProblemKind("front", layers=4, memory_slack=0.9), id="memory"),
    pytest.param(
        ProblemKind("front", layers=4, streams=True, deadline_slack=0.9, memory_slack=None),
        id="deadline",
        marks=pytest.mark.slow,
    ),
    pytest.param(ProblemKind("front", layers=4, two_memories=True, memory_slack=None), id="two memories"),
]


def adding_up(problem: Problem, workspace: bool = True) -> Problem:
    """The problem with costs that add up: nothing measured as a whole, no workspace held."""
    (model,) = problem.models
    costs = replace(model.costs, measured=(), holds_workspace=np.zeros(len(model.costs.configurations), dtype=bool))
    if not workspace:
        costs = replace(costs, workspace_bytes=np.zeros_like(costs.workspace_bytes))
    return problem.replace(models=(replace(model, costs=costs),))


def long_problem(n: int, seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    layers = [(f"l{i}", "Op", int(rng.integers(1, 2e6)), 1000) for i in range(n)]
    costs = CostTable.create(
        [Configuration(backend=b) for b in "abcd"],
        rng.lognormal(6, 1, n)[:, None] * rng.uniform(0.3, 1.7, (n, 4)),
        fixed_us=80.0,
        weight_scale=[1, 2.1, 1.5, 1.3],
        session_bytes=1e5,
    )
    cpu = Processor(name="cpu", cores=(0, 1), memory="host")
    memory = Memory.model_validate({"name": "host", "capacity_bytes": 1 << 40})
    platform = Platform(name="p", processors=(cpu,), memories=(memory,))
    return Problem((Model("m", LayerGraph.chain("m", layers, 6), costs),), platform, objective="front")


def figures(points: Sequence[FrontPoint]) -> list[tuple[float, float]]:
    return [(p.latency_us, p.memory_bytes) for p in points]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workspace", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("seed", SEEDS)
def test_equals_brute_force(kind: ProblemKind, workspace: bool, seed: int) -> None:
    problem = adding_up(random_problem(kind, seed), workspace)
    oracle, found = solve(problem, "brute_force"), solve(problem, "dynamic_program")
    assert found.status == oracle.status
    assert figures(found.front) == figures(oracle.front)


@pytest.mark.parametrize("workspace", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_equals_general_label_setting(workspace: bool, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = adding_up(random_problem(ProblemKind("front", layers=14, memory_slack=None), seed), workspace)
    fast = solve(problem, "dynamic_program")
    assert isinstance(fast.front, LazyFront)
    monkeypatch.setattr(LayeredModel, "of", lambda problem, model: None)
    general = solve(problem, "dynamic_program")
    assert not isinstance(general.front, LazyFront)
    assert figures(fast.front) == figures(general.front)


def test_costs_that_do_not_add_up_go_the_general_way() -> None:
    problem = random_problem(ProblemKind("front", layers=6, memory_slack=None), 1)
    (model,) = problem.models
    assert model.costs.measured
    assert LayeredModel.of(problem, model) is None
    plain = adding_up(problem)
    assert LayeredModel.of(plain, plain.models[0]) is not None
    held = replace(plain.models[0].costs, holds_workspace=np.ones(len(model.costs.configurations), dtype=bool))
    assert LayeredModel.of(plain, replace(plain.models[0], costs=held)) is None
    busy = Stream(model=model.name, arrival=Periodic(period_us=1))
    loaded = plain.replace(streams=(busy,))
    assert LayeredModel.of(loaded, loaded.models[0]) is None


@pytest.mark.parametrize("kind", KINDS)
def test_plans_in_rows_are_scored_as_the_evaluator_scores_them(kind: ProblemKind) -> None:
    problem = adding_up(random_problem(replace(kind, layers=9), 3), workspace=not kind.two_memories)
    layered = LayeredModel.of(problem.replace(limits=Limits()), problem.models[0])
    if layered is None:
        pytest.skip("transient bytes in two memories do not add up")
    rows = np.random.default_rng(0).integers(0, len(layered.usable), (50, layered.n_units))
    front = solve(problem, "dynamic_program").front
    for row, (latency_us, memory_bytes) in zip(rows, layered.figures(rows), strict=True):
        part = layered.model_plan(row)
        plan = front[0].plan.model_copy(update={"models": (part,)})
        score = evaluate(problem.replace(limits=Limits(), streams=()), plan)
        if np.isfinite(latency_us):
            assert score.models[part.model].latency_us == latency_us
            assert sum(score.memory_bytes.values()) == memory_bytes
        else:
            assert not score.feasible


def test_points_of_a_long_front_are_what_the_evaluator_says() -> None:
    problem = long_problem(60)
    solution = solve(problem)
    assert solution.status == "optimal"
    assert isinstance(solution.front, LazyFront)
    points = solution.front
    assert len(points) > 100
    for point in [*points[::40], points[-1]]:
        score = evaluate(problem, point.plan)
        assert (score.objective, sum(score.memory_bytes.values())) == (point.latency_us, point.memory_bytes)
        assert point.plan.solver.objective == point.latency_us
        assert point.plan.solver.status == "optimal"
    with pytest.raises(IndexError):
        points[len(points)]


def test_an_approximate_front_says_feasible_and_keeps_its_factor() -> None:
    problem = long_problem(60)
    exact, near = solve(problem), solve(problem, DynamicProgram(epsilon=0.01))
    assert near.status == "feasible"
    assert len(near.front) < len(exact.front)
    rows = np.array(figures(near.front)) / 1.01
    assert all(np.any(np.all(rows <= point, axis=1)) for point in figures(exact.front))


def test_a_claim_that_the_segments_contradict_is_a_bug() -> None:
    problem = long_problem(20)
    solution = DynamicProgram().solve(problem, TimeLimit(60), 0)
    assert isinstance(solution.front, LazyFront)
    wrong = solution.front.figures.copy()
    wrong[3, 1] -= 1.0
    with pytest.raises(SolverBugError, match="point 3"):
        verified(problem, replace(solution, front=replace(solution.front, figures=wrong)))


def test_out_of_time_hands_back_supported_points() -> None:
    class Now:
        remaining_s = 0.0

        def __call__(self) -> bool:
            return True

    problem = long_problem(40)
    solution = verified(problem, DynamicProgram().solve(problem, Now(), 0))
    assert solution.status == "feasible"
    assert len(solution.front) > 3


def test_one_layer_and_no_cost_at_all() -> None:
    graph = LayerGraph.chain("m", [("a", "Op", 0, 0)], 0)
    costs = CostTable.create([Configuration(backend="b"), Configuration(backend="c")], [[0.0, np.nan]])
    problem = long_problem(1).replace(models=(Model("m", graph, costs),))
    assert figures(solve(problem).front) == [(0.0, 0.0)]
