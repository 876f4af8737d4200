"""The formula of co-run slowdown over a vector of parameters, with its gradient.

Parameters are a vector of 4 n numbers for n activities: sensitivities, pressures, exponents of the fair share, claims.
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
    own_share : ndarray, shape (rows,)
        Its own threads for each core.
    thread_share : ndarray, shape (n,)
        Threads of each activity for each core.
    crowding : ndarray, shape (rows,)
        Threads for each core, all together; 1 where cores are left.
    """

    member: NDArray[np.int64]
    beside: Floats
    own_share: Floats
    thread_share: Floats
    crowding: Floats

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
        thread_share = np.array([a.threads / cores for a in activities])
        return cls(
            np.array(member, dtype=np.int64),
            np.array(beside, dtype=np.float64).reshape(-1, len(activities)),
            thread_share[np.array(member, dtype=np.int64)],
            thread_share,
            np.array(crowding),
        )


def parameters_of(activities: Sequence[Activity]) -> Floats:
    """The vector of activities' figures, shape (4 n,)."""
    figures = [(a.sensitivity, a.pressure, a.oversubscription, a.claim) for a in activities]
    return np.array(figures).T.ravel()


def log_slowdown(parameters: Floats, rows: Rows) -> tuple[Floats, Floats]:
    """Logarithm of slowdown of each row, shape (rows,), and its gradient, shape (rows, 4 n).

    ``log(1 + s_i Σ p_j) + k_i log max(1, (t_i + Σ c_j t_j) / cores)``, as `co_run_slowdowns` has it.
    """
    n = rows.beside.shape[1]
    s, p, k, claim = parameters.reshape(4, n)
    pressed = rows.beside @ p
    factor = 1 + s[rows.member] * pressed
    crowding = rows.own_share + rows.beside @ (claim * rows.thread_share)
    crowded = crowding > 1
    log_crowding = np.log(np.maximum(crowding, 1))
    logs = np.log(factor) + k[rows.member] * log_crowding
    at = np.arange(len(rows.member))
    gradient = np.zeros((len(at), 4 * n))
    gradient[at, rows.member] = pressed / factor
    gradient[:, n : 2 * n] = rows.beside * (s[rows.member] / factor)[:, None]
    gradient[at, 2 * n + rows.member] = log_crowding
    slope = np.where(crowded, k[rows.member] / np.maximum(crowding, 1), 0)
    gradient[:, 3 * n :] = rows.beside * rows.thread_share * slope[:, None]
    return logs, gradient
