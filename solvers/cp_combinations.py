"""Combinations of placements of all models, each with a bound on the objective that holds for it.

Once it is known which cores every model uses, waits are sums over the arcs taken, and the least cost of each model is a
shortest path. CP-SAT's own relaxation does not see that, because waits hang on placements that it leaves open; with the
bounds stated for each combination it closes gaps of half the objective at once. The same bounds remove arcs, and the
shortest paths are good plans to start from.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from ..formulation import Problem, competing_releases
from .cp_arcs import TIME_QUANTUM_US, Arc
from .cp_model_builder import ModelChoices
from .cp_priced_paths import NO_WAY, PricedPaths
from .cp_responses import set_on, shared_parts
from .limits import Limit, highest_accepted, limits_of
from .stop import Stop

MOST_COMBINATIONS = 50_000
"""Where there are more, none are listed, and only CP-SAT's own bound remains."""


@dataclass(frozen=True)
class Combination:
    """One placement of each model, as indices in the models' order, and a bound on the objective with them."""

    placements: tuple[int, ...]
    bound: int


class Combinations:
    """Bounds of combinations in the integer objective's unit; what several of them share is worked out once.

    Parameters
    ----------
    problem : Problem
        With objective ``response`` or ``latency``.
    choices : dict of str to ModelChoices
    weights : dict of str to int
    parts : int
        Parts of a tick that the objective is counted in.
    """

    def __init__(
        self, problem: Problem, choices: Mapping[str, ModelChoices], weights: Mapping[str, int], parts: int
    ) -> None:
        self._names = list(choices)
        self._choices = list(choices.values())
        self._weights = [weights[name] for name in self._names]
        self._parts = parts
        self._waits_count = problem.objective == "response"
        self._processors = [p.name for p in problem.platform.processors]
        self._problem = problem
        streams = [problem.stream_of.get(name) for name in self._names]
        self._releases = [[competing_releases(i, j) if problem.streams else 0 for j in streams] for i in streams]
        self._sets = [
            [
                [set_on([c.processor for c in of.chain.configurations], p, name) for name in self._processors]
                for p in of.placements
            ]
            for of in self._choices
        ]
        self._priced = cache(self._priced_paths)
        self._least_longest = cache(self._least_longest_segment)
        self._least_blocking = cache(self._least_blocking_of)

    def within(self, most: float, limits: Collection[Limit], stop: Stop) -> tuple[Combination, ...] | None:
        """Combinations that can keep the deadlines among `limits` with a bound up to `most`, best bound first.

        Returns
        -------
        tuple of Combination or None
            None where there are too many to list, or time ran out.
        """
        if math.prod(len(of.placements) for of in self._choices) > MOST_COMBINATIONS:
            return None
        values = limits_of(self._problem)
        deadlines = [
            highest_accepted(values[limit]) / TIME_QUANTUM_US * self._parts
            if (limit := Limit("deadline", name)) in limits
            else None
            for name in self._names
        ]
        found = []
        for indices in product(*(range(len(of.placements)) for of in self._choices)):
            if stop():
                return None
            bound = self._bound(indices)
            if bound <= most and all(
                deadline is None or self._least_held(i, indices) <= deadline for i, deadline in enumerate(deadlines)
            ):
                found.append(Combination(indices, bound))
        return tuple(sorted(found, key=lambda combination: (combination.bound, combination.placements)))

    def floor(self) -> int:
        """A bound on the objective of any plan: each model alone, the fastest way on its best placement."""
        prices = (0,) * len(self._processors)
        return sum(
            min(self._priced(j, q, prices).least for q in range(len(of.placements)))
            for j, of in enumerate(self._choices)
        )

    def ways(self, combination: Combination) -> dict[str, tuple[Arc, ...]]:
        """For each model the arcs of its least-cost way in a combination."""
        indices = combination.placements
        return {
            name: self._priced(j, indices[j], self._prices(j, indices)).cheapest() for j, name in enumerate(self._names)
        }

    def pruned(self, found: Sequence[Combination], most: float) -> dict[str, ModelChoices]:
        """Choices without the arcs through which no combination has a bound up to `most`, and unused placements."""
        kept: list[set[Arc]] = [set() for _ in self._names]
        for combination in found:
            for j, q in enumerate(combination.placements):
                paths = self._priced(j, q, self._prices(j, combination.placements))
                spare = most - combination.bound + paths.least
                kept[j].update(arc for arc, cost in paths.through() if cost <= spare)
        return {
            name: replace(of, arcs=tuple(arc for arc in of.arcs if arc in kept[j]))
            for j, (name, of) in enumerate(zip(self._names, self._choices, strict=True))
        }

    def _bound(self, indices: tuple[int, ...]) -> int:
        """Shortest paths with the waits they cause priced in, and the least blocking of each model."""
        total = sum(self._priced(j, q, self._prices(j, indices)).least for j, q in enumerate(indices))
        if self._waits_count:
            total += sum(w * self._parts * self._blocking(i, indices) for i, w in enumerate(self._weights))
        return total

    def _prices(self, j: int, indices: Sequence[int]) -> tuple[int, ...]:
        """What a tick of model j's core time costs all other models together, for each processor."""
        prices = [0] * len(self._processors)
        for i, weight in enumerate(self._weights):
            if i != j and self._waits_count:
                for k, share in enumerate(self._shares(i, j, indices)):
                    prices[k] += weight * self._releases[i][j] * share
        return tuple(prices)

    def _shares(self, i: int, j: int, indices: Sequence[int]) -> list[int]:
        mine, theirs = self._sets[i][indices[i]], self._sets[j][indices[j]]
        return [shared_parts(u, s, self._parts) for u, s in zip(mine, theirs, strict=True)]

    def _least_held(self, i: int, indices: tuple[int, ...]) -> int:
        """Least of what model i's deadline is held against, in parts of a tick."""
        total = self._priced(i, indices[i], None).least + self._parts * self._blocking(i, indices)
        if self._problem.stream_of[self._names[i]].is_hard:
            for j, releases in enumerate(self._releases[i]):
                if j != i and releases:
                    prices = tuple(releases * share for share in self._shares(i, j, indices))
                    total += self._priced(j, indices[j], prices, False).least
        return total

    def _blocking(self, i: int, indices: tuple[int, ...]) -> int:
        """Least blocking of model i, in ticks."""
        total = 0
        for k in range(len(self._processors)):
            blocked = [
                self._least_blocking(i, indices[i], j, indices[j], k)
                for j, releases in enumerate(self._releases[i])
                if j != i and not releases and self._problem.streams
            ]
            total += max(blocked, default=0)
        return total

    def _least_blocking_of(self, i: int, p: int, j: int, q: int, k: int) -> int:
        mine, theirs = self._sets[i][p][k], self._sets[j][q][k]
        meet = mine is not None and theirs is not None and set(mine) & set(theirs)
        return self._least_longest(j, q, k) if meet else 0

    def _priced_paths(self, j: int, q: int, prices: tuple[int, ...] | None, weighted: bool = True) -> PricedPaths:
        """Ways of model j on placement q: weighted time and core time at prices.

        Without prices it is the time alone, and with ``weighted=False`` the core time alone, both in parts of a tick.
        """
        processor = self._processor_of(j)
        weight = self._parts * (self._weights[j] if prices is not None else 1) * weighted
        arcs = self._usable(j, q)
        costs = [
            weight * arc.path_ticks + (prices[processor[arc.configuration]] * arc.core_ticks if prices else 0)
            for arc in arcs
        ]
        return PricedPaths.of(arcs, costs, self._choices[j].chain.n_units)

    def _least_longest_segment(self, j: int, q: int, k: int) -> int:
        """Least possible longest segment of model j on processor k with placement q, in ticks."""
        processor, last = self._processor_of(j), self._choices[j].chain.n_units
        best = {(0, 0): 0}
        for arc in sorted(self._usable(j, q), key=lambda arc: arc.b):
            run = arc.run_ticks if processor[arc.configuration] == k else 0
            node = arc.node_after(last)
            best[node] = min(best.get(node, NO_WAY), max(best.get((arc.a, arc.before), NO_WAY), run))
        return best.get((last, 0), NO_WAY)

    def _usable(self, j: int, q: int) -> list[Arc]:
        placement = self._choices[j].placements[q]
        return [arc for arc in self._choices[j].arcs if placement[arc.configuration] is not None]

    def _processor_of(self, j: int) -> list[int]:
        return [self._processors.index(c.processor) for c in self._choices[j].chain.configurations]
