"""Shortest ways through the arcs of one model, for prices on time, on core time, and on the longest segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .cp_arcs import Arc

NO_WAY = 1 << 60
"""Cost where there is none; a sum of three still fits in 64 bits."""


class ArcArrays:
    """Arcs of one model as arrays, by ascending end.

    Parameters
    ----------
    arcs : sequence of Arc
    n_units, n_memories : int
    processor : sequence of int
        Processor of each configuration, by index.
    """

    def __init__(self, arcs: Sequence[Arc], n_units: int, n_memories: int, processor: Sequence[int]) -> None:
        self.arcs = tuple(sorted(arcs, key=lambda arc: (arc.b, arc.a)))
        self.n_units = n_units
        self.n_nodes = (n_units + 1) * n_memories
        self.start = np.array([arc.a * n_memories + arc.before for arc in self.arcs], dtype=np.int64)
        ends = (arc.node_after(n_units) for arc in self.arcs)
        self.end = np.array([cut * n_memories + memory for cut, memory in ends], dtype=np.int64)
        self.goal = n_units * n_memories
        self.path_ticks = np.array([arc.path_ticks for arc in self.arcs], dtype=np.int64)
        self.run_ticks = np.array([arc.run_ticks for arc in self.arcs], dtype=np.int64)
        self.core_ticks = np.array([arc.core_ticks for arc in self.arcs], dtype=np.int64)
        self.resident = np.array([arc.resident for arc in self.arcs], dtype=np.int64)
        self.transient = np.array([arc.transient for arc in self.arcs], dtype=np.int64)
        self.memory = np.array([arc.memory for arc in self.arcs], dtype=np.int64)
        self.configuration = np.array([arc.configuration for arc in self.arcs], dtype=np.int64)
        self.processor = np.array([processor[arc.configuration] for arc in self.arcs], dtype=np.int64)
        cuts = np.array([arc.b for arc in self.arcs])
        self.by_end = [np.flatnonzero(cuts == b) for b in range(1, n_units + 1)]
        starts = np.array([arc.a for arc in self.arcs])
        self.by_start = [np.flatnonzero(starts == a) for a in range(n_units - 1, -1, -1)]


@dataclass(frozen=True, eq=False)
class PricedPaths:
    """Least costs of the ways through some arcs, in S variants that allow different arcs.

    Attributes
    ----------
    of : ArcArrays
    costs : ndarray of int, shape (arcs, S)
        `NO_WAY` for an arc that a variant does not allow.
    extra : ndarray of int, shape (S,)
        Added to the cost of any way in a variant.
    """

    of: ArcArrays
    costs: NDArray[np.int64]
    extra: NDArray[np.int64]

    @cached_property
    def _ahead(self) -> NDArray[np.int64]:
        """Least cost from the start to each node, shape (nodes, S)."""
        ahead = np.full((self.of.n_nodes, self.costs.shape[1]), NO_WAY, dtype=np.int64)
        ahead[0] = 0
        for arcs in self.of.by_end:
            reached = np.minimum(ahead[self.of.start[arcs]] + self.costs[arcs], NO_WAY)
            np.minimum.at(ahead, self.of.end[arcs], reached)
        return ahead

    @cached_property
    def _behind(self) -> NDArray[np.int64]:
        """Least cost from each node to the end, shape (nodes, S)."""
        behind = np.full((self.of.n_nodes, self.costs.shape[1]), NO_WAY, dtype=np.int64)
        behind[self.of.goal] = 0
        for arcs in self.of.by_start:
            from_here = np.minimum(behind[self.of.end[arcs]] + self.costs[arcs], NO_WAY)
            np.minimum.at(behind, self.of.start[arcs], from_here)
        return behind

    @cached_property
    def least(self) -> int:
        """Cost of the cheapest way over all variants, `NO_WAY` or more where there is none."""
        return int((self._ahead[self.of.goal] + self.extra).min())

    def through(self) -> NDArray[np.int64]:
        """Cost of the cheapest way through each arc, over all variants, shape (arcs,)."""
        return (self._ahead[self.of.start] + self.costs + self._behind[self.of.end] + self.extra).min(axis=1)

    def cheapest(self) -> tuple[Arc, ...]:
        """The arcs of the cheapest way, the longest segments first among equal ones."""
        variant = int(np.argmin(self._ahead[self.of.goal] + self.extra))
        to_go = self.costs[:, variant] + self._behind[self.of.end, variant]
        node, way = 0, []
        while node != self.of.goal:
            leaving = np.flatnonzero(self.of.start == node)
            # Arcs are sorted by their end, so that the last of the best is the longest.
            k = int(leaving[np.flatnonzero(to_go[leaving] == to_go[leaving].min())[-1]])
            way.append(self.of.arcs[k])
            node = int(self.of.end[k])
        return tuple(way)


def least_largest(of: ArcArrays, allowed: NDArray[np.bool_], values: NDArray[np.int64]) -> int:
    """Least possible largest value of an arc over ways of allowed arcs; `NO_WAY` without a way."""
    best = np.full(of.n_nodes, NO_WAY, dtype=np.int64)
    best[0] = 0
    for arcs in of.by_end:
        arcs = arcs[allowed[arcs]]
        np.minimum.at(best, of.end[arcs], np.maximum(best[of.start[arcs]], values[arcs]))
    return int(best[of.goal])
