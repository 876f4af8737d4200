"""Choose columns: reduce, start greedily, prove by CP-SAT, and check what comes out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...formulation import UnsupportedError
from .. import libraries
from ..stop import Share, Stop, TimeLimit
from .brute_force import all_choices
from .cp_sat import fewest_columns, least_loss
from .greedy import greedy_columns
from .problem import ClusteringProblem
from .reduce import reduced
from .solution import Clustering, clustering_of

_MOST_COLUMNS = 16
"""Of the oracle: 2^16 choices."""


def choose_columns(
    problem: ClusteringProblem, method: str = "cp_sat", time_limit_s: float = 10.0, seed: int = 0
) -> Clustering:
    """Choose columns and assign every row to one.

    Parameters
    ----------
    problem : ClusteringProblem
    method : {'cp_sat', 'greedy', 'brute_force'}
        CP-SAT starts from the greedy choice and proves its own; where time runs out, the better of both with a bound.
    time_limit_s : float
        Wall-clock seconds.
    seed : int

    Returns
    -------
    Clustering
        ``infeasible`` where some row cannot be served, or not with so few columns.

    Raises
    ------
    UnsupportedError
        The method is unknown or lacks a library, the time limit is not positive, or the problem is too large for the
        oracle.
    """
    if method not in METHODS or not time_limit_s > 0:
        raise UnsupportedError(
            "clustering",
            expected=f"one of the methods {', '.join(METHODS)} and more than 0 seconds",
            got=f"{method!r} and {time_limit_s} s",
            remedy="Choose one of these.",
        )
    began_s = time.monotonic()
    if not problem.allowed.any(axis=1).all():
        found = Clustering("infeasible", method)
    else:
        smaller, kept = reduced(problem)
        with libraries.named(method):
            found = METHODS[method](smaller, TimeLimit(time_limit_s), seed)
        if found.columns:
            # Assigned anew among all rows: the smaller problem knows merged ones only.
            chosen = [kept[j] for j in found.columns]
            found = clustering_of(method, problem, chosen, found.status, found.bound, found.least_columns)
    return replace(found, seed=seed, runtime_s=time.monotonic() - began_s)


def _by_greedy(problem: ClusteringProblem, stop: Stop, seed: int) -> Clustering:
    columns = greedy_columns(problem, stop)
    if columns is None:
        return Clustering("timeout", "greedy")
    return clustering_of("greedy", problem, columns, "feasible", None)


def _by_brute_force(problem: ClusteringProblem, stop: Stop, seed: int) -> Clustering:
    if problem.loss.shape[1] > _MOST_COLUMNS:
        raise UnsupportedError(
            "method 'brute_force'",
            expected=f"at most {_MOST_COLUMNS} columns that no other one beats",
            got=f"{problem.loss.shape[1]}",
            remedy="Use cp_sat.",
        )
    columns = all_choices(problem)
    if columns is None:
        return Clustering("infeasible", "brute_force")
    least = len(columns) if problem.max_columns is None else None
    return clustering_of("brute_force", problem, columns, "optimal", problem.mean_loss(columns), least)


def _by_cp_sat(problem: ClusteringProblem, stop: Stop, seed: int) -> Clustering:
    start = greedy_columns(problem, Share(stop, 0.25))
    least = None
    fewest_proven = True
    if problem.max_columns is None:
        few = fewest_columns(problem, start, Share(stop, 0.5), seed)
        least, fewest_proven = max(1, int(min(few.bound, problem.loss.shape[1]))), few.proven
        start = min((c for c in (few.columns, start) if c is not None), key=len, default=None)
        if start is None:
            return Clustering("timeout", "cp_sat", least_columns=least)
        problem = ClusteringProblem(problem.loss, problem.weight, len(start), problem.max_loss)
        # Exchanges keep the number, and this one may lose less.
        other = greedy_columns(problem, Share(stop, 0.25))
        start = min((c for c in (other, start) if c is not None), key=problem.mean_loss)
    best = least_loss(problem, start, stop, seed)
    columns = min((c for c in (best.columns, start) if c is not None), key=problem.mean_loss, default=None)
    if columns is None:
        return Clustering("infeasible" if best.proven else "timeout", "cp_sat")
    proven = best.proven and best.columns is not None
    bound = problem.mean_loss(columns) if proven else best.bound
    status = "optimal" if proven and fewest_proven else "feasible"
    return clustering_of("cp_sat", problem, columns, status, bound, least)


METHODS: dict[str, Callable[[ClusteringProblem, Stop, int], Clustering]] = {
    "cp_sat": _by_cp_sat,
    "greedy": _by_greedy,
    "brute_force": _by_brute_force,
}
"""How columns can be chosen."""


def loss_curve(
    problem: ClusteringProblem, up_to: int, time_limit_s: float = 10.0, seed: int = 0
) -> tuple[Clustering, ...]:
    """The least mean loss with at most 1, 2, … columns: what each column more gains.

    Ends early where nothing is lost any more, and where the time is over. A number of columns that cannot serve every
    row is ``infeasible``.

    Parameters
    ----------
    problem : ClusteringProblem
        Its own `max_columns` is not looked at.
    up_to : int
    time_limit_s : float
        For all of them together.
    seed : int
    """
    whole = TimeLimit(time_limit_s)
    found: list[Clustering] = []
    for k in range(1, min(up_to, problem.loss.shape[1]) + 1):
        if found and whole():
            break
        limited = ClusteringProblem(problem.loss, problem.weight, k, problem.max_loss)
        share_s = max(0.05, whole.remaining_s / (min(up_to, problem.loss.shape[1]) + 1 - k))
        found.append(choose_columns(limited, "cp_sat", share_s, seed))
        if found[-1].objective is not None and found[-1].objective <= np.finfo(float).eps:
            break
    return tuple(found)
