"""Max-load partition without contiguity: annealing finds, CP-SAT and a linear program of sets prove.

1. The best contiguous partition, by the dynamic program over ideals.
2. A fixed number of multilevel cycles, the same for every run with a seed.
3. Until time ends or optimality is proven: one thread goes on annealing, the other proves. The proof is about loads
   below the best found, so groups are first joined by `reductions`, and again whenever a better partition is found.
"""

from __future__ import annotations

from threading import Event, Thread

import numpy as np
from numpy.typing import NDArray

from ...formulation import PartitionProblem, evaluate_partition
from ...formulation.compile_time import search_s
from ..stop import Cancellation, Share, Stop, TimeLimit
from .bounds import average_load, highest_load
from .features import PartitionFeatures
from .ideals import memory_clash
from .mip import mip_max_load
from .multilevel import Incumbent, cycle, long_anneal
from .reduced import Reduced, reduced
from .reductions import shrunk
from .set_bound import SetBound
from .solution import PartitionSolution
from .start import PROOF, answered, start
from .watch import Watch

_FIRST_CYCLES = 40
_FIRST_MOVES, _MOST_MOVES = 10_000_000, 300_000_000
_PROOFS = (("cp_sat", 2.0), ("mip", 3.0), ("sets", 20.0), ("mip", 6.0), ("cp_sat", 8.0), ("sets", 60.0))
"""Ways to prove, in turn, with their seconds. Each starts with the best partition known by then. CP-SAT and the
mixed-integer program win on small graphs and where loads are balanced, sets where cutting is dear."""


class Portfolio:
    """Annealing and CP-SAT side by side, on two threads."""

    name = "portfolio"
    features = PartitionFeatures(frozenset({"max-load"}), exact=True, contiguous=False)

    def solve(self, problem: PartitionProblem, stop: Stop, seed: int) -> PartitionSolution:
        """Solve; see `edgeplan.solvers.solve`."""
        groups = reduced(problem)
        incumbent = start(groups, stop, seed)
        bound = average_load(groups)
        rng = np.random.default_rng(seed)
        with Watch(stop) as watch:
            for _ in range(_FIRST_CYCLES):
                if stop() or incumbent.value <= bound * (1 + PROOF):
                    break
                cycle(groups, incumbent, min(incumbent.value, highest_load(groups)), rng, watch.stopped)
        ended = Event()
        searcher = Thread(target=_search, args=(groups, incumbent, Cancellation(ended, stop), rng), daemon=True)
        searcher.start()
        try:
            bound, unable = _prove(groups, incumbent, bound, stop, seed)
        finally:
            ended.set()
            searcher.join()
        if unable and not np.isfinite(incumbent.value):
            return PartitionSolution("infeasible", self.name, clashes=(memory_clash(groups),))
        return answered(self.name, groups, incumbent, bound)


def _search(groups: Reduced, incumbent: Incumbent, stop: Stop, rng: np.random.Generator) -> None:
    """Cycles and slow annealings in turn, each of them longer than the last, until stopped."""
    moves = _FIRST_MOVES
    with Watch(stop) as watch:
        while not stop():
            began_s = search_s()
            long_anneal(groups, incumbent, moves, rng, watch.stopped)
            part = TimeLimit(search_s() - began_s)
            while not (part() or stop()):
                cycle(groups, incumbent, min(incumbent.value, highest_load(groups)), rng, watch.stopped)
            moves = min(2 * moves, _MOST_MOVES)


def _prove(groups: Reduced, incumbent: Incumbent, bound: float, stop: Stop, seed: int) -> tuple[float, bool]:
    """Raise the bound until it meets the incumbent or time ends; a bound, and whether nothing can run at all."""
    for way, seconds in _PROOFS:
        limit = min(incumbent.value * (1 - PROOF), highest_load(groups))
        if stop() or bound >= limit:
            return bound, False
        small = shrunk(groups, limit)
        bound = max(bound, min(limit, average_load(small)))
        part = Share(stop, min(1.0, seconds / max(stop.remaining_s, 1e-3)))
        if way == "sets":
            bound = max(bound, _by_sets(small, incumbent, bound, limit, part))
            continue
        device, proven = _by_program(way, small, incumbent, limit, part, seed)
        bound = max(bound, min(proven, limit))
        if device is not None:
            partition = small.partition(device)
            incumbent.offer(partition.device, evaluate_partition(groups.problem, partition).objective)
        elif bound >= limit:
            return bound, not np.isfinite(incumbent.value)
    _search(groups, incumbent, stop, np.random.default_rng([seed, 1]))
    return bound, False


def _by_program(
    way: str, small: Reduced, incumbent: Incumbent, limit: float, stop: Stop, seed: int
) -> tuple[NDArray[np.int64] | None, float]:
    """Device of each group, where one was found, and a bound on loads up to the limit; infinite if there are none."""
    if way == "mip":
        return mip_max_load(small, stop) or (None, float("inf"))
    from .cp_max_load import cp_max_load

    found = cp_max_load(small, limit, incumbent.of(small), stop, seed)
    return found.device, float("inf") if found.proven and found.device is None else found.bound


def _by_sets(small: Reduced, incumbent: Incumbent, low: float, high: float, stop: Stop) -> float:
    sets = SetBound(small)
    device = incumbent.of(small)
    for accelerator in range(small.problem.n_accelerators):
        members = np.flatnonzero(device == accelerator)
        if len(members) and np.isfinite(small.accelerator[members]).all():
            sets.add(members)
    return sets.raised(low, high, stop)
