"""Combinations of placements of all models, each with a bound on the objective that holds for it.

Once it is known which cores every model uses, waits are sums over the arcs taken, and the least cost of each model is a
shortest path. CP-SAT's own relaxation does not see that, because waits hang on placements that it leaves open; with the
bounds stated for each combination it closes gaps of half the objective at once. The same bounds remove arcs, and the
shortest paths are good plans to start from.

Blocking is priced too. The longest wait of a model is at least its wait for any one other model, so each model's
blocking is charged to the one other whose segments cannot be cut short enough. The least cost of a model that is
charged γ for each tick of its longest segment is the least over bounds β on segments of (shortest path with segments up
to β) + γ β; with β only at steps, the lower end of a step is charged and the upper one allowed, so it stays a bound.

A limit on memory that binds is priced as well (Lagrangian relaxation, Geoffrion 1974, doi 10.1007/BFb0120690): arcs pay
for what they keep resident, and what the limit allows is paid back. Any price of 0 or more gives a bound.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..formulation import Problem, competing_releases
from .cp_arcs import BYTES_QUANTUM, TIME_QUANTUM_US, Arc
from .cp_model_builder import ModelChoices
from .cp_priced_paths import NO_WAY, ArcArrays, PricedPaths, least_largest
from .cp_responses import set_on, shared_parts
from .limits import Limit, highest_accepted, limits_of
from .stop import Stop

MOST_COMBINATIONS = 50_000
"""Where there are more, none are listed, and only CP-SAT's own bound remains."""

_FLOAT_SLACK = 1e-12

_STEPS = 24
"""Steps at which bounds on the longest segment are tried."""


@dataclass(frozen=True)
class Combination:
    """One placement of each model, as indices in the models' order, and a bound on the objective with them."""

    placements: tuple[int, ...]
    bound: int


Prices = tuple[int, ...]
"""For each processor."""


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
        self._problem = problem
        self._names = list(choices)
        self._choices = list(choices.values())
        self._weights = [weights[name] for name in self._names]
        self._parts = parts
        self._waits_count = problem.objective == "response"
        self._processors = [p.name for p in problem.platform.processors]
        streams = [problem.stream_of.get(name) for name in self._names]
        self._releases = [[competing_releases(i, j) if problem.streams else 0 for j in streams] for i in streams]
        configured = [[c.processor for c in of.chain.configurations] for of in self._choices]
        self._sets = [
            [[set_on(processors, p, name) for name in self._processors] for p in of.placements]
            for of, processors in zip(self._choices, configured, strict=True)
        ]
        self._arrays = [
            ArcArrays(
                of.arcs, of.chain.n_units, len(of.chain.memories), [self._processors.index(p) for p in processors]
            )
            for of, processors in zip(self._choices, configured, strict=True)
        ]
        self._memory_limits = {
            name: math.floor(highest_accepted(size) / BYTES_QUANTUM) for name, size in problem.memory_limit.items()
        }
        self._memory_prices: dict[str, float] = {}
        self._priced = cache(self._priced_paths)
        self._shortest_longest = cache(self._least_longest)
        self._least_transient = cache(self._least_largest_transient)

    def with_memory_prices(self, prices: Mapping[str, float]) -> Combinations:
        """Copy in which a memory unit kept resident costs so many objective units, by memory, and limits pay back."""
        other = copy.copy(self)
        other._memory_prices = {name: price for name, price in prices.items() if price > 0}
        other._priced = cache(other._priced_paths)
        return other

    def memory_excess(self, combination: Combination) -> dict[str, int]:
        """Memory units by which the least-cost ways of a combination exceed each limit, below 0 where they keep it."""
        excess = {name: -units for name, units in self._memory_limits.items()}
        for paths, of in zip(self._paths(combination), self._choices, strict=True):
            largest: dict[str, int] = {}
            for arc in paths.cheapest():
                name = of.chain.memories[arc.memory]
                excess[name] += arc.resident
                largest[name] = max(largest.get(name, 0), arc.transient)
            for name, units in largest.items():
                excess[name] += units
        return excess

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
        deadlines = {
            i: highest_accepted(values[limit]) / TIME_QUANTUM_US * self._parts
            for i, name in enumerate(self._names)
            if (limit := Limit("deadline", name)) in limits
        }
        found = []
        for indices in product(*(range(len(of.placements)) for of in self._choices)):
            if stop():
                return None
            if all(self._least_held(i, indices) <= deadline for i, deadline in deadlines.items()):
                bound = self._bound(indices)
                if bound <= min(most, NO_WAY - 1):
                    found.append(Combination(indices, bound))
        return tuple(sorted(found, key=lambda combination: (combination.bound, combination.placements)))

    def floor(self) -> int:
        """A bound on the objective of any plan: each model alone, the fastest way on its best placement."""
        free = (0,) * len(self._processors)
        return sum(
            min(self._priced(j, q, self._weights[j], free, 0, 0).least for q in range(len(of.placements)))
            for j, of in enumerate(self._choices)
        )

    def memory_can_do(self, limits: Collection[Limit]) -> bool:
        """Whether each limit on memory among `limits` is above what the models need one by one at the least."""
        return all(
            self._memory_floor(name) <= units
            for name, units in self._memory_limits.items()
            if Limit("memory", name) in limits
        )

    def _memory_floor(self, memory: str) -> int:
        """Least use of a memory, in units: every model's least resident bytes, and its least transient need."""
        total = 0
        for j, of in enumerate(self._choices):
            arrays = self._arrays[j]
            m = of.chain.memories.index(memory) if memory in of.chain.memories else -1
            resident = np.where(arrays.memory == m, arrays.resident, 0)[:, None]
            able = np.any([self._allowed(j, q) for q in range(len(of.placements))], axis=0)
            least = PricedPaths(arrays, np.where(able[:, None], resident, NO_WAY), np.zeros(1, dtype=np.int64)).least
            total += least + min(self._least_transient(j, q, memory) for q in range(len(of.placements)))
        return total

    def ways(self, combination: Combination) -> dict[str, tuple[Arc, ...]]:
        """For each model the arcs of its least-cost way in a combination."""
        return {name: paths.cheapest() for name, paths in zip(self._names, self._paths(combination), strict=True)}

    def pruned(self, found: Sequence[Combination], most: float) -> dict[str, ModelChoices]:
        """Choices without the arcs through which no combination has a bound up to `most`."""
        kept = [np.zeros(len(arrays.arcs), dtype=bool) for arrays in self._arrays]
        for combination in found:
            for j, paths in enumerate(self._paths(combination)):
                kept[j] |= paths.through() <= min(most - combination.bound + paths.least, NO_WAY - 1)
        return {
            name: replace(of, arcs=tuple(arc for arc, keep in zip(arrays.arcs, kept[j], strict=True) if keep))
            for j, (name, of, arrays) in enumerate(zip(self._names, self._choices, self._arrays, strict=True))
        }

    def _bound(self, indices: tuple[int, ...]) -> int:
        """Shortest paths with the waits they cause priced in, and the least of all other blocking."""
        paths, rest = self._priced_in(indices)
        return sum(each.least for each in paths) + rest

    def _paths(self, combination: Combination) -> list[PricedPaths]:
        return self._priced_in(combination.placements)[0]

    def _priced_in(self, indices: tuple[int, ...]) -> tuple[list[PricedPaths], int]:
        """Ways of each model with what they cost all models together, and blocking that is in none of them."""
        n = len(self._processors)
        charges = [[0] * n for _ in self._names]
        if self._waits_count:
            for i, weight in enumerate(self._weights):
                for k in range(n):
                    charged, _ = self._blocker(i, k, indices)
                    if charged is not None:
                        charges[charged][k] += weight * self._parts
        paths, rest = [], 0
        for j, q in enumerate(indices):
            k = max(range(n), key=lambda k: charges[j][k])
            rest += sum(charges[j][other] * self._shortest_longest(j, q, other) for other in range(n) if other != k)
            paths.append(self._priced(j, q, self._weights[j], self._prices(j, indices), k, charges[j][k], True))
        for name, price in self._memory_prices.items():
            transient = sum(self._least_transient(j, q, name) for j, q in enumerate(indices))
            # A hair more is paid back than floats may have lost, so that it stays a bound.
            rest -= math.ceil(price * (self._memory_limits[name] - transient) * (1 + _FLOAT_SLACK)) + 1
        return paths, rest

    def _prices(self, j: int, indices: Sequence[int]) -> Prices:
        """What a tick of model j's core time costs all other models together."""
        prices = [0] * len(self._processors)
        for i, weight in enumerate(self._weights):
            if i != j and self._waits_count:
                for k, share in enumerate(self._shares(i, j, indices)):
                    prices[k] += weight * self._releases[i][j] * share
        return tuple(prices)

    def _shares(self, i: int, j: int, indices: Sequence[int]) -> list[int]:
        mine, theirs = self._sets[i][indices[i]], self._sets[j][indices[j]]
        return [shared_parts(u, s, self._parts) for u, s in zip(mine, theirs, strict=True)]

    def _blocker(self, i: int, k: int, indices: Sequence[int]) -> tuple[int | None, int]:
        """Which model's shortest possible longest segment blocks model i most on processor k, and how long."""
        worst: tuple[int | None, int] = (None, 0)
        mine = self._sets[i][indices[i]][k]
        for j, releases in enumerate(self._releases[i]):
            theirs = self._sets[j][indices[j]][k]
            if j == i or releases or not self._problem.streams or mine is None or theirs is None:
                continue
            longest = self._shortest_longest(j, indices[j], k)
            if set(mine) & set(theirs) and longest > worst[1]:
                worst = (j, longest)
        return worst

    def _least_held(self, i: int, indices: tuple[int, ...]) -> int:
        """Least of what model i's deadline is held against, in parts of a tick."""
        free = (0,) * len(self._processors)
        total = self._priced(i, indices[i], 1, free, 0, 0).least
        total += self._parts * sum(self._blocker(i, k, indices)[1] for k in range(len(self._processors)))
        if self._problem.stream_of[self._names[i]].is_hard:
            for j, releases in enumerate(self._releases[i]):
                if j != i and releases:
                    prices = tuple(releases * share for share in self._shares(i, j, indices))
                    total += self._priced(j, indices[j], 0, prices, 0, 0).least
        return total

    def _priced_paths(
        self, j: int, q: int, weight: int, prices: Prices, k: int, charge: int, memory_counts: bool = False
    ) -> PricedPaths:
        """Ways of model j on placement q, where a tick of its time costs `weight` (times parts), a tick of its core
        time `prices`, a tick of its longest segment on processor k `charge`, and memory what it is priced at."""
        arrays, allowed = self._arrays[j], self._allowed(j, q)
        per_core_tick = np.array(prices, dtype=np.int64)[arrays.processor]
        costs = weight * self._parts * arrays.path_ticks + per_core_tick * arrays.core_ticks
        if memory_counts:
            costs = costs + self._memory_costs(j)
        costs = np.where(allowed, costs, NO_WAY)[:, None]
        least = self._shortest_longest(j, q, k) if charge else NO_WAY
        if least >= NO_WAY:
            return PricedPaths(arrays, costs, np.zeros(1, dtype=np.int64))
        runs = np.where(arrays.processor == k, arrays.run_ticks, 0)
        highest = max(int(runs[allowed].max()), least)
        steps = np.geomspace(max(least, 1), max(highest, 1), _STEPS).astype(np.int64)
        steps[0], steps[-1] = least, highest
        charged, upto = np.concatenate([steps[:1], steps[:-1]]), steps
        return PricedPaths(arrays, np.where(runs[:, None] <= upto, costs, NO_WAY), charge * charged)

    def _memory_costs(self, j: int) -> NDArray[np.int64]:
        """What each arc of model j pays for the bytes it keeps, rounded down."""
        arrays, names = self._arrays[j], self._choices[j].chain.memories
        per_unit = np.array([self._memory_prices.get(name, 0.0) for name in names])[arrays.memory]
        return np.floor(per_unit * arrays.resident * (1 - _FLOAT_SLACK)).astype(np.int64)

    def _least_longest(self, j: int, q: int, k: int) -> int:
        """Least possible longest segment of model j on processor k with placement q, in ticks."""
        arrays = self._arrays[j]
        return least_largest(arrays, self._allowed(j, q), np.where(arrays.processor == k, arrays.run_ticks, 0))

    def _least_largest_transient(self, j: int, q: int, memory: str) -> int:
        """Least possible transient need of model j in a memory with placement q, in memory units."""
        arrays, names = self._arrays[j], self._choices[j].chain.memories
        m = names.index(memory) if memory in names else -1
        return least_largest(arrays, self._allowed(j, q), np.where(arrays.memory == m, arrays.transient, 0))

    def _allowed(self, j: int, q: int) -> NDArray[np.bool_]:
        able = np.array([cores is not None for cores in self._choices[j].placements[q]])
        return able[self._arrays[j].configuration]
