"""Summaries of simulated responses, with confidence intervals by batch means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

BATCHES = 30
"""Batches of a confidence interval (Schmeiser 1982, doi 10.1287/opre.30.3.556: more than 30 gain little)."""


@dataclass(frozen=True)
class ResponseSummary:
    """Responses of a group of requests, microseconds; NaN where there are too few.

    Attributes
    ----------
    requests : int
    mean_us, p50_us, p95_us, p99_us : float
    swap_fraction : float
        Share of its requests that found their weights evicted, among those with a part on the accelerator.
    confidence_interval_us : tuple of two floats
        Of the mean, by batch means: the requests in order of arrival are cut into batches of equal size, whose means
        are taken as independent and normal.
    """

    requests: int
    mean_us: float
    p50_us: float
    p95_us: float
    p99_us: float
    swap_fraction: float
    confidence_interval_us: tuple[float, float]

    @classmethod
    def of(
        cls, response_us: NDArray[np.float64], swapped: NDArray[np.bool_], visits: int, level: float
    ) -> ResponseSummary:
        """Summarise responses in order of arrival.

        Parameters
        ----------
        response_us, swapped : ndarray, shape (requests,)
        visits : int
            Requests with a part on the accelerator.
        level : float
            Of the confidence interval.
        """
        if not len(response_us):
            return cls(0, math.nan, math.nan, math.nan, math.nan, math.nan, (math.nan, math.nan))
        p50, p95, p99 = np.quantile(response_us, (0.5, 0.95, 0.99))
        return cls(
            len(response_us),
            float(response_us.mean()),
            float(p50),
            float(p95),
            float(p99),
            float(np.count_nonzero(swapped)) / visits if visits else 0.0,
            batch_means_interval(response_us, level),
        )


def batch_means_interval(
    values: NDArray[np.float64], level: float = 0.95, batches: int = BATCHES
) -> tuple[float, float]:
    """Confidence interval of the mean of a correlated sequence; (NaN, NaN) with fewer than two values a batch.

    Parameters
    ----------
    values : ndarray, shape (n,)
        In order; what does not fill the batches is left off at the front.
    level : float
        In (0, 1).
    batches : int
    """
    size = len(values) // batches
    if size < 2:
        return math.nan, math.nan
    means = values[len(values) - size * batches :].reshape(batches, size).mean(axis=1)
    half = student_t_quantile((1 + level) / 2, batches - 1) * float(means.std(ddof=1)) / math.sqrt(batches)
    middle = float(means.mean())
    return middle - half, middle + half


def student_t_quantile(share: float, freedom: int) -> float:
    """Quantile of Student's t by its expansion in 1/freedom (Abramowitz & Stegun 26.7.5); good to 1e-3 from 10 on."""
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom ** (k + 1) for k, term in enumerate(terms))
