"""CP-SAT over several models gives what brute force gives."""

from __future__ import annotations

from dataclasses import replace

import pytest
from edgeplan.formulation import (
    Configuration,
    CostTable,
    LayerGraph,
    Limits,
    Memory,
    Model,
    Periodic,
    Plan,
    Platform,
    Poisson,
    Problem,
    Processor,
    Stream,
    UnsupportedError,
    evaluate,
)
from edgeplan.solvers import Limit, Solution, limits_of, solve
from edgeplan.solvers.brute_force import every_plan
from edgeplan.solvers.limits import keeps
from edgeplan.solvers.testing import ProblemKind, random_problem

ONE = Configuration(backend="b")
GANG = Configuration(backend="b", threads=2)

PAIR = ProblemKind(objective="response", models=2, layers=2, streams=True)
TRIO = ProblemKind(objective="response", models=3, layers=1, streams=True)

KINDS = [
    pytest.param(PAIR, id="loose"),
    pytest.param(replace(PAIR, deadline_slack=1.0, memory_slack=1.0), id="tight"),
    pytest.param(replace(PAIR, deadline_slack=0.6, memory_slack=0.8), id="too tight"),
    pytest.param(replace(PAIR, objective="latency", deadline_slack=0.9), id="latency under deadlines"),
    pytest.param(
        replace(PAIR, objective="latency", streams=False, layers=3, memory_slack=0.8),
        id="memory alone",
        marks=pytest.mark.slow,
    ),
    pytest.param(replace(PAIR, two_memories=True, layers=1, deadline_slack=1.0), id="two memories"),
    pytest.param(replace(TRIO, deadline_slack=0.9), id="three models"),
    pytest.param(replace(PAIR, cores=3, layers=1, deadline_slack=1.0), id="three cores"),
]


def same_answer(problem: Problem) -> str:
    """Hold CP-SAT against brute force and hand back the status."""
    oracle, found = solve(problem, "brute_force"), solve(problem, "cp_sat")
    assert found.status == oracle.status
    if oracle.objective is not None:
        assert found.objective == pytest.approx(oracle.objective, rel=1e-9)
        assert found.bound is not None
        assert found.bound <= oracle.objective * (1 + 1e-12)
        assert found.bound == pytest.approx(oracle.objective, rel=1e-4)
    return found.status


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_equals_brute_force(kind: ProblemKind, seed: int) -> None:
    same_answer(random_problem(kind, seed))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_equals_brute_force_on_many(kind: ProblemKind) -> None:
    for seed in range(2, 14):
        same_answer(random_problem(kind, seed))


def clash_holds(problem: Problem, solution: Solution) -> None:
    """The named limits clash, and without any one of them the others hold: by looking at every plan."""
    named = frozenset(clash.limit for clash in solution.clashes)
    evaluations = [evaluate(problem, plan) for plan in every_plan(problem, "test")]
    assert named
    assert not any(keeps(evaluation, named) for evaluation in evaluations)
    for limit in named:
        assert any(keeps(evaluation, named - {limit}) for evaluation in evaluations)


@pytest.mark.parametrize("method", ["cp_sat", "brute_force"])
@pytest.mark.parametrize("seed", range(4))
def test_clashing_limits_are_a_minimal_set(method: str, seed: int) -> None:
    problem = random_problem(replace(PAIR, deadline_slack=0.5, memory_slack=0.75), seed)
    solution = solve(problem, method)
    if solution.status == "infeasible":
        clash_holds(problem, solution)


def two_models(deadline_us: float | None, memory_bytes: int = 10_000) -> Problem:
    platform = Platform(
        name="p",
        processors=(Processor(name="cpu", cores=(0, 1), memory="host"),),
        memories=(Memory.model_validate({"name": "host", "capacity_bytes": memory_bytes}),),
    )
    models = []
    for name, us in (("fast", [100.0]), ("slow", [400.0, 400.0])):
        graph = LayerGraph.chain(name, [(f"{name}{i}", "Op", 1000, 10) for i in range(len(us))], 10)
        models.append(Model(name, graph, CostTable.create([ONE, GANG], [[u, u / 1.6] for u in us], fixed_us=5.0)))
    streams = (
        Stream(model="fast", arrival=Periodic(period_us=2_000), deadline_us=deadline_us),
        Stream(model="slow", arrival=Poisson(rate_hz=100), deadline_us=10_000),
    )
    return Problem(tuple(models), platform, streams)


def cores_of(plan: Plan, model: str) -> set[int]:
    return {core for segment in plan.model_plan(model).segments for core in segment.cores}


def test_models_that_hurt_each_other_are_kept_apart() -> None:
    solution = solve(two_models(deadline_us=150))
    assert solution.method == "cp_sat"
    assert solution.status == "optimal"
    assert solution.plan is not None
    assert not cores_of(solution.plan, "fast") & cores_of(solution.plan, "slow")


def test_a_long_model_is_cut_where_a_short_one_must_not_wait() -> None:
    one_core = two_models(deadline_us=550)
    processors = (Processor(name="cpu", cores=(0,), memory="host"),)
    solution = solve(one_core.replace(platform=one_core.platform.model_copy(update={"processors": processors})))
    assert solution.plan is not None
    assert len(solution.plan.model_plan("slow").segments) == 2


def test_a_deadline_that_nothing_meets_is_named_with_the_best_there_is() -> None:
    (clash,) = solve(two_models(deadline_us=50)).clashes
    assert clash.limit == Limit("deadline", "fast")
    # A gang would take 67.5 µs, but on both cores it may find the other model running.
    assert clash.best_achievable == pytest.approx(105)
    assert clash.sentence == "deadline of fast: 50 µs is below its fastest possible response of 105 µs"


def test_memory_that_is_too_small_is_named_with_the_least_there_is() -> None:
    (clash,) = solve(two_models(deadline_us=None, memory_bytes=2_000)).clashes
    assert clash.limit == Limit("memory", "host")
    assert clash.best_achievable == 3 * 1000 + 2 * 20


def test_limits_are_held_as_the_evaluator_holds_them() -> None:
    problem = two_models(deadline_us=None)
    best = solve(problem)
    assert best.evaluation is not None
    for limit, value in limits_of(problem).items():
        if limit.kind == "memory":
            exact = Limits.model_validate({"memory_bytes": {"host": int(best.evaluation.memory_bytes["host"])}})
            again = solve(problem.replace(limits=exact))
            assert again.objective == best.objective
            assert value > best.evaluation.memory_bytes["host"]


def test_weights_need_not_be_whole() -> None:
    problem = two_models(deadline_us=None)
    streams = tuple(s.model_copy(update={"weight": w}) for s, w in zip(problem.streams, (1 / 3, 0.7123), strict=True))
    same_answer(problem.replace(streams=streams))


def test_cuts_are_thinned_out_where_there_are_too_many_and_then_nothing_is_claimed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from edgeplan.solvers import cp_setting

    problem = random_problem(ProblemKind(objective="response", models=2, layers=12, streams=True), 3)
    exact = solve(problem, "cp_sat")
    monkeypatch.setattr(cp_setting, "MOST_ARCS", 5)
    thinned = solve(problem, "cp_sat")
    assert exact.status == "optimal"
    assert thinned.status == "feasible"
    assert exact.objective is not None
    assert thinned.objective is not None
    assert thinned.bound is not None
    assert thinned.bound <= exact.objective <= thinned.objective


def test_policies_restrict_core_sets_and_threads() -> None:
    problem = random_problem(PAIR, 0)
    pooled = problem.replace(limits=problem.limits.model_copy(update={"core_sets": "all", "max_threads": 1}))
    same_answer(pooled)
    plan = solve(pooled, "cp_sat").plan
    assert plan is not None
    for part in plan.models:
        assert {(s.cores, s.configuration.threads) for s in part.segments} == {((0, 1), 1)}


def test_figures_beyond_its_integers_are_refused_and_those_just_below_solved() -> None:
    problem = random_problem(PAIR, 0)
    first, second = problem.streams

    def weighing(least: float, most: float) -> Problem:
        return problem.replace(
            streams=(first.model_copy(update={"weight": least}), second.model_copy(update={"weight": most}))
        )

    assert same_answer(weighing(1.0, 1e9)) == "optimal"
    with pytest.raises(UnsupportedError, match="weights"):
        solve(weighing(1e-9, 1e9), "cp_sat")


def test_a_deadline_of_ages_is_as_none() -> None:
    problem = random_problem(PAIR, 0)
    streams = tuple(stream.model_copy(update={"deadline_us": 1e300}) for stream in problem.streams)
    assert same_answer(problem.replace(streams=streams)) == "optimal"
