"""What every solver must do on every kind of problem that it says it supports: the suite that plug-ins run too."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import cycle

import pytest
from edgeplan.formulation import Problem, evaluate
from edgeplan.solvers import Features, Solution, SolverBugError, Stop, available_methods, contract, solve, solver
from edgeplan.solvers.brute_force import every_plan
from edgeplan.solvers.contract import KINDS, LARGE
from edgeplan.solvers.testing import random_problem

PAIRS = [
    pytest.param(method, kind, id=f"{method}-{kind}")
    for method in available_methods()
    for kind in contract.supported(solver(method))
]


@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_answers_are_right(method: str, kind: str) -> None:
    contract.check_answer(solver(method), KINDS[kind])


@pytest.mark.slow
@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_the_same_seed_gives_the_same_plan(method: str, kind: str) -> None:
    contract.check_seed(solver(method), KINDS[kind])


class Impostor:
    """Another solver's answer with something changed, under a name and features of its own."""

    name = "impostor"

    def __init__(self, method: str, exact: bool = False, **changes: object) -> None:
        self._method, self._changes = method, changes
        self.features = Features(frozenset({"latency", "response", "front"}), exact, True, True, True)

    def solve(self, problem: Problem, stop: Stop, seed: int) -> Solution:
        return replace(solver(self._method).solve(problem, stop, seed), **self._changes)


@pytest.mark.parametrize(
    ("impostor", "kind", "wrong"),
    [
        (Impostor("brute_force", exact=True, status="feasible"), "latency", "where the oracle says optimal"),
        (Impostor("greedy", status="timeout", plan=None, objective=None, bound=None), "latency", "no plan"),
        (Impostor("brute_force", status="timeout", clashes=()), "too late", None),
    ],
)
def test_the_suite_finds_what_is_wrong(impostor: Impostor, kind: str, wrong: str | None) -> None:
    if wrong is None:  # a heuristic may give up where there is no plan
        contract.check_answer(impostor, KINDS[kind])
        return
    with pytest.raises(SolverBugError, match=wrong):
        contract.check_answer(impostor, KINDS[kind])


def test_the_suite_finds_chance_without_a_seed() -> None:
    problem = contract.problem_of(KINDS["latency"])
    plans = (plan for plan in every_plan(problem, "wavering") if evaluate(problem, plan).feasible)
    drawn = cycle([next(plans), next(plans)])

    class Wavering(Impostor):
        def solve(self, problem: Problem, stop: Stop, seed: int) -> Solution:
            plan = next(drawn)
            return Solution("feasible", self.name, plan=plan, objective=evaluate(problem, plan).objective)

    with pytest.raises(SolverBugError, match="two plans with one seed"):
        contract.check_seed(Wavering("greedy"), KINDS["latency"])


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
    problem = random_problem(replace(LARGE["many models"], memory_slack=1.0), 1)
    assert solve(problem, "greedy", time_limit_s=1e-6).status in ("feasible", "timeout")
    assert solve(contract.problem_of(KINDS["latency"]), "brute_force", time_limit_s=1e-6).status == "timeout"


def test_a_search_can_be_cancelled() -> None:
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()
    began_s = time.monotonic()
    solution = solve(random_problem(LARGE["one model"], 1), "nsga2", time_limit_s=60, cancel=cancel)
    assert time.monotonic() - began_s < 5
    assert solution.status == "feasible"
