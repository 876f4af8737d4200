"""One-sided tests that `Trial` puts together: a share against a number, shares and values against those of before."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def binomial_p(successes: int, trials: int, probability: float) -> float:
    """Probability of so many successes or more; 1 where there were no trials."""
    return float(stats.binom.sf(successes - 1, trials, probability)) if trials else 1.0


def stratified_fisher_p(after: Mapping[str, tuple[int, int]], before: Mapping[str, tuple[int, int]]) -> float:
    """Exact one-sided test that no stratum's share rose, against that the share rose.

    Parameters
    ----------
    after, before : mapping of str to (int, int)
        By stratum, how many had the property, and how many there were. A stratum that one of them lacks says nothing.

    Returns
    -------
    float
        Probability, given each stratum's margins, of so many in `after` or more. With one stratum it is that of
        Fisher's exact test.
    """
    lowest, observed, mass = 0, 0, np.ones(1)
    for stratum in sorted(after.keys() & before.keys()):
        (had, total), (had_before, total_before) = after[stratum], before[stratum]
        least = max(0, had + had_before - total_before)
        most = min(total, had + had_before)
        support = np.arange(least, most + 1)
        pmf = stats.hypergeom.pmf(support, total + total_before, had + had_before, total)
        mass, lowest, observed = np.convolve(mass, pmf), lowest + least, observed + had
    return float(min(1.0, mass[observed - lowest :].sum()))


def van_elteren_p(after: Mapping[str, NDArray[np.float64]], before: Mapping[str, NDArray[np.float64]]) -> float:
    """One-sided stratified Mann–Whitney test that values did not grow, against that they grew.

    Parameters
    ----------
    after, before : mapping of str to ndarray
        Values by stratum. A stratum that one of them lacks says nothing.

    Returns
    -------
    float
        By the normal approximation with correction for ties; 1 where there is nothing to compare.
    """
    excess = variance = 0.0
    for stratum in sorted(after.keys() & before.keys()):
        new, old = after[stratum], before[stratum]
        m, n = len(new), len(old)
        if not m or not n:
            continue
        statistic = float(stats.mannwhitneyu(new, old, method="asymptotic").statistic)
        total = m + n
        _, ties = np.unique(np.concatenate((new, old)), return_counts=True)
        tied = float((ties**3 - ties).sum()) / (total * (total - 1))
        weight = 1 / (total + 1)
        excess += weight * (statistic - m * n / 2)
        variance += weight**2 * m * n / 12 * (total + 1 - tied)
    return float(stats.norm.sf(excess / np.sqrt(variance))) if variance > 0 else 1.0
