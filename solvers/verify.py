"""Nothing leaves `solve` unchecked: every plan is scored again, and a solver that disagrees is a bug."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..formulation import CostError, Model, PlatformError, Problem, capped, evaluate
from .assemble import front_point
from .chain import not_serial
from .claims import SolverBugError, agreed_bound, refuse_wrong_parts
from .fronts.layered import LayeredModel
from .fronts.lazy_front import LazyFront
from .fronts.supported import best_way
from .label_space import LabelSpace
from .shortest_path import shortest_path
from .solution import Solution

_EVALUATED_POINTS = 5
"""Points of a long front that the evaluator itself scores; all are scored in arrays, in its arithmetic."""

_UNSORTED = "its front holds dominated points or is not sorted by latency"


def verified(problem: Problem, solution: Solution) -> Solution:
    """Score every plan of a solution by the evaluator and attach the evaluation.

    Raises
    ------
    SolverBugError
        A plan breaks a limit; a figure or the bound is not what the evaluator finds; parts are missing or too many.
    """
    who = f"solver {solution.method!r} ({solution.status})"
    refuse_wrong_parts(who, solution.status, solution.plan, solution.clashes)
    if bool(solution.front) != (solution.plan is not None and problem.objective == "front"):
        raise SolverBugError(f"{who}: its front does not fit the status")
    if solution.plan is None:
        return solution
    evaluation = evaluate(problem, solution.plan)
    if not evaluation.feasible:
        raise SolverBugError(f"{who}: its plan breaks limits: {capped(evaluation.violations)}")
    bound = agreed_bound(who, solution.objective, solution.bound, evaluation.objective)
    _verify_front(problem, solution, who)
    return replace(solution, evaluation=evaluation, bound=bound)


def _verify_front(problem: Problem, solution: Solution, who: str) -> None:
    points = solution.front
    if isinstance(points, LazyFront):
        _verify_arrays(points, who)
        spread = np.unique(np.linspace(0, len(points) - 1, _EVALUATED_POINTS).astype(np.int64))
        points = [points[int(k)] for k in spread]
    for point in points:
        evaluation = evaluate(problem, point.plan)
        found = front_point(evaluation, point.plan) if evaluation.feasible else None
        if found is None or (found.latency_us, found.memory_bytes) != (point.latency_us, point.memory_bytes):
            claimed = f"{point.latency_us} µs and {point.memory_bytes} bytes"
            truth = f"{found.latency_us} µs and {found.memory_bytes} bytes" if found else "broken limits"
            raise SolverBugError(f"{who}: a point of the front claims {claimed}; the evaluator finds {truth}")
    figures = [(point.latency_us, point.memory_bytes) for point in points]
    if not all(a[0] < b[0] and a[1] > b[1] for a, b in pairwise(figures)):
        raise SolverBugError(f"{who}: {_UNSORTED}")


def _verify_arrays(front: LazyFront, who: str) -> None:
    """Score all points of a front in arrays from their segments, at once; some are then held against the evaluator."""
    truth = front.source.figures()
    wrong = np.flatnonzero(np.any(truth != front.figures, axis=1))
    if len(wrong):
        k = int(wrong[0])
        raise SolverBugError(f"{who}: point {k} of the front claims {front.figures[k]}; its segments give {truth[k]}")
    steps = np.diff(front.figures, axis=0)
    if np.any(steps[:, 0] <= 0) or np.any(steps[:, 1] >= 0):
        raise SolverBugError(f"{who}: {_UNSORTED}")


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
        if not_serial(problem, model) is None and not _leads_through(problem, model):
            raise PlatformError(
                f"platform {problem.platform.name!r}",
                expected=f"links that let model {model.name!r} run and hand back its outputs",
                got="a way that is missing",
                remedy="Add links between the memories, in both directions.",
            )


def _leads_through(problem: Problem, model: Model) -> bool:
    """Whether there is any way through a model whose segments run one after the other."""
    layered = LayeredModel.of(problem, model)
    if layered is not None:
        return best_way(layered.chain_costs(), 1.0, 0.0) is not None
    return shortest_path(LabelSpace.of(problem, model)) is not None
