"""Non-dominated rows: what is kept of many labels or points when every column is minimised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STRONG_PIVOTS = 16
_FEW_ROWS = 64


def non_dominated(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the rows that no other row dominates, in lexicographic order; of equal rows the first one.

    Parameters
    ----------
    values : ndarray, shape (m, d)
        Every column is minimised.

    Returns
    -------
    ndarray of int, shape (kept,)

    Notes
    -----
    Columns that are constant do not count. Two columns: one sort and a running minimum, O(m log m). More: the rows with
    the smallest sums of ranks first remove most others, then each row that is left in lexicographic order is kept and
    removes what it dominates, O(kept · m · d). A row that comes later in lexicographic order never dominates an
    earlier one (Kung, Luccio, Preparata 1975, doi 10.1145/321906.321910).
    """
    order = np.lexsort(values.T[::-1])
    rows = values[order]
    varying = np.flatnonzero(np.any(rows != rows[:1], axis=0)) if len(rows) else np.array([], dtype=np.int64)
    rows = rows[:, varying]
    if rows.shape[1] == 0:
        return order[:1]
    if rows.shape[1] == 1:
        return order[:1]
    if rows.shape[1] == 2:
        return order[_staircase(rows[:, 1])]
    if len(rows) > _FEW_ROWS:
        kept = _cull(rows)
        order, rows = order[kept], rows[kept]
    result: list[np.int64] = []
    index = order
    while len(rows):
        result.append(index[0])
        worse = np.all(rows >= rows[0], axis=1)
        rows, index = rows[~worse], index[~worse]
    return np.array(result, dtype=np.int64)


def _staircase(second: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows sorted by the first column survive where the second falls below everything before."""
    best_before = np.concatenate([[np.inf], np.minimum.accumulate(second)[:-1]])
    return second < best_before


def _cull(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices left once a few good rows have removed what they dominate; order is kept."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    score = ((rows - low) / np.where(high > low, high - low, 1.0)).sum(axis=1)
    left = np.arange(len(rows))
    for pivot in np.argsort(score, kind="stable")[:_STRONG_PIVOTS]:
        here = rows[left]
        worse = np.all(here >= rows[pivot], axis=1) & np.any(here > rows[pivot], axis=1)
        left = left[~worse]
    return left
