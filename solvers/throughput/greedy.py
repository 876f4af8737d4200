"""Local search as a solver: quick enough for use while a service runs, its gap proven by core time alone."""

from __future__ import annotations

from ...formulation.throughput import ThroughputProblem
from ..stop import Stop
from .bounds import core_time_bound
from .features import ThroughputFeatures
from .offer import Offer
from .outcome import solution_of
from .rates import Rates
from .search import local_search
from .solution import ThroughputSolution


class Greedy:
    """Starts from everything everywhere and improves move by move; the bound is that of fractional core time."""

    name = "greedy"
    features = ThroughputFeatures(exact=False)

    def solve(self, problem: ThroughputProblem, stop: Stop, seed: int) -> ThroughputSolution:
        """Search until nothing improves."""
        offer = Offer.of(problem)
        bound = core_time_bound(offer)
        return solution_of(self.name, offer, local_search(offer, Rates(offer), stop, seed, good_enough=bound), bound)
