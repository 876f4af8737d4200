"""Variation for NSGA-II that respects segments: parents are cut between units, and runs of units change at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.sampling import Sampling

from .genomes import Genomes


class SeededSampling(Sampling):
    """Given genomes first, random ones after them."""

    def __init__(self, genomes: Genomes, seeds: NDArray[np.int64]) -> None:
        super().__init__()
        self._genomes, self._seeds = genomes, seeds

    def _do(self, problem: Any, n_samples: int, *args: Any, random_state: np.random.Generator, **kwargs: Any) -> Any:
        seeds = self._seeds[:n_samples]
        return np.concatenate([seeds, self._genomes.random(n_samples - len(seeds), random_state)])


class SegmentCrossover(Crossover):
    """Exchange the units between two cuts, together with the flags among them."""

    def __init__(self, genomes: Genomes) -> None:
        super().__init__(n_parents=2, n_offsprings=2, prob=0.9)
        self._n_units = genomes.n_units

    def _do(
        self, problem: Any, X: NDArray[np.int64], *args: Any, random_state: np.random.Generator, **kwargs: Any
    ) -> Any:
        children, k = X.copy(), self._n_units
        for mating in range(X.shape[1]):
            first, end = np.sort(random_state.choice(k + 1, size=2, replace=False))
            # The flag of the cut before a unit travels with it.
            exchanged = np.r_[first:end, k + max(first - 1, 0) : k + max(end - 1, 0)]
            children[0, mating, exchanged] = X[1, mating, exchanged]
            children[1, mating, exchanged] = X[0, mating, exchanged]
        return children


class SegmentMutation(Mutation):
    """Give a run of units one option, or move, drop or set a single cut."""

    def __init__(self, genomes: Genomes) -> None:
        super().__init__(prob=1.0)
        self._genomes = genomes

    def _do(
        self, problem: Any, X: NDArray[np.int64], *args: Any, random_state: np.random.Generator, **kwargs: Any
    ) -> Any:
        mutated = X.copy()
        for genome in mutated:
            if random_state.random() < 0.3:
                self._shift(genome, random_state)
            else:
                self._repaint(genome, random_state)
        return mutated

    def _repaint(self, genome: NDArray[np.int64], rng: np.random.Generator) -> None:
        """One option for a run of units whose length is anything from one to all, short ones more often."""
        k = self._genomes.n_units
        length = min(k, int(np.exp(rng.uniform(0, np.log(k + 1)))))
        first = int(rng.integers(0, k - length + 1))
        option = int(rng.choice(self._genomes.allowed[int(rng.integers(first, first + length))]))
        taken = first + np.flatnonzero(self._genomes.is_allowed[first : first + length, option])
        genome[taken] = option
        genome[k + first : k + first + length - 1] = 0

    def _shift(self, genome: NDArray[np.int64], rng: np.random.Generator) -> None:
        """Let one side of a boundary take over its neighbour unit, or flip a flag where that can pay."""
        k = self._genomes.n_units
        boundaries = np.flatnonzero(genome[1:k] != genome[: k - 1])
        if self._genomes.cuts_can_pay and k > 1 and (not len(boundaries) or rng.random() < 0.5):
            flag = k + int(rng.integers(0, k - 1))
            genome[flag] = 1 - genome[flag]
        elif len(boundaries):
            left = int(rng.choice(boundaries))
            taker, taken = (left, left + 1) if rng.random() < 0.5 else (left + 1, left)
            if self._genomes.is_allowed[taken, genome[taker]]:
                genome[taken] = genome[taker]
