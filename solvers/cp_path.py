"""One model in CP-SAT: a path of arcs over its cuts, a placement on cores, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .chain import Chain
from .core_sets import CoreSet, Placement
from .cp_arcs import Arc

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


class ModelPath:
    """Literals of one model's arcs, exactly one path of which is taken, and of its placements, exactly one of them.

    Parameters
    ----------
    cp : cp_model.CpModel
        The constraints of path and placement are added to it.
    chain : Chain
    arcs : sequence of Arc
    placements : sequence of Placement
    longest_ticks : int
        No path that matters is longer.
    """

    def __init__(
        self,
        cp: cp_model.CpModel,
        chain: Chain,
        arcs: Sequence[Arc],
        placements: Sequence[Placement],
        longest_ticks: int,
    ) -> None:
        self._cp = cp
        self.chain = chain
        self.name = chain.model.name
        self.arcs = tuple(arcs)
        self.placements = tuple(placements)
        self._starts = np.array([arc.a for arc in arcs])
        self._ends = np.array([arc.b for arc in arcs])
        self.taken = [cp.new_bool_var(f"{self.name} [{arc.a}, {arc.b}) {arc.configuration}") for arc in arcs]
        self.placed = [cp.new_bool_var(f"{self.name} on {set(placement)}") for placement in placements]
        self._add_path()
        self._add_placement()
        self.latency = cp.new_int_var(0, longest_ticks, f"latency of {self.name}")
        cp.add(self.latency == self.total(lambda arc: arc.path_ticks))

    def _add_path(self) -> None:
        """Flow: one arc leaves cut 0, one enters the last cut, and what enters a cut in a memory leaves it there."""
        last = self.chain.n_units
        entering: dict[tuple[int, int], list[cp_model.IntVar]] = {}
        leaving: dict[tuple[int, int], list[cp_model.IntVar]] = {}
        for arc, literal in zip(self.arcs, self.taken, strict=True):
            leaving.setdefault((arc.a, arc.before), []).append(literal)
            entering.setdefault(arc.node_after(last), []).append(literal)
        self._cp.add_exactly_one(leaving.get((0, 0), []))
        self._cp.add_exactly_one(entering.get((last, 0), []))
        for node in sorted(entering.keys() | leaving.keys()):
            if 0 < node[0] < last:
                self._cp.add(sum(entering.get(node, [])) == sum(leaving.get(node, [])))

    def _add_placement(self) -> None:
        """Arcs run only where the placement gives their configuration cores."""
        self._cp.add_exactly_one(self.placed)
        configurations = sorted({arc.configuration for arc in self.arcs})
        for c in configurations:
            able = [z for z, placement in zip(self.placed, self.placements, strict=True) if placement[c] is not None]
            if len(able) < len(self.placed):
                for covering in self._covering(lambda arc, c=c: int(arc.configuration == c)):
                    self._cp.add(covering <= sum(able))

    def total(self, figure: Callable[[Arc], int]) -> cp_model.LinearExpr:
        """Sum of a figure over the arcs taken."""
        from ortools.sat.python import cp_model

        terms = [(literal, value) for arc, literal in zip(self.arcs, self.taken, strict=True) if (value := figure(arc))]
        return cp_model.LinearExpr.weighted_sum([literal for literal, _ in terms], [value for _, value in terms])

    def largest(self, figure: Callable[[Arc], int], name: str) -> cp_model.IntVar:
        """Variable no smaller than a figure of any arc taken (0 for arcs that do not count).

        One constraint a unit rather than one an arc: exactly one arc taken covers each unit, so the sum of the figures
        of those that could is the figure of the one that does. That is as true and a far tighter relaxation.
        """
        highest = max((figure(arc) for arc in self.arcs), default=0)
        variable = self._cp.new_int_var(0, highest, name)
        if highest > 0:
            for covering in self._covering(figure):
                self._cp.add(variable >= covering)
        return variable

    @cached_property
    def core_ticks(self) -> dict[str, cp_model.IntVar]:
        """Core time of one request on each processor."""
        found = {}
        for processor, on_it in self.on_processor.items():
            most = longest_way(self.chain.n_units, self.arcs, lambda arc, on_it=on_it: arc.core_ticks * on_it(arc))
            variable = self._cp.new_int_var(0, most, f"core time of {self.name} on {processor}")
            self._cp.add(variable == self.total(lambda arc, on_it=on_it: arc.core_ticks * on_it(arc)))
            found[processor] = variable
        return found

    @cached_property
    def longest(self) -> dict[str, cp_model.IntVar]:
        """Longest segment on each processor, in ticks."""
        return {
            processor: self.largest(
                lambda arc, on_it=on_it: arc.run_ticks * on_it(arc), f"longest of {self.name} on {processor}"
            )
            for processor, on_it in self.on_processor.items()
        }

    @cached_property
    def on_processor(self) -> dict[str, Callable[[Arc], bool]]:
        """For each processor in use, a test for its arcs."""
        names = [c.processor for c in self.chain.configurations]
        return {
            processor: lambda arc, processor=processor: names[arc.configuration] == processor
            for processor in dict.fromkeys(names)
        }

    def placed_on(self, processor: str) -> dict[CoreSet, list[cp_model.IntVar]]:
        """For each core set of a processor the literals of the placements that use it."""
        found: dict[CoreSet, list[cp_model.IntVar]] = {}
        for literal, placement in zip(self.placed, self.placements, strict=True):
            pairs = zip(placement, self.chain.configurations, strict=True)
            for cores in {cores for cores, c in pairs if cores is not None and c.processor == processor}:
                found.setdefault(cores, []).append(literal)
        return found

    def _covering(self, figure: Callable[[Arc], int]) -> list[cp_model.LinearExpr]:
        """For each unit the sum of a figure over the arcs taken that cover it; equal sums only once."""
        from ortools.sat.python import cp_model

        values = np.array([figure(arc) for arc in self.arcs], dtype=np.int64)
        groups: dict[tuple[int, ...], None] = {}
        for unit in range(self.chain.n_units):
            covering = np.flatnonzero((self._starts <= unit) & (self._ends > unit) & (values != 0))
            if len(covering):
                groups.setdefault(tuple(covering.tolist()))
        return [
            cp_model.LinearExpr.weighted_sum([self.taken[k] for k in covering], [int(values[k]) for k in covering])
            for covering in groups
        ]


def longest_way(n_units: int, arcs: Sequence[Arc], figure: Callable[[Arc], int]) -> int:
    """Largest sum of a figure over any path, whatever memory it passes through."""
    longest = [0] * (n_units + 1)
    for arc in sorted(arcs, key=lambda arc: arc.b):
        longest[arc.b] = max(longest[arc.b], longest[arc.a] + figure(arc))
    return longest[-1]
