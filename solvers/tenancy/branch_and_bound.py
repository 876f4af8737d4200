"""Exact search: sets of tenants on the accelerator, slices of its utilisation, then depth first within a slice."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...formulation import TenancyProblem
from ..stop import Stop
from .features import TenancyFeatures
from .local_search import best_found
from .outcome import no_stable_allocation, solution_of
from .overload import least_utilisation
from .search_space import SearchSpace
from .slice_search import search_slice
from .slices import slice_bound
from .solution import TenancySolution
from .tables import CO_COMPILED

_TOLERANCE = 1e-9
"""Relative: what is not better by more counts as no better, so that rounding cannot keep the search alive."""
_NARROW = 0.01
"""Slices are cut until 1 − utilisation varies by no more than this share, then searched."""
_NODES = 1_000_000
"""Nodes after which a slice is cut instead of searched further."""
_PROBE = 10_000
"""The same while nothing stable is known: no bound closes a slice then, but few choices are soon gone through."""
_ALL = 2**62
"""More nodes than any search has."""


@dataclass(order=True)
class _Slice:
    bound: float
    mask: int = field(compare=False)
    partial: int = field(compare=False)
    low: float = field(compare=False)
    high: float = field(compare=False)
    on_load: float = field(compare=False)
    on_bytes: float = field(compare=False)


@dataclass
class _Incumbent:
    total: float
    point: NDArray[np.int64]
    order: NDArray[np.int64]

    @property
    def enough(self) -> float:
        """Totals from here on are not better."""
        return self.total * (1 - _TOLERANCE)


class BranchAndBound:
    """Proves the best partition points and cores; under co-compilation also the best order of memory in one set.

    The sets of tenants that visit the accelerator (and, co-compiled, the one tenant that gets a part of what it could
    use), each cut into slices of utilisation, are taken in the order of their lower bounds. A slice is cut until it is
    narrow and then searched depth first; every choice that survives its bound is scored with the exact mean wait.
    """

    name = "branch_and_bound"
    features = TenancyFeatures(exact=True, residency=frozenset({"token", "co_compiled"}), max_tenants=16)

    def solve(self, problem: TenancyProblem, stop: Stop, seed: int) -> TenancySolution:
        """Solve until proven or stopped; what is open at a stop gives the bound."""
        space = SearchSpace.of(problem)
        if (utilisation := least_utilisation(space)) >= 1.0:
            return no_stable_allocation(self.name, problem, utilisation)
        n = len(problem.tenants)
        best = _Incumbent(np.inf, np.zeros(n, dtype=np.int64), space.default_order)
        start = best_found(space, stop, seed)
        if start is not None:
            names = [tenant.name for tenant in problem.tenants]
            best.point = np.array([part.point for part in start.tenants], dtype=np.int64)
            listed = [names.index(name) for name in (start.co_compiled[0] if start.co_compiled else ())]
            best.order = np.array(listed + [i for i in range(n) if i not in listed], dtype=np.int64)
            best.total = space.total(best.point, best.order)
        bound = self._search(space, best, stop)
        if not np.isfinite(best.total):
            proven = not np.isfinite(bound)
            return no_stable_allocation(self.name, problem) if proven else TenancySolution("timeout", self.name)
        allocation = space.allocation(best.point, best.order)
        assert allocation is not None
        bound_us = bound / float(space.rate.sum())
        return solution_of(self.name, problem, allocation, bound_us=bound_us, proven=bound >= best.enough)

    def _search(self, space: SearchSpace, best: _Incumbent, stop: Stop) -> float:
        """Lower bound of all totals; improves the incumbent on the way."""
        n = len(space.rate)
        shared = space.tables.kind == CO_COMPILED
        heap: list[_Slice] = []

        def push(mask: int, partial: int, low: float, high: float, known: float) -> None:
            bound, on_load, on_bytes = slice_bound(
                space.rate, _members(mask, n), partial, low, high, space.tables, space.waits, best.enough
            )
            bound = max(bound, known)
            if bound < best.enough:
                heapq.heappush(heap, _Slice(bound, mask, partial, low, high, on_load, on_bytes))

        for mask in range(1 << n):
            for partial in (-1, *(i for i in range(n) if shared and mask >> i & 1)):
                push(mask, partial, 0.0, 1.0, 0.0)
                if stop():
                    return 0.0
        while heap:
            part = heapq.heappop(heap)
            if part.bound >= best.enough:
                break
            if stop():
                return part.bound
            # In halves of 1 − ρ by ratio, for the bound replaces 1 − ρ by 1 − low; the last slice ends at full load.
            middle = 1.0 - float(np.sqrt((1.0 - part.low) * max(1.0 - part.high, 1e-3 * (1.0 - part.low))))
            narrow = part.mask == 0 or part.high - part.low <= _NARROW * (1.0 - part.low)
            cuttable = part.low < middle < part.high  # not so where floats have nothing in between
            if narrow or not cuttable or not np.isfinite(best.total):
                budget = (_NODES if narrow else _PROBE) if cuttable else _ALL
                best.total, nodes, _ = search_slice(
                    space.rate,
                    _members(part.mask, n),
                    part.partial,
                    part.low,
                    part.high,
                    part.on_load,
                    part.on_bytes,
                    space.tables,
                    space.waits,
                    best.total,
                    best.point,
                    best.order,
                    budget,
                )
                if nodes <= budget:
                    continue
            push(part.mask, part.partial, part.low, middle, part.bound)
            push(part.mask, part.partial, middle, part.high, part.bound)
        return best.total


def _members(mask: int, n: int) -> NDArray[np.bool_]:
    return np.array([bool(mask >> i & 1) for i in range(n)])
