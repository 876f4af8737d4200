"""Every structure and deal there is, at its best rates: the oracle for small problems."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from ...formulation.throughput import ThroughputProblem
from ..stop import Stop
from .features import ThroughputFeatures
from .offer import Offer
from .outcome import solution_of
from .rates import Rates, Scored
from .solution import ThroughputSolution
from .structure import Structure, fits, trimmed


def structures(offer: Offer) -> Iterator[Structure]:
    """All structures that fit, each once."""
    for lanes in product(*(range(offer.lanes_at_most(k) + 1) for k in range(len(offer.kinds)))):
        for batching in product(*(range(len(options)) for options in offer.batchings)):
            parts = [_instances(offer, i, offer.batchings[i][n].max_batch) for i, n in enumerate(batching)]
            for chosen in product(*parts):
                made = Structure(batching, tuple(sorted(pair for own in chosen for pair in own)), lanes)
                if fits(offer, made) and trimmed(offer, made) == made:
                    yield made


def _instances(offer: Offer, model: int, batch: int) -> list[tuple[tuple[int, int], ...]]:
    """Every choice of instance counts of a model's columns, at least one instance."""
    columns = offer.columns_of(model, batch)
    counts = product(*(range(offer.most_instances(c) + 1) for c in columns))
    return [tuple((c, n) for c, n in zip(columns, each, strict=True) if n) for each in counts if any(each)]


def structure_count(offer: Offer) -> float:
    """Upper bound of the number of structures."""
    lanes = np.prod([offer.lanes_at_most(k) + 1.0 for k in range(len(offer.kinds))])
    models = 1.0
    for i, options in enumerate(offer.batchings):
        models *= sum(
            float(np.prod([offer.most_instances(c) + 1.0 for c in offer.columns_of(i, b.max_batch)])) for b in options
        )
    return float(lanes * models)


class BruteForce:
    """Scores everything; for small problems and as the oracle of tests."""

    name = "brute_force"
    features = ThroughputFeatures(exact=True, max_structures=3_000_000)

    def solve(self, problem: ThroughputProblem, stop: Stop, seed: int) -> ThroughputSolution:
        """Enumerate; without a proof where time runs out."""
        offer = Offer.of(problem)
        rates = Rates(offer)
        best: Scored | None = None
        for structure in structures(offer):
            if stop():
                return solution_of(self.name, offer, best)
            best = rates.best_dealt(structure, np.inf if best is None else best.objective)[0] or best
        if best is not None:
            return solution_of(self.name, offer, best, best.objective)
        from .clashes import find_clashes, infeasible

        return infeasible(self.name, problem, find_clashes(problem, stop, seed))
