"""What a simulation found: what became of every request, summaries and series of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .requests import Requests
from .statistics import ResponseSummary


@dataclass(frozen=True)
class Pool:
    """Cores that the suffixes of some tenants share, first come first served.

    Attributes
    ----------
    tenants : tuple of str
    servers : int
        Suffixes that run at once.
    """

    tenants: tuple[str, ...]
    servers: int


@dataclass(frozen=True, eq=False)
class TenancySimulation:
    """What became of every request. Times are microseconds; arrays have one entry a request, in order of arrival.

    Attributes
    ----------
    tenants : tuple of str
    requests : Requests
    accelerator_start_us, accelerator_ready_us, accelerator_end_us : ndarray
        When the accelerator took it, had its weights, and ended it; the arrival where it has no part there.
    cpu_start_us, finish_us : ndarray
    swapped : ndarray of bool
        Whether its weights had to be brought in.
    counted_from : int
        Requests before this one are warm-up, which the summaries leave out.
    level : float
        Of the confidence intervals.
    pools : tuple of Pool
    on_accelerator : ndarray of bool, shape (tenants,)
    """

    tenants: tuple[str, ...]
    requests: Requests
    accelerator_start_us: NDArray[np.float64]
    accelerator_ready_us: NDArray[np.float64]
    accelerator_end_us: NDArray[np.float64]
    cpu_start_us: NDArray[np.float64]
    finish_us: NDArray[np.float64]
    swapped: NDArray[np.bool_]
    counted_from: int
    level: float
    pools: tuple[Pool, ...]
    on_accelerator: NDArray[np.bool_]

    @property
    def response_us(self) -> NDArray[np.float64]:
        """From arrival to finish, warm-up included."""
        return self.finish_us - self.requests.time_us

    @cached_property
    def overall(self) -> ResponseSummary:
        """All tenants' requests together."""
        return self._summary(slice(self.counted_from, None))

    @cached_property
    def by_tenant(self) -> dict[str, ResponseSummary]:
        """Summaries by tenant."""
        counted = np.arange(len(self.requests)) >= self.counted_from
        return {name: self._summary(counted & (self.requests.tenant == i)) for i, name in enumerate(self.tenants)}

    def _summary(self, chosen: slice | NDArray[np.bool_]) -> ResponseSummary:
        visits = int(np.count_nonzero(self.on_accelerator[self.requests.tenant[chosen]]))
        return ResponseSummary.of(self.response_us[chosen], self.swapped[chosen], visits, self.level)

    @property
    def window_us(self) -> tuple[float, float]:
        """From the first counted arrival to the last finish: the time that utilisations refer to."""
        return float(self.requests.time_us[self.counted_from]), float(self.finish_us.max())

    @cached_property
    def accelerator_utilisation(self) -> float:
        """Share of the window in which the accelerator was occupied, reloads included."""
        return self._busy(self.accelerator_start_us, self.accelerator_end_us, self._leads) / _length(self.window_us)

    @cached_property
    def reload_utilisation(self) -> float:
        """The part of it that went to reloads."""
        return self._busy(self.accelerator_start_us, self.accelerator_ready_us, self._leads) / _length(self.window_us)

    @cached_property
    def pool_utilisation(self) -> tuple[float, ...]:
        """Share of each pool's servers that was occupied."""
        names = {name: i for i, name in enumerate(self.tenants)}
        return tuple(
            self._busy(
                self.cpu_start_us,
                self.finish_us,
                np.isin(self.requests.tenant, [names[name] for name in pool.tenants]),
            )
            / (pool.servers * _length(self.window_us))
            for pool in self.pools
        )

    @cached_property
    def _leads(self) -> NDArray[np.bool_]:
        """Requests that stand for what the accelerator did from an instant on: a batch shares one start."""
        mine = np.flatnonzero(self.on_accelerator[self.requests.tenant])
        # Services that take no time share their start with the next one: the last to end stands for all.
        mine = mine[np.lexsort((self.accelerator_end_us[mine], self.accelerator_start_us[mine]))]
        last = np.diff(self.accelerator_start_us[mine], append=np.inf) > 0
        leads = np.zeros(len(self.requests), dtype=np.bool_)
        leads[mine[last]] = True
        return leads

    def _busy(self, start: NDArray[np.float64], end: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float:
        low, high = self.window_us
        return float(np.sum(np.clip(end[chosen], low, high) - np.clip(start[chosen], low, high)))

    def time_series(self, interval_us: float) -> TimeSeries:
        """Mean response by interval of arrival, and utilisation of the accelerator by interval.

        Intervals begin at multiples of `interval_us`, the first at or before the first arrival.
        """
        first = np.floor(self.requests.time_us[0] / interval_us) * interval_us
        edges = np.arange(first, self.finish_us.max() + interval_us, interval_us)
        which = np.clip(np.digitize(self.requests.time_us, edges) - 1, 0, len(edges) - 2)
        count = np.bincount(which, minlength=len(edges) - 1)
        total = np.bincount(which, weights=self.response_us, minlength=len(edges) - 1)
        mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
        start = np.sort(self.accelerator_start_us[self._leads])
        end = np.sort(self.accelerator_end_us[self._leads])
        busy_before = _occupied_before(edges, start, end)
        return TimeSeries(edges[:-1], count, mean, np.diff(busy_before) / interval_us)


@dataclass(frozen=True, eq=False)
class TimeSeries:
    """Figures by interval, shape (intervals,).

    Attributes
    ----------
    start_us : ndarray
    arrivals : ndarray of int
    mean_response_us : ndarray
        Of the requests that arrived in it; NaN where none did.
    accelerator_utilisation : ndarray
    """

    start_us: NDArray[np.float64]
    arrivals: NDArray[np.int64]
    mean_response_us: NDArray[np.float64]
    accelerator_utilisation: NDArray[np.float64]


def _occupied_before(
    at: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Total occupied time before each instant; intervals do not overlap."""
    starts, ends = np.concatenate([[0.0], np.cumsum(start)]), np.concatenate([[0.0], np.cumsum(end)])
    begun, ended = np.searchsorted(start, at, side="right"), np.searchsorted(end, at, side="right")
    return (begun - ended) * at - starts[begun] + ends[ended]


def _length(window: tuple[float, float]) -> float:
    return max(window[1] - window[0], 1e-12)
