"""Shortest ways through the arcs of one model, for prices on time and core time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .cp_arcs import Arc

NO_WAY = 1 << 61
"""Cost where there is none. Sums of a few stay far from what Python or CP-SAT cannot hold."""


@dataclass(frozen=True)
class PricedPaths:
    """Least costs of all ways that consist of some arcs.

    Attributes
    ----------
    arcs : tuple of Arc
        By ascending end.
    costs : tuple of int
        Cost of each arc.
    ahead, behind : dict
        Least cost from the start to a (cut, memory), and from there to the end.
    n_units : int
    """

    arcs: tuple[Arc, ...]
    costs: tuple[int, ...]
    ahead: dict[tuple[int, int], int]
    behind: dict[tuple[int, int], int]
    n_units: int

    @classmethod
    def of(cls, arcs: Sequence[Arc], costs: Sequence[int], n_units: int) -> PricedPaths:
        """Work out least costs; O(arcs)."""
        order = sorted(range(len(arcs)), key=lambda k: arcs[k].b)
        ordered = tuple(arcs[k] for k in order)
        priced = tuple(costs[k] for k in order)
        ahead: dict[tuple[int, int], int] = {(0, 0): 0}
        for arc, cost in zip(ordered, priced, strict=True):
            node = arc.node_after(n_units)
            ahead[node] = min(ahead.get(node, NO_WAY), ahead.get((arc.a, arc.before), NO_WAY) + cost)
        behind: dict[tuple[int, int], int] = {(n_units, 0): 0}
        for k in sorted(range(len(ordered)), key=lambda k: -ordered[k].a):
            arc = ordered[k]
            from_here = behind.get(arc.node_after(n_units), NO_WAY) + priced[k]
            behind[arc.a, arc.before] = min(behind.get((arc.a, arc.before), NO_WAY), from_here)
        return cls(ordered, priced, ahead, behind, n_units)

    @property
    def least(self) -> int:
        """Cost of the cheapest way, `NO_WAY` or more where there is none."""
        return self.behind.get((0, 0), NO_WAY)

    def through(self) -> list[tuple[Arc, int]]:
        """For each arc the cost of the cheapest way through it."""
        return [
            (arc, self.ahead.get((arc.a, arc.before), NO_WAY) + cost + self._to_go(arc))
            for arc, cost in zip(self.arcs, self.costs, strict=True)
        ]

    def cheapest(self) -> tuple[Arc, ...]:
        """The arcs of the cheapest way, the longest segments first among equal ones."""
        leaving: dict[tuple[int, int], list[tuple[Arc, int]]] = {}
        for arc, cost in zip(self.arcs, self.costs, strict=True):
            leaving.setdefault((arc.a, arc.before), []).append((arc, cost))
        node, way = (0, 0), []
        while node != (self.n_units, 0):
            arc, _ = min(leaving[node], key=lambda pair: (pair[1] + self._to_go(pair[0]), -pair[0].b))
            way.append(arc)
            node = arc.node_after(self.n_units)
        return tuple(way)

    def _to_go(self, arc: Arc) -> int:
        return self.behind.get(arc.node_after(self.n_units), NO_WAY)
