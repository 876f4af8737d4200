"""NSGA-II for the latency/memory front of one model: any size, no proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..formulation import Problem
from .assemble import model_plan, plan_of
from .features import Features
from .genomes import Genomes
from .hypervolume import hypervolume
from .label_setting import label_setting
from .label_space import LabelSpace
from .limits import limits_of
from .pareto import non_dominated
from .shortest_path import sampled_paths
from .solution import FrontPoint, Solution
from .stop import Share, Stop

Seeding = Literal["none", "greedy", "exact"]

_EXACT_SHARE = 0.5
"""Share of the time that the exact points to start from may take."""


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
    """

    genomes: NDArray[np.int64]
    figures: NDArray[np.float64]
    hypervolumes: tuple[float, ...]
    reference: tuple[float, float]
    evaluations: int


class Nsga2:
    """NSGA-II (Deb et al. 2002, doi 10.1109/4235.996017) on pymoo, with operators that respect segments.

    Parameters
    ----------
    seeding : {'greedy', 'exact', 'none'}
        What the first population holds besides random plans: shortest paths for sampled trade-offs between time and
        memory; the points of the dynamic program, as far as half of the time allows; or nothing.
    population, generations : int
    """

    name = "nsga2"
    features = Features(
        objectives=frozenset({"front"}),
        exact=False,
        several_models=False,
        several_memories=True,
        overlapping_segments=False,
    )

    def __init__(self, seeding: Seeding = "greedy", population: int = 100, generations: int = 200) -> None:
        self.seeding: Seeding = seeding
        self.population = population
        self.generations = generations

    def solve(self, problem: Problem, stop: Stop, seed: int) -> Solution:
        """Solve; an empty archive is reported as ``timeout``, for a heuristic cannot tell that there is no plan."""
        (model,) = problem.models
        genomes = Genomes(LabelSpace.of(problem, model))
        found = self.search(problem, stop, seed)
        if not len(found.figures):
            return Solution("timeout", self.name)
        points = tuple(
            FrontPoint(
                float(latency_us),
                float(memory_bytes),
                plan_of(problem, {model.name: model_plan(model, genomes.choices(genome))}, self.name),
            )
            for genome, (latency_us, memory_bytes) in zip(found.genomes, found.figures, strict=True)
        )
        stream = problem.stream_of.get(model.name)
        objective = (stream.weight if stream else 1.0) * points[0].latency_us
        return Solution("feasible", self.name, plan=points[0].plan, front=points, objective=objective)

    def search(self, problem: Problem, stop: Stop, seed: int) -> Search:
        """Run the search and hand back its archive.

        The reference of the hypervolumes is a tenth worse than the fastest and the leanest way in both figures.
        """
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.termination import NoTermination

        from .nsga2_operators import SeededSampling, SegmentCrossover, SegmentMutation

        (model,) = problem.models
        space = LabelSpace.of(problem, model)
        genomes = Genomes(space)
        archive = _Archive(genomes)
        # pymoo's annotations are those of its default operators; any operator of the kind is taken.
        operators: dict[str, Any] = {
            "sampling": SeededSampling(genomes, self._seeds(genomes, stop)),
            "crossover": SegmentCrossover(genomes),
            "mutation": SegmentMutation(genomes),
        }
        algorithm = NSGA2(pop_size=self.population, **operators)
        algorithm.setup(_pymoo_problem(genomes, archive), termination=NoTermination(), seed=seed)
        corners = np.array([label for label, _ in sampled_paths(space)])
        memory = float(space.memory_bytes(corners).max())
        reference = (1.1 * float(corners[:, 0].max()), 1.1 * max(memory, 1.0))
        hypervolumes = []
        while len(hypervolumes) < self.generations and algorithm.has_next() and not stop():
            algorithm.next()
            hypervolumes.append(hypervolume(archive.figures, reference))
        return Search(archive.genomes, archive.figures, tuple(hypervolumes), reference, archive.evaluations)

    def _seeds(self, genomes: Genomes, stop: Stop) -> NDArray[np.int64]:
        space = genomes.space
        rows = []
        if self.seeding != "none":
            rows = [genomes.of_choices(choices) for _, choices in sampled_paths(space)]
        if self.seeding == "exact":
            labels = label_setting(space, limits_of(space.problem).keys(), Share(stop, _EXACT_SHARE))
            if labels is not None and len(labels.values):
                figures = np.column_stack([labels.values[:, 0], space.memory_bytes(labels.values)])
                front = non_dominated(figures)
                # Where there are more points than places, those spread evenly along the front.
                places = np.unique(np.linspace(0, len(front) - 1, min(len(front), self.population)).astype(np.int64))
                rows = [genomes.of_choices(labels.choices(int(k))) for k in front[places]] + rows
        return np.array(rows, dtype=np.int64).reshape(-1, genomes.n_genes)


class _Archive:
    """Everything feasible and non-dominated that was seen: NSGA-II's own population loses points as it runs."""

    def __init__(self, genomes: Genomes) -> None:
        self._read = genomes
        self.genomes = np.empty((0, genomes.n_genes), dtype=np.int64)
        self.figures = np.empty((0, 2))
        self.evaluations = 0

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


def _pymoo_problem(genomes: Genomes, archive: _Archive) -> Any:
    from pymoo.core.problem import Problem as PymooProblem

    class Front(PymooProblem):
        """Two objectives and one constraint, evaluated for a whole population at once."""

        def __init__(self) -> None:
            highest = np.r_[[int(a.max()) for a in genomes.allowed], np.ones(genomes.n_units - 1, dtype=np.int64)]
            super().__init__(n_var=genomes.n_genes, n_obj=2, n_ieq_constr=1, xl=0, xu=highest, vtype=int)

        def _evaluate(self, x: NDArray[np.int64], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            figures, excess = archive.score(x.astype(np.int64))
            # pymoo compares violations before objectives, so that the size of a substitute does not matter.
            out["F"] = np.where(np.isfinite(figures), figures, 1e300)
            out["G"] = np.where(np.isfinite(excess), excess, 1e300)[:, None]

    return Front()
