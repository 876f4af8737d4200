"""Fits sensitivity, pressure and the share of crowded cores to measured co-runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...formulation import Activity
from .measuring import MeasuredCoRun

SENSITIVITY_SPREAD, PRESSURE_SPREAD, SHARE_SPREAD = 0.1, 0.5, 0.3
"""How far activities may well differ from each other: standard deviations of the prior. Sensitivities lie around their
own mean, pressures around 1 (which sets their scale), exponents of the fair share around 1 (which is the fair share)."""

NOISE_FLOOR = 0.003
"""Least standard deviation of a log slowdown that is believed; it keeps the prior from drowning without noise."""

FIRST_NOISE = 0.03
"""Standard deviation of a log slowdown in the first of the passes."""

PASSES = 4
"""Fits, each with the noise that the one before left."""

ROBUST = 2.0
"""Residuals beyond so many standard deviations count less."""

NORMAL_95 = 1.96


@dataclass(frozen=True, eq=False)
class Observations:
    """Measured slowdowns, one row for each member of each co-run.

    Attributes
    ----------
    member : ndarray of int, shape (rows,)
        The activity.
    beside : ndarray, shape (rows, n)
        How often each activity runs beside it.
    log_crowding : ndarray, shape (rows,)
        Logarithm of threads for each core, 0 where cores are left.
    log_slowdown : ndarray, shape (rows,)
    """

    member: NDArray[np.int64]
    beside: NDArray[np.float64]
    log_crowding: NDArray[np.float64]
    log_slowdown: NDArray[np.float64]

    @classmethod
    def of(cls, co_runs: Iterable[MeasuredCoRun], activities: Sequence[Activity], cores: int) -> Observations:
        """Rows of the co-runs, in their order."""
        runs = list(co_runs)
        company = [company_of(run.members, activities, cores) for run in runs]
        n = len(activities)
        return cls(
            np.concatenate([c[0] for c in company]) if runs else np.zeros(0, dtype=np.int64),
            np.concatenate([c[1] for c in company]) if runs else np.zeros((0, n)),
            np.concatenate([c[2] for c in company]) if runs else np.zeros(0),
            np.concatenate([run.log_slowdown for run in runs]) if runs else np.zeros(0),
        )


def company_of(
    members: Sequence[int], activities: Sequence[Activity], cores: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """`Observations.member`, `beside` and `log_crowding` of one co-run."""
    member = np.array(members, dtype=np.int64)
    beside = np.tile(np.bincount(member, minlength=len(activities)).astype(np.float64), (len(members), 1))
    beside[np.arange(len(members)), member] -= 1
    crowding = max(1.0, sum(activities[i].threads for i in members) / cores)
    return member, beside, np.full(len(members), np.log(crowding))


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
    covariance : ndarray, shape (3 n, 3 n)
        Of sensitivities, pressures, exponents.
    """

    activities: tuple[Activity, ...]
    cores: int
    noise: float
    crowded_noise: float
    covariance: NDArray[np.float64]

    def predict(self, members: Sequence[int]) -> tuple[Prediction, ...]:
        """Slowdowns of a co-run, with intervals: the parameters' by linearisation, and the noise.

        Parameters
        ----------
        members : sequence of int
            Indices of activities.
        """
        member, beside, log_crowding = company_of(members, self.activities, self.cores)
        rows = Observations(member, beside, log_crowding, np.zeros(len(members)))
        parameters = _parameters(self.activities)
        logs, gradient = _log_slowdown(parameters, rows)
        noise = self.crowded_noise if log_crowding[0] > 0 else self.noise
        spread = NORMAL_95 * np.sqrt(np.einsum("ri,ij,rj->r", gradient, self.covariance, gradient) + noise**2)
        return tuple(
            Prediction(float(np.exp(at)), float(np.exp(at - wide)), float(np.exp(at + wide)))
            for at, wide in zip(logs, spread, strict=True)
        )


def fit_contention(
    co_runs: Sequence[MeasuredCoRun], activities: Sequence[Activity], cores: int, *, fair: bool = False
) -> ContentionFit:
    """Fit activities to measured co-runs.

    Minimises ``Σ ρ((log(1 + s_i Σ p_j) + k_i log c − log slowdown) / σ)`` over the rows, with c the threads for each
    core where there are more than cores and ρ the smooth absolute value, plus squared deviations from the prior; s, p
    and k are 0 or more. σ is what the fit before left, within the cores and beyond, so that the prior loses its weight
    as measurements get better. Trust region reflective, Branch, Coleman, Li 1999, doi 10.1137/S1064827595289108.

    Parameters
    ----------
    co_runs : sequence of MeasuredCoRun
    activities : sequence of Activity
        Whose model, configuration and threads count; their figures do not.
    cores : int
        Of the processor.
    fair : bool
        Hold the exponents at 1, the fair share.
    """
    from scipy.optimize import least_squares

    n = len(activities)
    rows = Observations.of(co_runs, activities, cores)
    crowded = rows.log_crowding > 0
    share_spread = 1e-6 if fair else SHARE_SPREAD
    noises = np.array([FIRST_NOISE, FIRST_NOISE])
    parameters = np.concatenate([np.full(n, 0.02), np.ones(n), np.ones(n)])

    def residuals(at: NDArray[np.float64]) -> NDArray[np.float64]:
        sigma = noises[crowded.astype(int)]
        prior = np.concatenate(
            [
                (at[:n] - at[:n].mean()) / SENSITIVITY_SPREAD,
                (at[n : 2 * n] - 1) / PRESSURE_SPREAD,
                (at[2 * n :] - 1) / share_spread,
            ]
        )
        return np.concatenate([(_log_slowdown(at, rows)[0] - rows.log_slowdown) / sigma, prior])

    def jacobian(at: NDArray[np.float64]) -> NDArray[np.float64]:
        sigma = noises[crowded.astype(int)]
        prior = np.zeros((3 * n, 3 * n))
        prior[:n, :n] = (np.eye(n) - 1 / n) / SENSITIVITY_SPREAD
        prior[n : 2 * n, n : 2 * n] = np.eye(n) / PRESSURE_SPREAD
        prior[2 * n :, 2 * n :] = np.eye(n) / share_spread
        return np.concatenate([_log_slowdown(at, rows)[1] / sigma[:, None], prior])

    def loss(squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """ρ, ρ′ and ρ″ of squared residuals: smooth absolute value for measurements, plain squares for the prior."""
        z = squares / ROBUST**2
        root = np.sqrt(1 + z)
        robust = np.stack([ROBUST**2 * 2 * (root - 1), 1 / root, -0.5 / ROBUST**2 / root**3])
        plain = np.stack([squares, np.ones_like(squares), np.zeros_like(squares)])
        return np.where(np.arange(len(squares)) < len(rows.member), robust, plain)

    for _ in range(PASSES):
        found = least_squares(residuals, parameters, jacobian, bounds=(0, np.inf), loss=loss, x_scale=0.1)
        parameters = found.x
        left = np.abs(_log_slowdown(parameters, rows)[0] - rows.log_slowdown)
        noises = np.array([_spread(left[~crowded], noises[0], n), _spread(left[crowded], noises[1], n)])
    scale = parameters[n : 2 * n].mean() or 1.0
    rescale = np.concatenate([np.full(n, scale), np.full(n, 1 / scale), np.ones(n)])
    final = jacobian(parameters)
    covariance = np.linalg.pinv(final.T @ final) * np.outer(rescale, rescale)
    s, p, k = (parameters * rescale).reshape(3, n)
    fitted = tuple(
        a.model_copy(
            update={
                "sensitivity": float(s[i]),
                "pressure": float(p[i]),
                "oversubscription": 1.0 if fair else float(k[i]),
            }
        )
        for i, a in enumerate(activities)
    )
    return ContentionFit(fitted, cores, float(noises[0]), float(noises[1]), covariance)


def _parameters(activities: Sequence[Activity]) -> NDArray[np.float64]:
    return np.array(
        [
            *(a.sensitivity for a in activities),
            *(a.pressure for a in activities),
            *(a.oversubscription for a in activities),
        ]
    )


def _log_slowdown(
    parameters: NDArray[np.float64], rows: Observations
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log slowdown of each row, and its gradient, shape (rows, 3 n)."""
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


def _spread(left: NDArray[np.float64], before: float, parameters: int) -> float:
    """Standard deviation of what the fit left: robust, and made up for the parameters that it spent."""
    if len(left) == 0:
        return before
    # Each activity spends about one parameter and a half on its rows of either kind; the prior takes part of that back.
    spent = min(parameters / len(left), 0.5)
    return max(NOISE_FLOOR, 1.4826 * float(np.median(left)) / np.sqrt(1 - spent))
