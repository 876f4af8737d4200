"""Which solvers there are, and `solve`, the one way to use them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points
from threading import Event
from typing import Protocol, runtime_checkable

from ..formulation import Problem, UnsupportedError, capped
from .features import Features, unsupported
from .solution import Solution
from .stop import Cancellation, Stop, TimeLimit
from .verify import refuse_unrunnable, verified

ENTRY_POINT_GROUP = "edgeplan.solvers"
"""Entry points of this group name solver classes of other distributions."""


@runtime_checkable
class Solver(Protocol):
    """A solver: problem in, solution out.

    Attributes
    ----------
    name : str
    features : Features
        `solve` is only called with problems that these cover.
    """

    name: str
    features: Features

    def solve(self, problem: Problem, stop: Stop, seed: int) -> Solution:
        """Solve until done or stopped; an infeasible problem and running out of time are statuses.

        Plans in the solution need a `SolverStamp` but not a true one: `edgeplan.solvers.solve` stamps them.
        """
        ...


# In the order in which `auto` prefers them. Modules load on first use, so that listing solvers loads no library.
_BUILT_IN = {
    "dynamic_program": ("dynamic_program", "DynamicProgram"),
    "cp_sat": ("cp_sat", "CpSat"),
    "nsga2": ("nsga2", "Nsga2"),
    "greedy": ("greedy", "Greedy"),
    "brute_force": ("brute_force", "BruteForce"),
}


def available_methods() -> tuple[str, ...]:
    """Names that `solve` accepts: the built-in solvers, then those of other distributions."""
    return (*_BUILT_IN, *sorted({e.name for e in entry_points(group=ENTRY_POINT_GROUP)} - set(_BUILT_IN)))


def solver(method: str) -> Solver:
    """Make a solver by name, with its default settings.

    Raises
    ------
    UnsupportedError
        There is none of that name.
    """
    return _maker(method)()


def _maker(method: str) -> Callable[[], Solver]:
    if method in _BUILT_IN:
        module, name = _BUILT_IN[method]
        return getattr(import_module(f".{module}", __package__), name)
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=method):
        return entry.load()
    raise UnsupportedError(
        f"method {method!r}",
        expected=f"'auto' or one of {', '.join(available_methods())}",
        got="an unknown name",
        remedy="Choose one of these, or install the distribution that provides it.",
    )


def solve(
    problem: Problem,
    method: str | Solver = "auto",
    time_limit_s: float = 60.0,
    seed: int = 0,
    cancel: Event | None = None,
) -> Solution:
    """Solve a problem.

    Parameters
    ----------
    problem : Problem
    method : str or Solver
        ``auto`` takes the first solver that fits: exact ones before others. A `Solver` object brings own settings.
    time_limit_s : float
        Wall-clock seconds. What is best by then is returned.
    seed : int
        The same seed gives the same plan, unless time ran out.
    cancel : threading.Event, optional
        Set it to end the search early.

    Returns
    -------
    Solution
        Every plan in it was scored by `evaluate` and keeps every limit.

    Raises
    ------
    UnsupportedError
        The method is unknown, or does not support this problem; one that does is named.
    CostError, PlatformError
        No plan can run at all, whatever the limits.
    SolverBugError
        The solver and the evaluator disagree.
    """
    if not time_limit_s > 0:
        raise UnsupportedError(
            "time limit", expected="more than 0 seconds", got=f"{time_limit_s}", remedy="Allow at least a second."
        )
    began_s = time.monotonic()
    chosen = _chosen(problem, method)
    refuse_unrunnable(problem)
    stop: Stop = TimeLimit(time_limit_s)
    if cancel is not None:
        stop = Cancellation(cancel, stop)
    solution = verified(problem, chosen.solve(problem, stop, seed))
    return replace(solution, seed=seed, runtime_s=time.monotonic() - began_s).stamped()


def _chosen(problem: Problem, method: str | Solver) -> Solver:
    if method != "auto":
        named = solver(method) if isinstance(method, str) else method
        lack = unsupported(named.features, problem)
        if lack is None:
            return named
        fitting = [name for name in available_methods() if unsupported(solver(name).features, problem) is None]
        raise UnsupportedError(
            f"method {named.name!r}",
            expected="a problem that it supports",
            got=lack,
            remedy=f"Use {capped(fitting)}." if fitting else "No solver supports this; offer other cuts or objectives.",
        )
    lacks = []
    for name in _BUILT_IN:
        candidate = solver(name)
        lack = unsupported(candidate.features, problem)
        if lack is None:
            return candidate
        lacks.append(f"{name}: {lack}")
    raise UnsupportedError(
        "method 'auto'",
        expected="a problem that some solver supports",
        got="; ".join(lacks),
        remedy="Offer cuts that a single tensor crosses (`cut_chain(graph)`), or plan models one by one.",
    )
