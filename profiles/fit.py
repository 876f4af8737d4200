"""Calibrates layer times against measured segments.

The sum of node times is not a segment's time: a session has a fixed cost, and fusion, layout and warm caches differ at
every cut. So segments are measured, and the fixed cost and each unit's time are fitted to them, the layer times being
the prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .design import Range

PRIOR_WEIGHT = 0.05
"""Weight of one unit's prior against one measured segment, both as relative deviations."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Fitted costs of one configuration: ``fixed_us + Σ layer_us`` predicts a segment.

    Attributes
    ----------
    layer_us : ndarray, shape (n,)
    fixed_us : float
    """

    layer_us: NDArray[np.float64]
    fixed_us: float

    def predict_us(self, segment: Range) -> float:
        """Predicted microseconds of a segment."""
        return self.fixed_us + float(self.layer_us[segment[0] : segment[1]].sum())

    def mape(self, measured: Mapping[Range, float]) -> float | None:
        """Mean absolute percentage error, as a fraction, on measured segments; None where there are none."""
        errors = [abs(self.predict_us(segment) - us) / us for segment, us in measured.items()]
        return float(np.mean(errors)) if errors else None


def calibrate(layer_us: NDArray[np.float64], positions: Sequence[int], measured: Mapping[Range, float]) -> Calibration:
    """Fit units and fixed cost to measured segments.

    Minimises Σ ((fixed + Σ shares · unit − t) / t)² over the segments plus `PRIOR_WEIGHT` · Σ ((unit − prior) / prior)²
    over the units, all values ≥ 0 (Lawson and Hanson, doi 10.1137/1.9781611971217). Within a unit, layers keep the
    shares of the prior.

    Parameters
    ----------
    layer_us : ndarray, shape (n,)
        Layer times of some run; only their proportions count.
    positions : sequence of int
        Cut positions of the units, K + 1.
    measured : mapping of Range to float
        Microseconds of at least one segment.
    """
    from scipy.optimize import nnls

    n, units = len(layer_us), len(positions) - 1
    # A layer that seemed free keeps a little, so that a segment of such layers alone is not free.
    shares = np.maximum(layer_us, max(float(layer_us.sum()), 1.0) * 1e-4 / n)
    owner = np.repeat(np.arange(units), np.diff(positions))
    totals = np.bincount(owner, weights=shares, minlength=units)
    prior = totals * np.median([us / shares[start:stop].sum() for (start, stop), us in _longest(measured)])
    shares = shares / totals[owner]

    rows = np.zeros((len(measured) + units, units + 1))
    targets = np.ones(len(rows))
    for row, ((start, stop), us) in zip(rows, measured.items(), strict=False):
        row[:units] = np.bincount(owner[start:stop], weights=shares[start:stop], minlength=units) / us
        row[units] = 1 / us
    weight = np.sqrt(PRIOR_WEIGHT)
    rows[len(measured) :, :units] = np.diag(weight / prior)
    targets[len(measured) :] = weight
    scale = np.append(prior, prior.mean())  # unknowns near 1 keep the system well conditioned
    solution = nnls(rows * scale, targets)[0] * scale
    return Calibration(shares * solution[owner], float(solution[units]))


def _longest(measured: Mapping[Range, float]) -> list[tuple[Range, float]]:
    """The longer half of the segments: there the fixed cost matters least."""
    by_length = sorted(measured.items(), key=lambda item: item[0][0] - item[0][1])
    return by_length[: (len(by_length) + 1) // 2]
