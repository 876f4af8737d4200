"""Laplace–Stieltjes transforms of the times that the formulas know: constant, or gamma by mean and variation."""

from __future__ import annotations

import math

from ..compiled import njit


@njit(cache=True, nogil=True)
def log_transform(s: float, mean: float, scv: float) -> float:
    """Logarithm of E exp(−sX); X of this mean, in any unit of time, and squared variation, 0 for a constant."""
    if scv == 0.0:
        return -s * mean
    return -math.log1p(scv * s * mean) / scv


@njit(cache=True, nogil=True)
def transform(s: float, mean: float, scv: float) -> float:
    """E exp(−sX): exp(−s·mean), or (1 + scv·s·mean)^(−1/scv)."""
    return math.exp(log_transform(s, mean, scv))


@njit(cache=True, nogil=True)
def one_minus_transform(s: float, mean: float, scv: float) -> float:
    """1 − E exp(−sX), to full precision where it is small."""
    return -math.expm1(log_transform(s, mean, scv))
