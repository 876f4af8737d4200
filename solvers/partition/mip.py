"""Max-load partition without contiguity as a mixed-integer program, solved by SCIP through OR-Tools."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...formulation import PartitionProblem, evaluate_partition
from ..stop import Stop
from .bounds import average_load, highest_load
from .features import PartitionFeatures
from .ideals import memory_clash
from .multilevel import Incumbent
from .reduced import Reduced, reduced
from .solution import PartitionSolution
from .start import answered

_GAP = 1e-6
_TOLERANCE = 1e-6
"""By how much, as a share of the scale, SCIP lets rows be broken; taken off its bound."""


class Mip:
    """x[i, d]: group i runs on device d; y[e, d]: accelerator d pays for net e. Minimise the largest load.

    Devices of a kind are told apart by the first groups only, as in the CP-SAT model. SCIP is not told of a
    cancellation: it runs for the time that is left at the start.
    """

    name = "mip"
    features = PartitionFeatures(frozenset({"max-load"}), exact=True, contiguous=False)

    def solve(self, problem: PartitionProblem, stop: Stop, seed: int) -> PartitionSolution:
        """Solve; see `edgeplan.solvers.solve`."""
        groups = reduced(problem)
        bound = average_load(groups)
        if stop():
            return PartitionSolution("timeout", self.name, bound=bound)
        found = mip_max_load(groups, stop)
        if found is None:
            return PartitionSolution("infeasible", self.name, clashes=(memory_clash(groups),))
        device, proven = found
        if device is None:
            return PartitionSolution("timeout", self.name, bound=bound)
        partition = groups.partition(device)
        objective = evaluate_partition(problem, partition).objective
        return answered(self.name, groups, Incumbent(partition.device, objective), max(bound, min(proven, objective)))


def mip_max_load(groups: Reduced, stop: Stop) -> tuple[NDArray[np.int64] | None, float] | None:
    """Run the program for the time that is left.

    Returns
    -------
    (ndarray of int or None, float) or None
        Device of each group, if a partition was found, and a bound. None: there is no partition at all.
    """
    from ortools.linear_solver import pywraplp

    problem = groups.problem
    k, devices = problem.n_accelerators, problem.n_accelerators + problem.n_cpus
    scale = average_load(groups) or highest_load(groups) or 1.0
    solver = pywraplp.Solver.CreateSolver("SCIP")
    solver.SetTimeLimit(int(stop.remaining_s * 1000))
    x = [[solver.BoolVar("") for _ in range(devices)] for _ in range(groups.n_groups)]
    longest = solver.NumVar(average_load(groups) / scale * (1 - 1e-9), solver.infinity(), "")
    for row in x:
        solver.Add(solver.Sum(row) == 1)
    for d in range(devices):
        time = groups.accelerator if d < k else groups.cpu
        terms = [float(t) / scale * x[i][d] for i, t in enumerate(time) if 0 < t < np.inf]
        for i in np.flatnonzero(np.isinf(time)):
            solver.Add(x[int(i)][d] == 0)
        for e in range(groups.n_nets) if d < k else ():
            pays = solver.NumVar(0, 1, "")
            pins = groups.pins[e].tolist()
            for p, q in zip(pins, pins[1:] + pins[:1], strict=True):
                solver.Add(pays >= x[p][d] - x[q][d])
            terms.append(float(groups.net_cost[e]) / scale * pays)
        solver.Add(solver.Sum(terms) <= longest)
        if d < k and groups.size.sum() > problem.accelerator_bytes:
            share = groups.size / max(problem.accelerator_bytes, 1e-300)
            solver.Add(solver.Sum([float(s) * x[i][d] for i, s in enumerate(share) if s > 0]) <= 1.0)
    longest_first = np.argsort(-np.where(np.isfinite(groups.accelerator), groups.accelerator, -1.0), kind="stable")
    for place, i in enumerate(longest_first[:k].tolist()):
        for d in range(place + 1, k):
            solver.Add(x[i][d] == 0)
    solver.Minimize(longest)
    parameters = pywraplp.MPSolverParameters()
    parameters.SetDoubleParam(pywraplp.MPSolverParameters.RELATIVE_MIP_GAP, _GAP)
    status = solver.Solve(parameters)
    if status == pywraplp.Solver.INFEASIBLE:
        return None
    bound = (
        max(0.0, (solver.Objective().BestBound() - _TOLERANCE) * scale) if status != pywraplp.Solver.ABNORMAL else 0.0
    )
    if status not in (pywraplp.Solver.OPTIMAL, pywraplp.Solver.FEASIBLE):
        return None, bound
    device = np.array([[v.solution_value() for v in row] for row in x]).argmax(axis=1)
    if not evaluate_partition(problem, groups.partition(device)).feasible:
        return None, bound
    return device, bound
