"""Hamming Local Pareto Search: the front estimator of a published on-device allocator, written from its description.

"Automated Backend Allocation for Multi-Model, On-Device AI Inference", POMACS 2023,
doi 10.1145/3626793, and the authors' public pareto_profiler. A candidate has one digit, the backend, for each operator
type ("name") or for each distinct pair of operator and bytes in and out ("index"). From a random start, every point of
the front that was not visited yet is explored: a new point by one random candidate at every Hamming distance 1 … n,
one that has been dominated since by all its neighbours at distance 1. Rounds begin at new random candidates.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...formulation import Problem
from ..features import Features
from ..genomes import Genomes
from ..label_space import LabelSpace
from ..solution import Solution
from ..stop import Stop
from .archive import Archive, Search, solution_of

Mode = Literal["name", "index"]


@dataclass(frozen=True, eq=False)
class Digits:
    """Which digit decides on each unit's option, and the options that each digit may take.

    Attributes
    ----------
    of_unit : ndarray of int, shape (K,)
    options : tuple of ndarray of int
        For each digit.
    """

    of_unit: NDArray[np.int64]
    options: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, genomes: Genomes, mode: Mode) -> Digits:
        """Group the units of a model: those with the same operators (and bytes) share a digit."""
        graph, at = genomes.space.chain.model.graph, genomes.space.chain.positions
        keys: list[Hashable] = []
        for first, end in pairwise(at):
            layers = graph.layers[first:end]
            key: tuple[Hashable, ...] = tuple(layer.op_type for layer in layers)
            if mode == "index":
                key += tuple(
                    sum(int(graph.tensor_bytes[graph.tensor_index[t]]) for t in layer.inputs)
                    + sum(size for _, size in layer.outputs)
                    for layer in layers
                )
            keys.append(key)
        numbers = {key: k for k, key in enumerate(dict.fromkeys(keys))}
        of_unit = np.array([numbers[key] for key in keys])
        options = tuple(np.flatnonzero(genomes.is_allowed[of_unit == k].all(axis=0)) for k in range(len(numbers)))
        everything = np.arange(genomes.is_allowed.shape[1])
        return cls(of_unit, tuple(o if len(o) else everything for o in options))

    def random(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """A random candidate."""
        return np.array([rng.choice(options) for options in self.options])

    def at_every_distance(self, digits: NDArray[np.int64], rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """One random candidate at every Hamming distance from 1 to the number of digits that can change."""
        free = np.array([k for k, options in enumerate(self.options) if len(options) > 1], dtype=np.int64)
        for distance in range(1, len(free) + 1):
            changed = digits.copy()
            for k in rng.choice(free, size=distance, replace=False):
                changed[k] = rng.choice(self.options[k][self.options[k] != digits[k]])
            yield changed

    def neighbours(self, digits: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """All candidates at Hamming distance 1."""
        for k, options in enumerate(self.options):
            for option in options[options != digits[k]]:
                changed = digits.copy()
                changed[k] = option
                yield changed


class Hlps:
    """Hamming Local Pareto Search.

    Parameters
    ----------
    mode : {'index', 'name'}
        What a digit stands for.
    samples : int
        Candidates scored in all.
    rounds : int
        How often it begins anew; the samples are shared out among the rounds.
    """

    name = "hlps"
    features = Features(
        objectives=frozenset({"front"}),
        exact=False,
        several_models=False,
        several_memories=True,
        overlapping_segments=False,
    )

    def __init__(self, mode: Mode = "index", samples: int = 2000, rounds: int = 3) -> None:
        self.mode: Mode = mode
        self.samples = samples
        self.rounds = rounds

    def solve(self, problem: Problem, stop: Stop, seed: int) -> Solution:
        """Solve; an empty archive is reported as ``timeout``, for a heuristic cannot tell that there is no plan."""
        (model,) = problem.models
        genomes = Genomes(LabelSpace.of(problem, model))
        return solution_of(problem, genomes, self.search_genomes(genomes, stop, seed), self.name)

    def search_genomes(self, genomes: Genomes, stop: Stop, seed: int) -> Search:
        """Run the search and hand back its archive."""
        rng = np.random.default_rng(seed)
        digits = Digits.of(genomes, self.mode)
        archive = Archive(genomes)
        for k in range(self.rounds):
            self._round(genomes, digits, archive, self.samples * (k + 1) // self.rounds, rng, stop)
        return archive.result()

    def _round(
        self, genomes: Genomes, digits: Digits, archive: Archive, until: int, rng: np.random.Generator, stop: Stop
    ) -> None:
        """One round: its own front grows from one random candidate."""
        own = _OwnFront(genomes, digits, archive)
        while archive.evaluations < until and not stop():
            explored = own.next_new()
            if explored is not None:
                candidates = digits.at_every_distance(explored, rng)
            else:
                explored = own.next_dominated()
                candidates = iter([digits.random(rng)]) if explored is None else digits.neighbours(explored)
            for candidate in candidates:
                if archive.evaluations >= until or stop():
                    break
                own.add(candidate)
            archive.tell(stop)


class _OwnFront:
    """The front of one round, with what was explored of it."""

    def __init__(self, genomes: Genomes, digits: Digits, archive: Archive) -> None:
        self._flags = np.zeros(genomes.n_units - 1, dtype=np.int64)
        self._digits, self._archive = digits, archive
        self._new: dict[bytes, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        self._old: dict[bytes, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        self._dominated: list[NDArray[np.int64]] = []
        self._seen: set[bytes] = set()

    def add(self, candidate: NDArray[np.int64]) -> None:
        """Score a candidate; the points of the front that it dominates leave it."""
        key = candidate.tobytes()
        if key in self._seen:
            # A repeated candidate was timed again by the original; here it would tell nothing, but it counts.
            self._archive.evaluations += 1
            return
        self._seen.add(key)
        figures, excess = self._archive.score(np.r_[candidate[self._digits.of_unit], self._flags][None, :])
        row = figures[0]
        if excess[0] > 0 or any(np.all(f <= row) for front in (self._new, self._old) for _, f in front.values()):
            return
        for front in (self._new, self._old):
            for other, (point, f) in list(front.items()):
                if np.all(row <= f):
                    del front[other]
                    self._dominated.append(point)
        self._new[key] = (candidate, row)

    def next_new(self) -> NDArray[np.int64] | None:
        """A point of the front that was not explored yet."""
        for key, entry in self._new.items():
            del self._new[key]
            self._old[key] = entry
            return entry[0]
        return None

    def next_dominated(self) -> NDArray[np.int64] | None:
        """A point that was on the front once and is no more."""
        return self._dominated.pop() if self._dominated else None
