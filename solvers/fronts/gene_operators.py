"""Variation of plain rows of options, for searches that know nothing of segments. Importing this loads pymoo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.sampling import Sampling


class GeneSampling(Sampling):
    """Given candidates first, then rows of one option, then random ones."""

    def __init__(self, genes: NDArray[np.int64], seeds: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        uniform = [tuple(int(g) for g in np.minimum(option, genes - 1)) for option in range(int(genes.max()))]
        self._genes, self._seeds = genes, list(dict.fromkeys([*seeds, *uniform]))

    def _do(self, problem: Any, n_samples: int, *args: Any, random_state: np.random.Generator, **kwargs: Any) -> Any:
        rows = np.array(self._seeds[:n_samples], dtype=np.int64).reshape(-1, len(self._genes))
        more = random_state.integers(0, self._genes, (n_samples - len(rows), len(self._genes)))
        return np.concatenate([rows, more])


class UniformCrossover(Crossover):
    """Every gene from either parent."""

    def __init__(self) -> None:
        super().__init__(n_parents=2, n_offsprings=2, prob=0.9)

    def _do(self, problem: Any, X: Any, *args: Any, random_state: np.random.Generator, **kwargs: Any) -> Any:
        swapped = random_state.random(X.shape[1:]) < 0.5
        return np.stack([np.where(swapped, X[1], X[0]), np.where(swapped, X[0], X[1])])


class GeneMutation(Mutation):
    """A run of genes takes one option; a run of one gene most often."""

    def __init__(self, genes: NDArray[np.int64]) -> None:
        super().__init__(prob=1.0)
        self._genes = genes

    def _do(self, problem: Any, X: Any, *args: Any, random_state: np.random.Generator, **kwargs: Any) -> Any:
        mutated, n = X.copy(), len(self._genes)
        for row in mutated:
            length = min(n, int(np.exp(random_state.uniform(0, np.log(n + 1)))))
            first = int(random_state.integers(0, n - length + 1))
            option = int(random_state.integers(0, self._genes[first]))
            row[first : first + length] = np.minimum(option, self._genes[first : first + length] - 1)
        return mutated
