"""What every search for a front keeps: an archive that never loses a point, and its hypervolume as it grows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...formulation import Problem
from ..assemble import model_plan, plan_of
from ..genomes import Genomes
from ..hypervolume import hypervolume
from ..pareto import non_dominated
from ..shortest_path import sampled_paths
from ..solution import FrontPoint, Solution
from ..stop import Stop


@dataclass(frozen=True, eq=False)
class Search:
    """What a search found.

    Attributes
    ----------
    genomes : ndarray of int, shape (points, 2 K − 1)
        Of the archive: everything feasible and non-dominated that was ever seen, by growing latency.
    figures : ndarray, shape (points, 2)
        Latency and memory of each.
    hypervolumes : tuple of float
        Of the archive after each generation; it never falls.
    reference : (float, float)
        What the hypervolumes are measured against.
    evaluations : int
    evaluations_after : tuple of int
        Plans scored until each of the hypervolumes was taken.
    """

    genomes: NDArray[np.int64]
    figures: NDArray[np.float64]
    hypervolumes: tuple[float, ...]
    reference: tuple[float, float]
    evaluations: int
    evaluations_after: tuple[int, ...] = ()


class Archive:
    """Everything feasible and non-dominated that was seen: populations lose points as they run.

    The reference of the hypervolumes is a tenth worse than the fastest and the leanest way in both figures.

    Parameters
    ----------
    genomes : Genomes
    """

    def __init__(self, genomes: Genomes) -> None:
        self._read = genomes
        self.genomes = np.empty((0, genomes.n_genes), dtype=np.int64)
        self.figures = np.empty((0, 2))
        self.evaluations = 0
        corners = np.array([label for label, _ in sampled_paths(genomes.space)])
        memory = float(genomes.space.memory_bytes(corners).max())
        self.reference = (1.1 * max(float(corners[:, 0].max()), 1e-300), 1.1 * max(memory, 1.0))
        self._hypervolumes: list[float] = []
        self._evaluations_after: list[int] = []

    def score(self, genomes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Figures, shape (p, 2), and excess over limits, shape (p,), of some genomes, which are archived on the way."""
        self.evaluations += len(genomes)
        labels = self._read.labels(genomes)
        figures = np.column_stack([labels[:, 0], self._read.space.memory_bytes(labels)])
        excess = self._read.excess(labels)
        good = excess == 0.0
        if good.any():
            both = np.concatenate([self.figures, figures[good]])
            kept = non_dominated(both)
            self.figures, self.genomes = both[kept], np.concatenate([self.genomes, genomes[good]])[kept]
        return figures, excess

    def take_hypervolume(self) -> None:
        """Note the hypervolume as it is now."""
        self._hypervolumes.append(hypervolume(self.figures, self.reference))
        self._evaluations_after.append(self.evaluations)

    def tell(self, stop: Stop) -> None:
        """Note the hypervolume, and tell whoever listens of the points so far."""
        self.take_hypervolume()
        stop.reporter.front(self.figures, self._hypervolumes[-1])

    def result(self) -> Search:
        """What was found so far."""
        return Search(
            self.genomes,
            self.figures,
            tuple(self._hypervolumes),
            self.reference,
            self.evaluations,
            tuple(self._evaluations_after),
        )


def solution_of(problem: Problem, genomes: Genomes, found: Search, method: str) -> Solution:
    """Answer with the archive as the front; an empty one is a ``timeout``: a heuristic cannot tell that none exists."""
    if not len(found.figures):
        return Solution("timeout", method)
    (model,) = problem.models
    points = tuple(
        FrontPoint(
            float(latency_us),
            float(memory_bytes),
            plan_of(problem, {model.name: model_plan(model, genomes.choices(genome))}, method),
        )
        for genome, (latency_us, memory_bytes) in zip(found.genomes, found.figures, strict=True)
    )
    stream = problem.stream_of.get(model.name)
    objective = (stream.weight if stream else 1.0) * points[0].latency_us
    return Solution("feasible", method, plan=points[0].plan, front=points, objective=objective)
