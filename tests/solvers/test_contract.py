"""What every solver must do on every kind of problem that it says it supports. Plug-ins can run this suite too."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from functools import cache

import pytest
from edgeplan.formulation import Problem, evaluate
from edgeplan.solvers import Solution, available_methods, solve, solver
from edgeplan.solvers.testing import ProblemKind, random_problem

KINDS = {
    "latency": ProblemKind(layers=3),
    "front": ProblemKind(objective="front", layers=3),
    "response of one": ProblemKind(objective="response", layers=3, streams=True, deadline_slack=1.3),
    "front in two memories": ProblemKind(objective="front", layers=3, two_memories=True),
    "latency of two": ProblemKind(models=2, layers=2),
    "response of two": ProblemKind(objective="response", models=2, layers=2, streams=True, deadline_slack=1.3),
    "response of two in two memories": ProblemKind(
        objective="response", models=2, layers=1, streams=True, two_memories=True
    ),
    "too little memory": ProblemKind(layers=3, memory_slack=0.2),
    "too little memory for two": ProblemKind(models=2, layers=2, memory_slack=0.2),
    "too late": ProblemKind(objective="response", models=2, layers=2, streams=True, deadline_slack=0.1),
}


def problem_of(kind: str) -> Problem:
    return random_problem(KINDS[kind], 7)


@cache
def oracle(kind: str) -> Solution:
    return solve(problem_of(kind), "brute_force")


PAIRS = [
    pytest.param(method, kind, id=f"{method}-{kind}")
    for method in available_methods()
    for kind in KINDS
    if solver(method).features.unsupported(problem_of(kind)) is None
]


@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_answers_are_right(method: str, kind: str) -> None:
    problem, best = problem_of(kind), oracle(kind)
    solution = solve(problem, method, time_limit_s=20, seed=3)
    if solver(method).features.exact:
        assert solution.status == best.status
    if best.status == "infeasible":
        assert solution.plan is None
        assert solution.status in ("infeasible", "timeout")
        assert (solution.status == "infeasible") == bool(solution.clashes)
        return
    assert solution.plan is not None
    assert best.objective is not None
    assert solution.objective is not None
    assert evaluate(problem, solution.plan).feasible
    assert solution.evaluation == evaluate(problem, solution.plan)
    assert solution.objective >= best.objective * (1 - 1e-12)
    assert solution.bound is None or solution.bound <= best.objective * (1 + 1e-12)
    assert solution.plan.solver.status == solution.status
    assert solution.plan.solver.seed == 3
    if solution.status == "optimal":
        assert solution.objective == pytest.approx(best.objective, rel=1e-9)
        assert len(solution.front) == len(best.front)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_the_same_seed_gives_the_same_plan(method: str, kind: str) -> None:
    first, second = (solve(problem_of(kind), method, time_limit_s=20, seed=1) for _ in range(2))
    assert first.status == second.status
    if first.plan is not None and second.plan is not None:
        assert first.plan.models == second.plan.models
    assert [p.plan.models for p in first.front] == [p.plan.models for p in second.front]


LARGE = {
    "one": ProblemKind(objective="front", layers=60, memory_slack=None),
    "many": ProblemKind(objective="response", models=4, layers=30, streams=True, deadline_slack=2.0, memory_slack=2.0),
}


@pytest.mark.parametrize("kind", LARGE)
@pytest.mark.parametrize("method", ["dynamic_program", "cp_sat", "nsga2", "greedy"])
def test_time_limits_are_kept_and_what_was_found_is_returned(method: str, kind: str) -> None:
    problem = random_problem(LARGE[kind], 1)
    if solver(method).features.unsupported(problem) is not None:
        pytest.skip("not supported")
    limit_s = 2.0
    began_s = time.monotonic()
    solution = solve(problem, method, time_limit_s=limit_s)
    assert time.monotonic() - began_s <= 1.2 * limit_s + 1.0
    assert solution.status in ("optimal", "feasible", "timeout")


def test_no_time_at_all_is_a_status() -> None:
    problem = random_problem(replace(LARGE["many"], memory_slack=1.0), 1)
    assert solve(problem, "greedy", time_limit_s=1e-6).status in ("feasible", "timeout")
    assert solve(problem_of("latency"), "brute_force", time_limit_s=1e-6).status == "timeout"


def test_a_search_can_be_cancelled() -> None:
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()
    began_s = time.monotonic()
    solution = solve(random_problem(LARGE["one"], 1), "nsga2", time_limit_s=60, cancel=cancel)
    assert time.monotonic() - began_s < 5
    assert solution.status == "feasible"
