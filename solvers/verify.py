"""Nothing leaves `solve` unchecked: every plan is scored again, and a solver that disagrees is a bug."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..formulation import CostError, PlatformError, Problem, capped, evaluate
from .assemble import front_point
from .chain import not_serial
from .label_space import LabelSpace
from .shortest_path import shortest_path
from .solution import Solution

_ROUNDING = 1e-9
"""Relative slack between a bound and an objective: their sums of floats may be taken in another order."""


class SolverBugError(RuntimeError):
    """A solver handed back something that the evaluator contradicts. Not the user's fault; please report it."""


def verified(problem: Problem, solution: Solution) -> Solution:
    """Score every plan of a solution by the evaluator and attach the evaluation.

    Raises
    ------
    SolverBugError
        A plan breaks a limit; a figure or the bound is not what the evaluator finds; parts are missing or too many.
    """
    who = f"solver {solution.method!r} ({solution.status})"
    has_plan = solution.status in ("optimal", "feasible")
    if has_plan != (solution.plan is not None) or (has_plan and (problem.objective == "front") != bool(solution.front)):
        raise SolverBugError(f"{who}: plan and front do not fit the status")
    if solution.status == "infeasible" and not solution.clashes:
        raise SolverBugError(f"{who}: no limits are named that clash")
    if solution.plan is None:
        return solution
    evaluation = evaluate(problem, solution.plan)
    if not evaluation.feasible:
        raise SolverBugError(f"{who}: its plan breaks limits: {capped(evaluation.violations)}")
    if solution.objective != evaluation.objective:
        raise SolverBugError(f"{who}: objective {solution.objective}, but the evaluator says {evaluation.objective}")
    if solution.bound is not None and solution.bound > evaluation.objective * (1 + _ROUNDING):
        raise SolverBugError(f"{who}: bound {solution.bound} above its own plan's objective {evaluation.objective}")
    _verify_front(problem, solution, who)
    bound = None if solution.bound is None else min(solution.bound, evaluation.objective)
    return replace(solution, evaluation=evaluation, bound=bound)


def _verify_front(problem: Problem, solution: Solution, who: str) -> None:
    for point in solution.front:
        evaluation = evaluate(problem, point.plan)
        found = front_point(evaluation, point.plan) if evaluation.feasible else None
        if found is None or (found.latency_us, found.memory_bytes) != (point.latency_us, point.memory_bytes):
            claimed = f"{point.latency_us} µs and {point.memory_bytes} bytes"
            truth = f"{found.latency_us} µs and {found.memory_bytes} bytes" if found else "broken limits"
            raise SolverBugError(f"{who}: a point of the front claims {claimed}; the evaluator finds {truth}")
    figures = [(point.latency_us, point.memory_bytes) for point in solution.front]
    ascending = all(a[0] < b[0] and a[1] > b[1] for a, b in pairwise(figures))
    if not ascending:
        raise SolverBugError(f"{who}: its front holds dominated points or is not sorted by latency")


def refuse_unrunnable(problem: Problem) -> None:
    """Refuse models of which no plan can run, whatever the limits.

    Raises
    ------
    CostError
        No configuration can run all the layers between two neighbouring cuts.
    PlatformError
        No sequence of links leads from the host through the model and back.
    """
    for model in problem.models:
        us = model.costs.interval_us(model.cuts.positions)[:, :, problem.usable[model.name]]
        reached = np.zeros(len(us), dtype=np.bool_)
        reached[0] = True
        for b in range(1, len(us)):
            reached[b] = np.any(reached[:b] & np.isfinite(us[:b, b]).any(axis=1))
        if not reached[-1]:
            stuck = int(np.flatnonzero(reached)[-1])
            start, stop = model.cuts.positions[stuck], model.cuts.positions[stuck + 1]
            raise CostError(
                f"model {model.name!r}, layers [{start}, {stop})",
                expected="a configuration that runs all layers between two neighbouring cuts",
                got="none",
                remedy="Offer a cut between them (`cut_chain`), or profile with a backend that runs them all.",
            )
        if not_serial(problem, model) is None and shortest_path(LabelSpace.of(problem, model)) is None:
            raise PlatformError(
                f"platform {problem.platform.name!r}",
                expected=f"links that let model {model.name!r} run and hand back its outputs",
                got="a way that is missing",
                remedy="Add links between the memories, in both directions.",
            )
