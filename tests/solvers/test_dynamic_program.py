"""The dynamic program is exact: it gives what brute force gives, to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from edgeplan.formulation import (
    Configuration,
    CostTable,
    Layer,
    LayerGraph,
    Limits,
    Memory,
    Model,
    Objective,
    Periodic,
    Platform,
    Problem,
    Processor,
    Stream,
    UnsupportedError,
    cut_chain,
)
from edgeplan.solvers import Limit, Solution, solve
from edgeplan.solvers.chain import not_serial
from edgeplan.solvers.testing import ProblemKind, random_problem

ONE = Configuration(backend="b")
GANG = Configuration(backend="b", threads=2)


def platform(n_cores: int = 2, capacity: int = 1 << 40) -> Platform:
    return Platform(
        name="p",
        processors=(Processor(name="cpu", cores=tuple(range(n_cores)), memory="host"),),
        memories=(Memory.model_validate({"name": "host", "capacity_bytes": capacity}),),
    )


def figures(solution: Solution) -> list[tuple[float, float]]:
    return [(point.latency_us, point.memory_bytes) for point in solution.front]


def same_answer(problem: Problem) -> str:
    """Hold the dynamic program against brute force and hand back the status."""
    oracle, exact = solve(problem, "brute_force"), solve(problem, "dynamic_program")
    assert exact.status == oracle.status
    assert exact.objective == oracle.objective
    assert figures(exact) == figures(oracle)
    assert exact.bound is None or exact.bound == pytest.approx(oracle.bound, rel=1e-12)
    assert [(c.limit, c.best_achievable) for c in exact.clashes] == [
        (c.limit, c.best_achievable) for c in oracle.clashes
    ]
    return exact.status


SEEDS = [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
KINDS = [
    pytest.param(ProblemKind(layers=4), id="chain", marks=pytest.mark.slow),
    pytest.param(ProblemKind(layers=5, cores=1, unsupported=0.3), id="missing costs"),
    pytest.param(ProblemKind(layers=4, two_memories=True), id="two memories"),
    pytest.param(ProblemKind(layers=4, streams=True, deadline_slack=0.9), id="deadline", marks=pytest.mark.slow),
    pytest.param(ProblemKind(layers=3, streams=True, two_memories=True, memory_slack=0.8), id="all"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", ["latency", "front"])
@pytest.mark.parametrize("seed", SEEDS)
def test_equals_brute_force(kind: ProblemKind, objective: Objective, seed: int) -> None:
    same_answer(random_problem(replace(kind, objective=objective), seed))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", ["latency", "front"])
def test_equals_brute_force_on_many(kind: ProblemKind, objective: Objective) -> None:
    slacks = (0.7, 0.95, 1.3)
    statuses = {
        same_answer(
            random_problem(replace(kind, layers=min(kind.layers, 4), objective=objective, memory_slack=slack), seed)
        )
        for seed in range(3, 15)
        for slack in slacks
    }
    assert statuses == {"optimal", "infeasible"}


def test_tensors_of_several_inputs_and_an_early_output_are_counted() -> None:
    layers = [
        Layer("a", "Op", 100, ("x", "y"), (("s", 10),)),
        Layer("b", "Op", 100, ("s",), (("t", 30), ("early", 7))),
        Layer("c", "Op", 100, ("t",), (("u", 5),)),
    ]
    graph = LayerGraph.build("m", layers, {"x": 4, "y": 9}, ("u", "early"))
    costs = CostTable.create([ONE, GANG], [[9.0, 5.0]] * 3, fixed_us=[1, 2], weight_scale=[1.0, 2.0])
    model = Model("m", graph, costs, cuts=cut_chain(graph, max_frontier_tensors=None))
    assert same_answer(Problem((model,), platform(), objective="front")) == "optimal"


def test_gangs_of_some_of_the_cores_share_them_out_where_utilisation_binds() -> None:
    graph = LayerGraph.chain("m", [("a", "Op", 10, 1), ("b", "Op", 10, 1)], 1)
    costs = CostTable.create([ONE, GANG], [[100.0, 60.0], [100.0, 55.0]])
    stream = Stream(model="m", arrival=Periodic(period_us=160))
    problem = Problem((Model("m", graph, costs),), platform(3), (stream,), objective="latency")
    assert same_answer(problem) == "optimal"
    overloaded = problem.replace(streams=(Stream(model="m", arrival=Periodic(period_us=60)),))
    assert same_answer(overloaded) == "infeasible"


def test_a_deadline_below_the_fastest_latency_is_named_with_it() -> None:
    graph = LayerGraph.chain("resnet50", [("a", "Op", 10, 1), ("b", "Op", 10, 1)], 1)
    model = Model("resnet50", graph, CostTable.create([ONE], [[40_000.0], [8_100.0]]))
    stream = Stream(model="resnet50", arrival=Periodic(period_us=1e6), deadline_us=20_000)
    (clash,) = solve(Problem((model,), platform(), (stream,))).clashes
    assert clash.limit == Limit("deadline", "resnet50")
    assert clash.sentence == "deadline of resnet50: 20 ms is below its fastest possible latency of 48.1 ms"


def test_a_deadline_and_a_memory_limit_may_clash_only_together() -> None:
    graph = LayerGraph.chain("m", [("a", "Op", 1000, 1)], 1)
    fast_and_fat = CostTable.create([ONE, GANG], [[100.0, 50.0]], weight_scale=[1.0, 3.0])
    stream = Stream(model="m", arrival=Periodic(period_us=1e6), deadline_us=80)
    limits = Limits.model_validate({"memory_bytes": {"host": 2000}})
    problem = Problem((Model("m", graph, fast_and_fat),), platform(), (stream,), limits)
    clashes = solve(problem).clashes
    assert {clash.limit for clash in clashes} == {Limit("deadline", "m"), Limit("memory", "host")}
    assert {clash.limit.kind: clash.best_achievable for clash in clashes} == {"deadline": 100.0, "memory": 3002.0}
    assert solve(problem.replace(limits=Limits())).status == "optimal"
    later = stream.model_copy(update={"deadline_us": 100.0})
    assert solve(problem.replace(streams=(later,))).status == "optimal"


def test_segments_that_may_overlap_are_refused_with_a_solver_that_takes_them() -> None:
    layers = [
        Layer("left", "Op", 0, ("x",), (("l", 1),)),
        Layer("right", "Op", 0, ("x",), (("r", 1),)),
        Layer("join", "Op", 0, ("l", "r"), (("y", 1),)),
    ]
    graph = LayerGraph.build("d", layers, {"x": 1}, ("y",))
    model = Model("d", graph, CostTable.create([ONE], [[10.0]] * 3), cuts=cut_chain(graph, None))
    problem = Problem((model,), platform(), objective="latency")
    assert not_serial(problem, model)
    with pytest.raises(UnsupportedError, match="greedy"):
        solve(problem, "dynamic_program")
    assert solve(problem, "brute_force").objective == 20.0
    assert not_serial(problem.replace(platform=platform(1)), model) is None
    assert solve(problem.replace(platform=platform(1)), "dynamic_program").objective == 30.0


def test_a_measured_segment_counts_as_measured() -> None:
    problem = random_problem(ProblemKind(layers=4, memory_slack=None), 1)
    (model,) = problem.models
    whole = model.costs.measured[0].model_copy(update={"start": 0, "stop": 4})
    whole = whole.model_copy(update={"latency": whole.latency.model_copy(update={"median_us": 0.5})})
    faster = replace(model, costs=replace(model.costs, measured=(whole,)))
    assert solve(problem.replace(models=(faster,)), "dynamic_program").objective == 0.5


def test_points_above_the_memory_limit_are_not_on_the_front() -> None:
    problem = random_problem(ProblemKind(objective="front", layers=6, memory_slack=None), 4)
    points = figures(solve(problem))
    assert len(points) > 2
    limit = int(points[1][1])
    limits = Limits.model_validate({"memory_bytes": {"host": limit}})
    assert figures(solve(problem.replace(limits=limits))) == [point for point in points if point[1] <= limit]


def test_long_chains_with_many_labels_are_solved() -> None:
    rng = np.random.default_rng(5)
    n = 40
    graph = LayerGraph.chain(
        "m", [(f"l{i}", "Op", int(rng.integers(1, 2e6)), int(rng.integers(1, 1e6))) for i in range(n)], 6
    )
    us = rng.lognormal(6, 1, n)[:, None] * rng.uniform(0.5, 1.5, (n, 4))
    configurations = [
        Configuration(backend=b, threads=t, form=f)
        for b, t, f in (("o", 1, "m"), ("o", 1, "p"), ("v", 1, "m"), ("v", 2, "m"))
    ]
    costs = CostTable.create(configurations, us, fixed_us=80.0, weight_scale=[1, 2.1, 1, 1.3], session_bytes=1e5)
    problem = Problem((Model("m", graph, costs),), platform(), objective="front")
    solution = solve(problem)
    assert solution.status == "optimal"
    median = solution.front[len(solution.front) // 2]
    limits = Limits.model_validate({"memory_bytes": {"host": int(median.memory_bytes) + 1}})
    assert solve(problem.replace(objective="latency", limits=limits)).objective == median.latency_us
