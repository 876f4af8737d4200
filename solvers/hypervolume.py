"""Hypervolume of a two-dimensional front: the area it dominates, the common yardstick for fronts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .pareto import non_dominated


def hypervolume(points: ArrayLike, reference: tuple[float, float]) -> float:
    """Area between the points and a reference that is worse than all that counts.

    Parameters
    ----------
    points : array_like, shape (m, 2)
        Both columns are minimised. Points not strictly better than the reference in both add nothing.
    reference : (float, float)

    Returns
    -------
    float
        In the product of the two units. 0 without points.

    Notes
    -----
    Zitzler, Thiele 1998, doi 10.1007/BFb0056872. O(m log m).
    """
    given = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    inside = given[np.all(given < np.asarray(reference), axis=1)]
    if not len(inside):
        return 0.0
    front = inside[non_dominated(inside)]
    widths = np.diff(np.append(front[:, 0], reference[0]))
    return float(np.sum(widths * (reference[1] - front[:, 1])))
