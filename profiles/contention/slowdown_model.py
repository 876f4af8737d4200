"""The formula of co-run slowdown over a vector of parameters, with its gradient.

Parameters are a vector of 3 n numbers for n activities: sensitivities, pressures, exponents of the fair share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...formulation import Activity

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Members of co-runs, one row each.

    Attributes
    ----------
    member : ndarray of int, shape (rows,)
        The activity.
    beside : ndarray, shape (rows, n)
        How often each activity runs beside it.
    log_crowding : ndarray, shape (rows,)
        Logarithm of threads for each core, 0 where cores are left.
    """

    member: NDArray[np.int64]
    beside: Floats
    log_crowding: Floats

    @classmethod
    def of(cls, co_runs: Iterable[Sequence[int]], activities: Sequence[Activity], cores: int) -> Rows:
        """Rows of co-runs, given as indices of activities, in their order."""
        member, beside, crowding = [], [], []
        for members in co_runs:
            counts = np.bincount(np.array(members), minlength=len(activities))
            threads = sum(activities[i].threads for i in members)
            for i in members:
                member.append(i)
                beside.append(counts - (np.arange(len(activities)) == i))
                crowding.append(max(1.0, threads / cores))
        return cls(
            np.array(member, dtype=np.int64),
            np.array(beside, dtype=np.float64).reshape(-1, len(activities)),
            np.log(crowding),
        )


def parameters_of(activities: Sequence[Activity]) -> Floats:
    """The vector of activities' figures, shape (3 n,)."""
    figures = [(a.sensitivity, a.pressure, a.oversubscription) for a in activities]
    return np.array(figures).T.ravel()


def log_slowdown(parameters: Floats, rows: Rows) -> tuple[Floats, Floats]:
    """Logarithm of slowdown of each row, shape (rows,), and its gradient, shape (rows, 3 n).

    ``log(1 + s_i Σ p_j) + k_i log crowding``, as `edgeplan.formulation.co_run_slowdowns` has it.
    """
    n = rows.beside.shape[1]
    s, p, k = parameters.reshape(3, n)
    pressed = rows.beside @ p
    factor = 1 + s[rows.member] * pressed
    logs = np.log(factor) + k[rows.member] * rows.log_crowding
    at = np.arange(len(rows.member))
    gradient = np.zeros((len(at), 3 * n))
    gradient[at, rows.member] = pressed / factor
    gradient[:, n : 2 * n] = rows.beside * (s[rows.member] / factor)[:, None]
    gradient[at, 2 * n + rows.member] = rows.log_crowding
    return logs, gradient
