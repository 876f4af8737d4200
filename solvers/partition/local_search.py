"""Max-load partition by multilevel annealing alone: good partitions fast, no proof."""

from __future__ import annotations

import numpy as np

from ...formulation import PartitionProblem
from ..stop import Stop
from .bounds import average_load, highest_load
from .features import PartitionFeatures
from .multilevel import cycle
from .reduced import reduced
from .solution import PartitionSolution
from .start import answered, start
from .watch import Watch

_CYCLES = 60
"""After which it ends, so that the same seed gives the same partition."""


class LocalSearch:
    """Multilevel annealing from the best contiguous partition.

    Parameters
    ----------
    cycles : int
    """

    name = "local_search"
    features = PartitionFeatures(frozenset({"max-load"}), exact=False, contiguous=False)

    def __init__(self, cycles: int = _CYCLES) -> None:
        self._cycles = cycles

    def solve(self, problem: PartitionProblem, stop: Stop, seed: int) -> PartitionSolution:
        """Solve; see `edgeplan.solvers.solve`."""
        rng = np.random.default_rng(seed)
        groups = reduced(problem)
        incumbent = start(groups, stop, seed)
        with Watch(stop) as watch:
            for _ in range(self._cycles):
                if stop():
                    break
                cycle(groups, incumbent, min(incumbent.value, highest_load(groups)), rng, watch.stopped)
        return answered(self.name, groups, incumbent, average_load(groups))
