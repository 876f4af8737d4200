"""Which class leaves a swapping server idle: the unknowns of its mean wait, by zeros of transforms; see `swapping`."""

from __future__ import annotations

import numpy as np

from ..compiled import njit
from .transforms import one_minus_transform, transform

EQUAL_ZEROS = 1e-8
"""Relative distance below which zeros count as equal: nearer, rounding spoils their row more than the limit does."""


@njit(cache=True, nogil=True)
def _denominator(x, i, p, m, tau, bscv, tscv):
    """D_i at s = 1 − x, times in units of 1/Λ."""
    return x - p[i] * transform(1.0 - x, m[i], bscv[i]) * one_minus_transform(1.0 - x, tau[i], tscv[i])


@njit(cache=True, nogil=True)
def _residue(x, i, p, m, tau, bscv, tscv):
    """p_i b_i t_i at s = 1 − x."""
    return p[i] * transform(1.0 - x, m[i], bscv[i]) * transform(1.0 - x, tau[i], tscv[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _value(x, i, low, high, p, m, tau, bscv, tscv):
    """D_i, or for i < 0 the function F with its poles at `low` and `high` multiplied away, at s = 1 − x."""
    if i >= 0:
        return _denominator(x, i, p, m, tau, bscv, tscv)
    total = 1.0
    for j in range(len(p)):
        total -= _residue(x, j, p, m, tau, bscv, tscv) / _denominator(x, j, p, m, tau, bscv, tscv)
    return total * (x - low) * (high - x)


@njit(cache=True, nogil=True, error_model="numpy")
def _root(i, low, high, p, m, tau, bscv, tscv):
    """Where `_value` rises through 0 from `low` to `high`: regula falsi (Illinois), every fourth step a bisection."""
    a, b = low, high
    width = high - low
    f_a = _value(a, i, low, high, p, m, tau, bscv, tscv) if i >= 0 else -width
    f_b = _value(b, i, low, high, p, m, tau, bscv, tscv) if i >= 0 else width
    if f_a >= 0.0:
        return a
    if f_b <= 0.0:
        return b
    side = 0
    for step in range(120):
        x = 0.5 * (a + b) if step % 4 == 3 else (a * f_b - b * f_a) / (f_b - f_a)
        if not a < x < b:
            x = 0.5 * (a + b)
        if b - a <= 4e-16 * b or x in (a, b):
            break
        f = _value(x, i, low, high, p, m, tau, bscv, tscv)
        if f == 0.0:
            return x
        if f < 0.0:
            a, f_a = x, f
            if side < 0:
                f_b *= 0.5
            side = -1
        else:
            b, f_b = x, f
            if side > 0:
                f_a *= 0.5
            side = 1
    return 0.5 * (a + b)


@njit(cache=True, nogil=True, error_model="numpy")
def idle_weights_kernel(p, m, tau, bscv, tscv):
    """Share of each class among the requests that leave the server idle.

    `p` are shares (positive, sum 1), `m` and `tau` mean service and swap times in units of 1/Λ, with their squared
    variations, each of shape (n,). The arithmetic is in x = 1 − s/Λ, so that zeros next to Λ, of small shares and short
    swaps, keep their relative precision. O(n³), and about 20 n² evaluations of transforms.
    """
    n = len(p)
    zero = np.empty(n)
    for i in range(n):
        low = p[i] * transform(1.0, m[i], bscv[i]) * one_minus_transform(1.0 - p[i], tau[i], tscv[i])
        zero[i] = _root(i, low, p[i], p, m, tau, bscv, tscv)
    order = np.argsort(zero)
    rows = np.zeros((n, n))
    right = np.zeros(n)
    for k in range(n - 1):
        a, b = order[k], order[k + 1]
        if zero[b] - zero[a] <= EQUAL_ZEROS * zero[b]:
            c_a = _residue(zero[a], a, p, m, tau, bscv, tscv)
            c_b = _residue(zero[b], b, p, m, tau, bscv, tscv)
            largest = max(c_a, c_b)
            rows[k, a] = c_b / largest if largest > 0.0 else 1.0
            rows[k, b] = -c_a / largest if largest > 0.0 else -1.0
            continue
        z = _root(-1, zero[a], zero[b], p, m, tau, bscv, tscv)
        nearest = np.inf
        for i in range(n):
            rows[k, i] = _denominator(z, i, p, m, tau, bscv, tscv)
            nearest = min(nearest, abs(rows[k, i]))
        for i in range(n):
            # A root on a zero (to rounding): that class never leaves the server idle.
            if nearest > 0.0:
                rows[k, i] = nearest / rows[k, i]
            else:
                rows[k, i] = 1.0 if rows[k, i] == 0.0 else 0.0
    rows[n - 1, :] = 1.0
    right[n - 1] = 1.0
    weights = np.maximum(np.linalg.solve(rows, right), 0.0)
    return weights / weights.sum()
