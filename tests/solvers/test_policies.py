"""Policies of sharing cores: each obeyed, none forgotten, judged by the same arrivals."""

from __future__ import annotations

import pytest
from edgeplan.formulation import (
    Configuration,
    CostTable,
    LayerGraph,
    Limits,
    Memory,
    Model,
    Platform,
    Poisson,
    Problem,
    Processor,
    Stream,
    evaluate,
)
from edgeplan.solvers import Candidate, by_simulation, judge

ONE = Configuration(backend="b")
GANG = Configuration(backend="b", threads=2)


def problem(load: float, speed_up: float = 1.6, deadline_factor: float = 4.0, **limits: object) -> Problem:
    """A short and a long model that together ask for `load` of two cores, Poisson, equal work each."""
    models, streams = [], []
    for name, us in (("short", 5_000.0), ("long", 80_000.0)):
        graph = LayerGraph.chain(name, [(f"{name}{i}", "Op", 100, 10) for i in range(8)], 10)
        costs = CostTable.create([ONE, GANG], [[us / 8, us / 8 / speed_up]] * 8, fixed_us=[50.0, 80.0])
        models.append(Model(name, graph, costs))
        arrival = Poisson(rate_hz=load * 1e6 / us)
        streams.append(Stream(model=name, arrival=arrival, deadline_us=deadline_factor * us))
    platform = Platform(
        name="p",
        processors=(Processor(name="cpu", cores=(0, 1), memory="host"),),
        memories=(Memory(name="host", capacity_bytes=10**6),),
    )
    return Problem(tuple(models), platform, tuple(streams), Limits(**limits))


def test_every_policy_is_solved_and_obeyed() -> None:
    asked = problem(0.5)
    found = {c.policy.name: c for c in by_simulation(asked, 20.0)}
    assert {"open", "pool", "wide", "lean"} < set(found)
    for name, candidate in found.items():
        plan = candidate.solution.plan
        assert plan is not None
        assert plan.solver.policy == name
        assert evaluate(asked.replace(limits=candidate.policy.limits), plan).feasible
        assert evaluate(asked, plan).feasible
    segments = [s for m in found["pool"].solution.plan.models for s in m.segments]
    assert all(s.cores == (0, 1) and s.configuration.threads == 1 for s in segments)


def test_stricter_policies_never_beat_the_open_one_in_its_own_objective() -> None:
    found = {c.policy.name: c.solution.objective or 0.0 for c in by_simulation(problem(0.5), 20.0)}
    assert found["open"] <= min(found.values()) * (1 + 1e-5)


def test_candidates_are_ranked_by_simulated_misses_then_stretch() -> None:
    judged = [c.judgement for c in by_simulation(problem(0.6), 20.0)]
    ranks = [(j.miss_ratio, j.stretch) for j in judged if j is not None]
    assert ranks == sorted(ranks)
    assert len(ranks) >= 3


def test_shared_cores_win_under_random_load() -> None:
    best = by_simulation(problem(0.75), 20.0)[0]
    assert best.policy.name.partition(",")[0] in {"pool", "wide"}


def test_gangs_win_on_an_almost_idle_device() -> None:
    best = by_simulation(problem(0.05, speed_up=1.9), 20.0)[0]
    assert 2 in threads_of(best)


def threads_of(candidate: Candidate) -> set[int]:
    """Threads that a plan's segments may run on."""
    assert candidate.solution.plan is not None
    segments = [s for m in candidate.solution.plan.models for s in m.segments]
    return {way.configuration.threads for s in segments for way in (s, *s.gangs)}


def test_a_problem_that_allows_one_policy_gets_one() -> None:
    found = by_simulation(problem(0.5, core_sets="all", max_threads=1), 20.0)
    assert {c.policy.name.partition(",")[0] for c in found} == {"open", "lean"}
    assert all(threads_of(c) == {1} for c in found)


def test_gangs_shorten_responses_on_an_idle_device_and_change_nothing_proven() -> None:
    asked = problem(0.1, speed_up=1.9)
    found = {c.policy.name: c for c in by_simulation(asked, 20.0)}
    plain, widened = found["pool"], found["pool, gangs"]
    assert plain.judgement is not None
    assert widened.judgement is not None
    assert widened.judgement.stretch < 0.8 * plain.judgement.stretch
    assert widened.solution.evaluation is not None
    assert widened.solution.evaluation.objective == pytest.approx(plain.solution.evaluation.objective)
    assert threads_of(widened) == {1, 2}


def test_what_is_not_proven_of_the_response_does_not_claim_it() -> None:
    lean = {c.policy.name: c.solution for c in by_simulation(problem(0.5), 20.0)}["lean"]
    assert lean.plan is not None
    assert lean.evaluation is not None
    assert (lean.status, lean.bound, lean.plan.solver.gap) == ("feasible", None, None)
    assert lean.objective == lean.plan.solver.objective == lean.evaluation.objective


@pytest.mark.slow
def test_gangs_keep_to_the_memory_limit() -> None:
    asked = problem(0.1, speed_up=1.9)
    plain = {c.policy.name: c for c in by_simulation(asked, 20.0)}["pool"].solution.evaluation
    assert plain is not None
    tight = asked.replace(limits=Limits(memory_bytes={"host": int(plain.memory_bytes["host"]) + 150}))
    for candidate in by_simulation(tight, 20.0):
        assert candidate.solution.plan is not None
        assert evaluate(tight, candidate.solution.plan).feasible
    assert {1, 2} in [threads_of(c) for c in by_simulation(tight, 20.0)]


def test_where_nothing_is_feasible_the_own_limits_answer_first() -> None:
    found = by_simulation(problem(0.5, deadline_factor=0.1), 20.0)
    assert {c.judgement for c in found} == {None}
    assert found[0].policy.name == "open"
    assert found[0].solution.status == "infeasible"
    assert found[0].solution.clashes


@pytest.mark.slow
def test_the_same_seed_ranks_and_plans_the_same() -> None:
    first, again = (by_simulation(problem(0.6), 20.0, seed=3) for _ in range(2))
    assert [(c.policy.name, c.judgement) for c in first] == [(c.policy.name, c.judgement) for c in again]
    assert [c.solution.plan.models for c in first if c.solution.plan] == [
        c.solution.plan.models for c in again if c.solution.plan
    ]


def test_a_plan_is_judged_as_its_simulation_says() -> None:
    light, heavy = problem(0.1), problem(0.9, max_utilisation=1.0)
    plan = by_simulation(light, 20.0)[0].solution.plan
    assert plan is not None
    assert judge(light, plan).stretch < judge(heavy, plan).stretch
    assert judge(light, plan).miss_ratio <= judge(heavy, plan).miss_ratio


@pytest.mark.parametrize("limits", [{"core_sets": "all"}, {"max_threads": 1}])
def test_limits_on_cores_are_checked_by_the_evaluator(limits: dict[str, object]) -> None:
    asked = problem(0.05, speed_up=1.9)
    plans = {c.policy.name: c.solution.plan for c in by_simulation(asked, 20.0)}
    strict = asked.replace(limits=Limits(**limits))
    broken = []
    for plan in plans.values():
        assert plan is not None
        wide = any(way.configuration.threads > 1 for m in plan.models for s in m.segments for way in (s, *s.gangs))
        bound = any(len(s.cores) < 2 for m in plan.models for s in m.segments)
        expected = bound if "core_sets" in limits else wide
        assert evaluate(strict, plan).feasible != expected
        broken.append(expected)
    assert not all(broken)
