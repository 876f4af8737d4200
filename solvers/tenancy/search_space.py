"""A problem made ready for search: tables, rates and CPU waits, and the exact score of a choice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...formulation import Allocation, TenancyEvaluation, TenancyProblem, evaluate_tenancy
from .kernels import fill_cpu_waits, response_total, response_totals
from .tables import Tables, allocation_of, tables_of


@dataclass(eq=False)
class SearchSpace:
    """What all searches of one problem share.

    Attributes
    ----------
    problem : TenancyProblem
    tables : Tables
    rate : ndarray, shape (n,)
        Requests a microsecond.
    waits : ndarray, shape (n, K, cores + 1, T)
        Mean waits of suffixes for Poisson arrivals.
    """

    problem: TenancyProblem
    tables: Tables
    rate: NDArray[np.float64]
    waits: NDArray[np.float64]

    @classmethod
    def of(cls, problem: TenancyProblem) -> SearchSpace:
        """Make a problem ready."""
        tables = tables_of(problem)
        n, longest = tables.cpu_us.shape
        space = cls(
            problem,
            tables,
            problem.rate_hz / 1e6,
            np.empty((n, longest, tables.cores + 1, tables.speedup.shape[1])),
        )
        for i in range(n):
            space._fill(i)
        return space

    def _fill(self, i: int) -> None:
        tables = self.tables
        fill_cpu_waits(self.waits[i], self.rate[i], tables.cpu_us[i], tables.speedup[i], tables.cpu_scv[i])

    def at_rates(self, problem: TenancyProblem) -> None:
        """Take over a problem that differs in its rates only."""
        rate = problem.rate_hz / 1e6
        changed = np.flatnonzero(rate != self.rate)
        self.problem, self.rate = problem, rate
        for i in changed:
            self._fill(int(i))

    @property
    def default_order(self) -> NDArray[np.int64]:
        """Tenants by what a byte of memory saves them, most first: rate times streaming cost."""
        cost = self.tables.streaming_us_per_byte
        worth = self.rate * np.where(np.isfinite(cost), cost, 1e9)
        return np.argsort(-worth, kind="stable").astype(np.int64)

    def total(self, point: NDArray[np.int64], order: NDArray[np.int64]) -> float:
        """Mean requests in the system with the best cores; ∞ where nothing is stable."""
        cores, threads = np.zeros(len(point), dtype=np.int64), np.ones(len(point), dtype=np.int64)
        return response_total(self.rate, point, order, self.tables, self.waits, True, cores, threads)

    def mean_responses_us(
        self, points: NDArray[np.int64], order: NDArray[np.int64] | None = None, exact: bool = True
    ) -> NDArray[np.float64]:
        """Predicted mean responses of many candidates, each with its best cores.

        Parameters
        ----------
        points : ndarray of int, shape (candidates, n)
            Partition points that can run.
        order : ndarray of int, shape (n,), optional
            In which co-compiled tenants are given the memory.
        exact : bool
            Token residency: the exact wait, or the closed form, which is faster.

        Returns
        -------
        ndarray, shape (candidates,)
            Microseconds; ∞ where unstable. Under LRU an approximation that the evaluator refines.
        """
        orders = np.broadcast_to(self.default_order if order is None else order, points.shape)
        totals = np.empty(len(points))
        response_totals(self.rate, points, np.ascontiguousarray(orders), self.tables, self.waits, exact, totals)
        return totals / self.rate.sum()

    def allocation(self, point: NDArray[np.int64], order: NDArray[np.int64]) -> Allocation | None:
        """Allocation with the best cores; None where nothing is stable."""
        cores, threads = np.zeros(len(point), dtype=np.int64), np.ones(len(point), dtype=np.int64)
        total = response_total(self.rate, point, order, self.tables, self.waits, True, cores, threads)
        return allocation_of(self.problem, point, cores, threads, order) if np.isfinite(total) else None

    def evaluation(self, allocation: Allocation) -> TenancyEvaluation:
        """What the evaluator says."""
        return evaluate_tenancy(self.problem, allocation)
