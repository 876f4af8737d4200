"""What every solver of planning problems must do: checks that ours pass, for those of other distributions to run too.

A test of a plug-in is a few lines::

    @pytest.mark.parametrize("kind", contract.supported(MySolver()))
    def test_contract(kind):
        contract.check_answer(MySolver(), contract.KINDS[kind])
        contract.check_seed(MySolver(), contract.KINDS[kind])

Problems are small enough for the oracle, which looks at every plan. Nothing here needs a test framework.
"""

from __future__ import annotations

import threading
import time
from functools import cache

from ..formulation import Problem, evaluate
from .claims import SolverBugError
from .registry import Solver, solve
from .solution import Solution
from .testing import ProblemKind, random_problem

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
"""Kinds of problems by name: what solvers differ in, each as small as can be."""

LARGE = {
    "one model": ProblemKind(objective="front", layers=60, memory_slack=None),
    "many models": ProblemKind(
        objective="response", models=4, layers=30, streams=True, deadline_slack=2.0, memory_slack=2.0
    ),
}
"""Problems that keep a search busy, to hold it to its time limit."""

SEED = 7
"""Of the problems of `KINDS`."""


@cache
def problem_of(kind: ProblemKind) -> Problem:
    """The problem of a kind that the checks use."""
    return random_problem(kind, SEED)


@cache
def oracle(kind: ProblemKind) -> Solution:
    """Its answer, by looking at every plan."""
    return solve(problem_of(kind), "brute_force")


def supported(solver: Solver) -> list[str]:
    """Names of the `KINDS` that a solver says it supports."""
    return [name for name, kind in KINDS.items() if solver.features.unsupported(problem_of(kind)) is None]


def check_answer(solver: Solver, kind: ProblemKind, time_limit_s: float = 20.0) -> None:
    """Hold a solver's answer against the oracle's.

    `solve` itself holds every plan against the evaluator. Beyond that: nothing better than the best, no bound above it,
    an optimum only where it is one, an exact solver to the end, and what clashes for what cannot be.

    Parameters
    ----------
    solver : Solver
    kind : ProblemKind
        One that it supports.
    time_limit_s : float

    Raises
    ------
    SolverBugError
        The answer is wrong; the message says in what.
    """
    problem, best = problem_of(kind), oracle(kind)
    found = solve(problem, solver, time_limit_s=time_limit_s, seed=3)
    if solver.features.exact:
        _expect(solver, found.status == best.status, f"{found.status}, where the oracle says {best.status}")
    if best.status == "infeasible":
        _expect(solver, found.plan is None, "a plan, where there is none")
        _expect(solver, found.status in ("infeasible", "timeout"), f"{found.status}, where there is no plan")
        _expect(solver, (found.status == "infeasible") == bool(found.clashes), "infeasible without clashing limits")
        return
    _expect(solver, found.plan is not None, f"no plan ({found.status}), where there is one")
    assert found.plan is not None
    assert found.objective is not None
    assert best.objective is not None
    _expect(solver, found.evaluation == evaluate(problem, found.plan), "another evaluation than the evaluator's")
    _expect(solver, found.objective >= best.objective * (1 - 1e-12), "an objective below the best")
    _expect(solver, found.bound is None or found.bound <= best.objective * (1 + 1e-12), "a bound above the best")
    stamp = found.plan.solver
    _expect(
        solver,
        (stamp.method, stamp.status, stamp.seed) == (solver.name, found.status, 3),
        f"a plan whose stamp says something else: {stamp.method!r}, {stamp.status}, seed {stamp.seed}",
    )
    if found.status == "optimal":
        _expect(solver, found.objective <= best.objective * (1 + 1e-9), "an optimum that is none")
        _expect(solver, len(found.front) == len(best.front), "a front that is not complete")


def check_seed(solver: Solver, kind: ProblemKind, time_limit_s: float = 20.0) -> None:
    """Solve twice with one seed: the same plans, where time does not cut the search short.

    Raises
    ------
    SolverBugError
        They differ.
    """
    one, two = (solve(problem_of(kind), solver, time_limit_s=time_limit_s, seed=1) for _ in range(2))
    _expect(solver, one.status == two.status, f"{one.status}, then {two.status}, with one seed")
    plans = [[s.plan.models if s.plan else None, *(p.plan.models for p in s.front)] for s in (one, two)]
    _expect(solver, plans[0] == plans[1], "two plans with one seed")


def check_stop(solver: Solver, kind: ProblemKind, limit_s: float = 2.0) -> None:
    """Solve a large problem within a time limit, and once more cancelled after half of it.

    Raises
    ------
    SolverBugError
        It takes more than a fifth and a second longer than it may.
    """
    problem = random_problem(kind, 1)
    began_s = time.monotonic()
    found = solve(problem, solver, time_limit_s=limit_s)
    took_s = time.monotonic() - began_s
    _expect(solver, took_s <= 1.2 * limit_s + 1.0, f"an answer after {took_s:.1f} s, where {limit_s} s are allowed")
    _expect(solver, found.status in ("optimal", "feasible", "timeout"), f"{found.status} of a feasible problem")
    cancel = threading.Event()
    timer = threading.Timer(limit_s / 2, cancel.set)
    timer.start()
    began_s = time.monotonic()
    solve(problem, solver, time_limit_s=60.0, cancel=cancel)
    took_s = time.monotonic() - began_s
    timer.cancel()
    _expect(solver, took_s <= 1.2 * limit_s + 1.0, f"an answer {took_s:.1f} s after the start, cancelled before")


def _expect(solver: Solver, right: bool, wrong: str) -> None:
    if not right:
        raise SolverBugError(f"solver {solver.name!r} gives {wrong}")
