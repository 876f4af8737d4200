"""NSGA-II for the latency/memory front of one model: any size, no proof."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..formulation import Problem
from .features import Features
from .fronts.archive import Archive, Search, solution_of
from .fronts.layered import LayeredModel
from .fronts.supported import supported_ways
from .genomes import Genomes
from .label_setting import label_setting
from .label_space import LabelSpace
from .limits import limits_of
from .pareto import non_dominated
from .shortest_path import sampled_paths
from .solution import Solution
from .stop import Share, Stop

Seeding = Literal["none", "greedy", "exact"]
Operators = Literal["segments", "stock"]

_EXACT_SHARE = 0.5
"""Share of the time that the exact points to start from may take."""

_SUPPORTED_EPSILON = 1e-3
"""How near supported points stand that a search of a model whose costs add up starts from."""


class Nsga2:
    """NSGA-II (Deb et al. 2002, doi 10.1109/4235.996017) on pymoo, with operators that respect segments.

    Parameters
    ----------
    seeding : {'greedy', 'exact', 'none'}
        What the first population holds besides random plans: shortest paths for sampled trade-offs between time and
        memory; the points of the dynamic program, as far as half of the time allows (where costs add up, supported
        points, which are there at once); or nothing.
    population, generations : int
    operators : {'segments', 'stock'}
        ``stock``: pymoo's own for integers (simulated binary crossover, polynomial mutation, rounded), for comparison.
    """

    name = "nsga2"
    features = Features(
        objectives=frozenset({"front"}),
        exact=False,
        several_models=False,
        several_memories=True,
        overlapping_segments=False,
    )

    def __init__(
        self,
        seeding: Seeding = "greedy",
        population: int = 100,
        generations: int = 200,
        operators: Operators = "segments",
    ) -> None:
        self.seeding: Seeding = seeding
        self.population = population
        self.generations = generations
        self.operators: Operators = operators

    def solve(self, problem: Problem, stop: Stop, seed: int) -> Solution:
        """Solve; an empty archive is reported as ``timeout``, for a heuristic cannot tell that there is no plan."""
        (model,) = problem.models
        genomes = Genomes(LabelSpace.of(problem, model))
        return solution_of(problem, genomes, self.search_genomes(genomes, stop, seed), self.name)

    def search(self, problem: Problem, stop: Stop, seed: int) -> Search:
        """Run the search and hand back its archive."""
        (model,) = problem.models
        return self.search_genomes(Genomes(LabelSpace.of(problem, model)), stop, seed)

    def search_genomes(self, genomes: Genomes, stop: Stop, seed: int) -> Search:
        """As `search`, for genomes that are there already."""
        from pymoo.core.termination import NoTermination

        archive = Archive(genomes)
        algorithm = self._algorithm(self._operators(genomes, self._seeds(genomes, stop)))
        algorithm.setup(_pymoo_problem(genomes, archive), termination=NoTermination(), seed=seed)
        for _ in range(self.generations):
            if not algorithm.has_next() or stop():
                break
            algorithm.next()
            archive.tell(stop)
        return archive.result()

    def _algorithm(self, operators: dict[str, Any]) -> Any:
        from pymoo.algorithms.moo.nsga2 import NSGA2

        return NSGA2(pop_size=self.population, **operators)

    def _operators(self, genomes: Genomes, seeds: NDArray[np.int64]) -> dict[str, Any]:
        from .nsga2_operators import SeededSampling, SegmentCrossover, SegmentMutation

        if self.operators == "segments":
            return {
                "sampling": SeededSampling(genomes, seeds),
                "crossover": SegmentCrossover(genomes),
                "mutation": SegmentMutation(genomes),
            }
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling

        return {
            "sampling": SeededSampling(genomes, seeds) if len(seeds) else IntegerRandomSampling(),
            "crossover": SBX(vtype=float, repair=RoundingRepair()),
            "mutation": PM(vtype=float, repair=RoundingRepair()),
        }

    def _seeds(self, genomes: Genomes, stop: Stop) -> NDArray[np.int64]:
        space = genomes.space
        rows: list[NDArray[np.int64]] = []
        if self.seeding != "none":
            rows = [genomes.of_choices(choices) for _, choices in sampled_paths(space)]
        if self.seeding == "exact":
            rows = self._exact(genomes, stop) + rows
        return np.array(rows, dtype=np.int64).reshape(-1, genomes.n_genes)

    def _exact(self, genomes: Genomes, stop: Stop) -> list[NDArray[np.int64]]:
        space = genomes.space
        layered = LayeredModel.of(space.problem, space.chain.model)
        if layered is not None and not space.load_cores:
            ways, _ = supported_ways(layered.chain_costs(), _SUPPORTED_EPSILON, Share(stop, _EXACT_SHARE))
            flags = np.zeros(genomes.n_units - 1, dtype=np.int64)
            return [np.r_[ways[k].choices.astype(np.int64), flags] for k in self._spread(len(ways))]
        labels = label_setting(space, limits_of(space.problem).keys(), Share(stop, _EXACT_SHARE))
        if labels is None or not len(labels.values):
            return []
        figures = np.column_stack([labels.values[:, 0], space.memory_bytes(labels.values)])
        front = non_dominated(figures)
        return [genomes.of_choices(labels.choices(int(k))) for k in front[self._spread(len(front))]]

    def _spread(self, count: int) -> NDArray[np.int64]:
        """Where there are more points than places, those spread evenly along the front."""
        return np.unique(np.linspace(0, count - 1, min(count, self.population)).astype(np.int64))


def _pymoo_problem(genomes: Genomes, archive: Archive) -> Any:
    from pymoo.core.problem import Problem as PymooProblem

    class Front(PymooProblem):
        """Two objectives and one constraint, evaluated for a whole population at once."""

        def __init__(self) -> None:
            highest = np.r_[
                [int(a.max()) for a in genomes.allowed], np.full(genomes.n_units - 1, int(genomes.cuts_can_pay))
            ]
            super().__init__(n_var=genomes.n_genes, n_obj=2, n_ieq_constr=1, xl=0, xu=highest, vtype=int)

        def _evaluate(self, x: NDArray[np.int64], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            figures, excess = archive.score(x.astype(np.int64))
            # pymoo compares violations before objectives, so that the size of a substitute does not matter.
            out["F"] = np.where(np.isfinite(figures), figures, 1e300)
            out["G"] = np.where(np.isfinite(excess), excess, 1e300)[:, None]

    return Front()
