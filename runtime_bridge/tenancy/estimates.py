"""Rates and costs from windows, with intervals. Pure functions of what was recorded."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from scipy.special import gammaincinv

from .events import Estimate, Window
from .settings import ControllerSettings

_ROUNDING = 1 - 1e-9
"""A window made of many is full although rounding leaves it a little short."""


def poisson_rate(count: int, exposure_s: float, confidence: float) -> Estimate:
    """Rate of a Poisson process with the exact central interval (Garwood 1936, doi 10.1093/biomet/28.3-4.437).

    Parameters
    ----------
    count : int
        Arrivals seen …
    exposure_s : float
        … in so many seconds.
    confidence : float
        The interval covers the rate at least this often.
    """
    tail = (1.0 - confidence) / 2
    low = float(gammaincinv(count, tail)) if count else 0.0
    high = float(gammaincinv(count + 1, 1.0 - tail))
    return Estimate(
        value=count / exposure_s, low=low / exposure_s, high=high / exposure_s, samples=count, window_s=exposure_s
    )


def _shorten(counts: deque[tuple[float, int]], window_s: float) -> None:
    """Drop the oldest as long as the rest covers the window."""
    while sum(seconds for seconds, _ in counts) - counts[0][0] >= window_s * _ROUNDING:
        counts.popleft()


def median_interval(samples: Sequence[float], confidence: float) -> Estimate:
    """Median with the interval between order statistics that covers it at least so often (or the whole range)."""
    from scipy.stats import binom  # takes a second to load

    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    n = len(ordered)
    # Of k samples below the low end, the most for which that happens rarely enough.
    outside = max(0, int(binom.ppf((1.0 - confidence) / 2, n, 0.5)) - 1)
    return Estimate(
        value=float(np.median(ordered)), low=float(ordered[outside]), high=float(ordered[n - 1 - outside]), samples=n
    )


class Sight:
    """The latest windows, and what follows from them.

    Parameters
    ----------
    n_tenants : int
    settings : ControllerSettings
    """

    def __init__(self, n_tenants: int, settings: ControllerSettings) -> None:
        self._settings = settings
        self._counts: list[deque[tuple[float, int]]] = [deque() for _ in range(n_tenants)]
        self._timings: list[dict[str, deque[float]]] = [{} for _ in range(n_tenants)]

    def add(self, window: Window) -> None:
        """Take a window in and forget what is older than the longest window of rates."""
        seconds = (window.end_us - window.start_us) / 1e6
        for counts, kept, seen in zip(self._counts, self._timings, window.tenants, strict=True):
            counts.append((seconds, seen.arrivals))
            _shorten(counts, self._settings.rate_windows_s[-1])
            for quantity in ("service_us", "reload_us", "suffix_us"):
                kept.setdefault(quantity, deque(maxlen=self._settings.cost_samples)).extend(getattr(seen, quantity))

    def forget_costs(self) -> None:
        """Drop all timings: they are of another allocation."""
        for kept in self._timings:
            kept.clear()

    def forget_rate_before(self, tenant: int, window_s: float) -> None:
        """Drop what is older than the window in which a tenant's rate was found to have changed."""
        _shorten(self._counts[tenant], window_s)

    def rate_hz(self, tenant: int) -> Estimate | None:
        """Rate of a tenant; None until the shortest window is full."""
        found: list[Estimate] = []
        exposure_s, count, wanted = 0.0, 0, list(self._settings.rate_windows_s)
        history = self._counts[tenant]
        for k, (seconds, arrivals) in enumerate(reversed(history), start=1):
            exposure_s, count = exposure_s + seconds, count + arrivals
            full = bool(wanted) and exposure_s >= wanted[0] * _ROUNDING
            if not full and (k < len(history) or not found):
                continue  # the oldest ends a window too, so that nothing known goes unused
            longer = poisson_rate(count, exposure_s, self._settings.confidence)
            if any(not shorter.low <= longer.value <= shorter.high for shorter in found):
                break
            found.append(longer)
            wanted = [w for w in wanted if w * _ROUNDING > exposure_s]
        return found[-1] if found else None

    def cost_us(self, tenant: int, quantity: str) -> Estimate | None:
        """Median of a tenant's ``service_us``, ``reload_us`` or ``suffix_us``; None with too few timings."""
        samples = self._timings[tenant].get(quantity, ())
        if len(samples) < self._settings.min_cost_samples:
            return None
        return median_interval(tuple(samples), self._settings.confidence)
