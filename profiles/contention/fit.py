"""Fits sensitivity, pressure and the share of crowded cores to measured co-runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...formulation import Activity
from .measuring import MeasuredCoRun
from .slowdown_model import Floats, Rows, log_slowdown, parameters_of

SENSITIVITY_SPREAD, PRESSURE_SPREAD = 0.1, 0.5
"""How far activities may well differ from each other: standard deviations of the prior. Sensitivities lie around their
own mean, pressures around 1, which sets their scale."""

SHARE_SPREAD, JOINT_SHARE_SPREAD = 0.1, 0.5
"""The same for exponents of the fair share and for claims, around 1: for one thread, to which the operating system is
fair by itself, and for threads that wait for each other."""

NOISE_FLOOR = 0.003
"""Least standard deviation of a log slowdown that is believed."""

FIRST_NOISE = 0.03
"""Standard deviation of a log slowdown in the first pass."""

PASSES = 6
"""Fits, each with the noise and the weights that the one before left."""

CAUCHY = 2.385
"""Residuals of so many standard deviations count half; 95 % of the efficiency of least squares on normal noise."""

NORMAL_95 = 1.96


@dataclass(frozen=True)
class Prediction:
    """Predicted slowdown of one member of a co-run, with the 95 % interval of what would be measured."""

    slowdown: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class ContentionFit:
    """Fitted activities, and how sure that is.

    Attributes
    ----------
    activities : tuple of Activity
        Their mean pressure is 1: a sensitivity is the share of time lost beside an average neighbour.
    cores : int
    noise, crowded_noise : float
        Standard deviation of log slowdowns around the fit: within the cores, and where threads outnumber them.
    covariance : ndarray, shape (4 n, 4 n)
        Of sensitivities, pressures, exponents, claims.
    """

    activities: tuple[Activity, ...]
    cores: int
    noise: float
    crowded_noise: float
    covariance: NDArray[np.floating]

    def predict(self, members: Sequence[int]) -> tuple[Prediction, ...]:
        """Slowdowns of a co-run, with intervals: the parameters' by linearisation, and the noise.

        Parameters
        ----------
        members : sequence of int
            Indices of activities.
        """
        rows = Rows.of([members], self.activities, self.cores)
        logs, gradient = log_slowdown(parameters_of(self.activities), rows)
        noise = self.crowded_noise if rows.crowding[0] > 1 else self.noise
        spread = NORMAL_95 * np.sqrt(np.einsum("ri,ij,rj->r", gradient, self.covariance, gradient) + noise**2)
        return tuple(
            Prediction(float(np.exp(at)), float(np.exp(at - wide)), float(np.exp(at + wide)))
            for at, wide in zip(logs, spread, strict=True)
        )


def fit_contention(
    co_runs: Sequence[MeasuredCoRun], activities: Sequence[Activity], cores: int, *, fair: bool = False
) -> ContentionFit:
    """Fit activities to measured co-runs.

    Minimises ``Σ w ((predicted − measured log slowdown) / σ)²`` over the members of all co-runs, plus squared
    deviations from the prior, within the figures' bounds (trust region reflective, Branch, Coleman, Li 1999,
    doi 10.1137/S1064827595289108). Repeated with σ, within the cores and beyond, and weights w from what was left
    (Holland, Welsch 1977, doi 10.1080/03610927708827533), so that outliers count less, and the prior counts the less
    the better the measurements are. What other processes took of the machine during a co-run adds to its σ.

    Parameters
    ----------
    co_runs : sequence of MeasuredCoRun
    activities : sequence of Activity
        Whose model, configuration and threads count; their figures do not.
    cores : int
        Of the processor.
    fair : bool
        Hold exponents and claims at 1, the fair share.
    """
    from scipy.optimize import least_squares

    n = len(activities)
    rows = Rows.of([run.members for run in co_runs], activities, cores)
    seen = np.concatenate([run.log_slowdown for run in co_runs])
    rounds_noise = np.concatenate([run.noise for run in co_runs])
    prior_mean, prior_root = _prior(activities, fair)
    foreign = np.concatenate([np.full(len(run.members), run.foreign_share) for run in co_runs])
    kinds = (rows.crowding <= 1, rows.crowding > 1)
    noises = [FIRST_NOISE, FIRST_NOISE]
    weights = 1 / np.hypot(FIRST_NOISE, foreign)

    def residuals(at: Floats) -> Floats:
        return np.concatenate([weights * (log_slowdown(at, rows)[0] - seen), prior_root @ (at - prior_mean)])

    def jacobian(at: Floats) -> Floats:
        return np.concatenate([weights[:, None] * log_slowdown(at, rows)[1], prior_root])

    derivative: Any = jacobian  # scipy has no types; those inferred from its defaults know names of rules only
    at = np.repeat([0.02, 1.0, 1.0, 0.9], n)
    bounds = (0.0, np.repeat([np.inf, np.inf, np.inf, 1.0], n))
    for _ in range(PASSES):
        at = least_squares(residuals, at, derivative, bounds=bounds, x_scale=0.1).x
        left = np.abs(log_slowdown(at, rows)[0] - seen)
        for kind, of_kind in enumerate(kinds):
            if of_kind.any():
                noises[kind] = _noise(left[of_kind], rounds_noise[of_kind], n)
        sigma = np.hypot(np.where(kinds[0], *noises), foreign)
        weights = 1 / sigma / np.sqrt(1 + (left / sigma / CAUCHY) ** 2)
    precision = jacobian(at)
    scale = float(at[n : 2 * n].mean()) or 1.0
    rescale = np.repeat([scale, 1 / scale, 1.0, 1.0], n)
    s, p, k, claim = (at * rescale).reshape(4, n)
    return ContentionFit(
        tuple(
            a.model_copy(
                update={
                    "sensitivity": float(s[i]),
                    "pressure": float(p[i]),
                    "oversubscription": 1.0 if fair else float(k[i]),
                    "claim": 1.0 if fair else float(claim[i]),
                }
            )
            for i, a in enumerate(activities)
        ),
        cores,
        noises[0],
        noises[1],
        np.linalg.pinv(precision.T @ precision, hermitian=True) * np.outer(rescale, rescale),
    )


def _prior(activities: Sequence[Activity], fair: bool) -> tuple[Floats, Floats]:
    """Mean of the parameters before anything was measured, and the root of their precision."""
    n = len(activities)
    shares = np.array([SHARE_SPREAD if a.threads == 1 else JOINT_SHARE_SPREAD for a in activities])
    root = np.zeros((4 * n, 4 * n))
    root[:n, :n] = (np.eye(n) - 1 / n) / SENSITIVITY_SPREAD
    root[n : 2 * n, n : 2 * n] = np.eye(n) / PRESSURE_SPREAD
    root[2 * n :, 2 * n :] = np.diag(np.tile(1 / (np.full(n, 1e-6) if fair else shares), 2))
    return np.concatenate([np.zeros(n), np.ones(3 * n)]), root


def _noise(left: Floats, rounds_noise: NDArray[np.float64], activities: int) -> float:
    """Standard deviation of what a fit left: robust, made up for the parameters that it spent, and no less than what
    the rounds of one measurement differ by."""
    # Each activity spends about one parameter on rows of either kind.
    spent = min(activities / len(left), 0.5)
    known = rounds_noise[np.isfinite(rounds_noise)]
    floor = max(NOISE_FLOOR, float(np.median(known))) if len(known) else NOISE_FLOOR
    return max(floor, 1.4826 * float(np.median(left)) / np.sqrt(1 - spent))
