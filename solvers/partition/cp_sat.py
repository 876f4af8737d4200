"""Max-load partition by CP-SAT, contiguous or not."""

from __future__ import annotations

from ...formulation import PartitionProblem, evaluate_partition
from ..stop import Stop
from .bounds import average_load, highest_load
from .features import PartitionFeatures
from .ideals import memory_clash
from .multilevel import Incumbent
from .reduced import reduced
from .solution import PartitionSolution
from .start import PROOF, answered


class CpSat:
    """CP-SAT on groups of nodes, without any help: a second opinion on small graphs."""

    name = "cp_sat"
    features = PartitionFeatures(frozenset({"max-load"}), exact=True)

    def solve(self, problem: PartitionProblem, stop: Stop, seed: int) -> PartitionSolution:
        """Solve; see `edgeplan.solvers.solve`."""
        from .cp_max_load import cp_max_load

        groups = reduced(problem)
        found = cp_max_load(groups, highest_load(groups), None, stop, seed)
        bound = max(found.bound, average_load(groups))
        if found.device is None:
            if found.proven:
                return PartitionSolution("infeasible", self.name, clashes=(memory_clash(groups),))
            return PartitionSolution("timeout", self.name, bound=bound)
        partition = groups.partition(found.device)
        objective = evaluate_partition(problem, partition).objective
        # The model's integers are coarse where the limit is far above the optimum: search again just below.
        while found.proven and objective > bound * (1 + PROOF):
            found = cp_max_load(groups, objective * (1 - PROOF), None, stop, seed)
            bound = max(bound, found.bound)
            if found.device is None:
                break
            other = groups.partition(found.device)
            if evaluate_partition(problem, other).objective >= objective:
                break
            partition, objective = other, evaluate_partition(problem, other).objective
        return answered(self.name, groups, Incumbent(partition.device, objective), bound)
