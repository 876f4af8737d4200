"""Why no choice of operating points is possible: limits that clash, none of which can be spared."""

from __future__ import annotations

import numpy as np

from ...formulation import capped
from ...formulation.operating_points import OperatingPointProblem
from ..stop import Stop
from .labels import Knapsack, cheapest
from .solution import PointsSolution


def infeasible(method: str, problem: OperatingPointProblem, stop: Stop) -> PointsSolution:
    """Proof that no choice keeps every limit, with the limits that clash.

    Each limit is first tried alone; otherwise those are left out for good without which the others still clash
    (deletion filter, Chinneck, Dravnieks 1991, doi 10.1287/ijoc.3.2.157). Where the limits can all be kept, the
    models cannot keep up with their own requests.
    """
    tables = problem.tables
    limits = [d for d in range(len(tables.highest)) if np.isfinite(tables.highest[d])]
    for d in limits:
        if _possible(problem, [d], stop) is False:
            return PointsSolution("infeasible", method, clashes=(_alone(problem, d),))
    if _possible(problem, limits, stop) is not False:
        sentence = "rates: some model cannot keep up with its requests one at a time under any choice that fits"
        return PointsSolution("infeasible", method, clashes=(sentence,))
    for d in tuple(limits):
        rest = [other for other in limits if other != d]
        if _possible(problem, rest, stop) is False:
            limits = rest
    return PointsSolution("infeasible", method, clashes=tuple(_together(problem, d, limits) for d in limits))


def _possible(problem: OperatingPointProblem, limits: list[int], stop: Stop) -> bool | None:
    """Whether some choice keeps these limits; None where time ran out."""
    tables = problem.tables
    free = np.where(tables.there, 0.0, np.inf)
    found = cheapest(Knapsack(free, tables.use[..., limits], tables.highest[limits]), np.inf, stop)
    return (found.choice is not None) if found.finished else None


def _least(problem: OperatingPointProblem, d: int) -> float:
    tables = problem.tables
    return float(np.where(tables.there, tables.use[..., d], np.inf).min(axis=1).sum())


def _named(problem: OperatingPointProblem, d: int) -> str:
    tables = problem.tables
    p = tables.n_processors
    return f"utilisation of {tables.processors[d]}" if d < p else f"memory {tables.memories[d - 2 * p]}"


def _figure(problem: OperatingPointProblem, d: int, value: float) -> str:
    return f"{value:.3g}" if d < problem.tables.n_processors else f"{value / 2**20:,.4g} MiB"


def _alone(problem: OperatingPointProblem, d: int) -> str:
    limit, least = problem.tables.highest[d], _least(problem, d)
    shown = f"{_named(problem, d)}: the limit of {_figure(problem, d, limit)} is below the"
    if d < problem.tables.n_processors:
        busy = problem.processors[d].background_cores
        others = f" beside {busy:.3g} threads of others" if busy else ""
        return f"{shown} least possible use of {_figure(problem, d, least)}{others}"
    names = [model.model for model in problem.models]
    which = f"smallest point of {names[0]}" if len(names) == 1 else f"smallest points of {capped(names)} together"
    return f"{shown} {which}, {_figure(problem, d, least)}"


def _together(problem: OperatingPointProblem, d: int, limits: list[int]) -> str:
    others = " and ".join(_named(problem, other) for other in limits if other != d)
    limit, least = problem.tables.highest[d], _least(problem, d)
    return (
        f"{_named(problem, d)}: the limit of {_figure(problem, d, limit)} "
        f"(least possible {_figure(problem, d, least)}) "
        f"cannot be kept while {others} hold{'s' if len(limits) == 2 else ''}"
    )
