"""Many plans scored at once, compiled, in the evaluator's own order of sums.

Import this module only where plans are about to be scored: it loads numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...formulation.compiled import njit

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@njit(cache=True)
def score_layered(
    choices: NDArray[np.integer],
    prefix_us: Floats,
    unsupported: Integers,
    fixed_us: Floats,
    weight_bytes: Floats,
    weight_scale: Floats,
    session_bytes: Floats,
    workspace_bytes: Floats,
    memory: Integers,
    move_us: Floats,
    arrive_us: Floats,
    leave_us: Floats,
) -> Floats:
    """Latency and memory of each row of configurations, shape (p, 2); see `LayeredModel` for the arguments."""
    count, n = choices.shape
    n_memories = len(arrive_us)
    result = np.zeros((count, 2))
    resident = np.zeros(n_memories)
    transient = np.zeros(n_memories)
    for p in range(count):
        resident[:] = 0.0
        transient[:] = 0.0
        latency = 0.0
        before = -1
        a = 0
        while a < n:
            c = choices[p, a]
            m = memory[c]
            need = workspace_bytes[a, c]
            b = a + 1
            while b < n and choices[p, b] == c:
                need = max(need, workspace_bytes[b, c])
                b += 1
            moved = arrive_us[m] if a == 0 else move_us[a, before, m]
            if unsupported[b, c] > unsupported[a, c]:
                latency = np.inf
            # Sums of floats depend on their order; this is the evaluator's.
            latency = (latency + moved) + ((prefix_us[b, c] - prefix_us[a, c]) + fixed_us[c])
            resident[m] += (weight_bytes[b] - weight_bytes[a]) * weight_scale[c] + session_bytes[c]
            transient[m] = max(transient[m], need)
            before = m
            a = b
        result[p, 0] = latency + leave_us[before]
        total = 0.0
        for m in range(n_memories):
            total += resident[m] + transient[m]
        result[p, 1] = total
    return result


@njit(cache=True)
def label_rows(
    options: Integers,
    ends: NDArray[np.bool_],
    added: Floats,
    memory: Integers,
    move_us: Floats,
    arrive_us: Floats,
    leave_us: Floats,
    first_transient: int,
    end_transient: int,
) -> Floats:
    """Label of each plan from a table of what every segment adds; see `Genomes.labels`.

    Parameters
    ----------
    options : ndarray of int, shape (p, K)
        Option of each unit.
    ends : ndarray of bool, shape (p, K)
        Whether a segment ends after each unit.
    added : ndarray, shape (K + 1, K + 1, O, width)

    Returns
    -------
    ndarray, shape (p, width)
    """
    count, n = options.shape
    width = added.shape[3]
    labels = np.zeros((count, width))
    for p in range(count):
        start = 0
        before = -1
        for unit in range(n):
            if not ends[p, unit]:
                continue
            option = options[p, unit]
            m = memory[option]
            row = added[start, unit + 1, option]
            moved = arrive_us[m] if start == 0 else move_us[start, before, m]
            labels[p, 0] = (labels[p, 0] + moved) + row[0]
            for k in range(1, width):
                if first_transient <= k < end_transient:
                    labels[p, k] = max(labels[p, k], row[k])
                else:
                    labels[p, k] += row[k]
            start = unit + 1
            before = m
        labels[p, 0] += leave_us[before]
    return labels
