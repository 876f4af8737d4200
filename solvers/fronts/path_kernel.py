"""The shortest way through a table of segments, compiled. Import this module only where it runs: it loads numba."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...formulation.compiled import njit

Floats = NDArray[np.float64]


@njit(cache=True)
def shortest_steps(
    cost: Floats, memory: NDArray[np.int64], move_us: Floats, arrive_us: Floats, leave_us: Floats
) -> NDArray[np.int64]:
    """Rows (cut, next cut, option) of the cheapest way, none where there is no way; of equal ones, longer segments.

    Parameters
    ----------
    cost : ndarray, shape (K + 1, K + 1, O)
        Of the segment from cut a to cut b under each option; infinite where there is none.
    memory : ndarray of int, shape (O,)
    move_us : ndarray, shape (K + 1, M, M)
    arrive_us, leave_us : ndarray, shape (M,)
    """
    last = cost.shape[0] - 1
    n_options, n_memories = cost.shape[2], len(arrive_us)
    best = np.full((last + 1, n_memories), np.inf)
    source = np.zeros((last + 1, n_memories, 3), dtype=np.int64)
    for b in range(1, last + 1):
        for a in range(b):
            for before in range(n_memories if a else 1):
                so_far = best[a, before] if a else 0.0
                if not np.isfinite(so_far):
                    continue
                for option in range(n_options):
                    m = memory[option]
                    moved = move_us[a, before, m] if a else arrive_us[m]
                    left = leave_us[m] if b == last else 0.0
                    total = ((so_far + moved) + cost[a, b, option]) + left
                    if total < best[b, m]:
                        best[b, m] = total
                        source[b, m] = (a, before, option)
    end = np.argmin(best[last])
    if not np.isfinite(best[last, end]):
        return np.empty((0, 3), dtype=np.int64)
    steps = np.empty((last, 3), dtype=np.int64)
    count = 0
    b, m = last, end
    while b > 0:
        a, before, option = source[b, m]
        steps[count] = (a, b, option)
        count += 1
        b, m = a, before
    return steps[:count][::-1].copy()
