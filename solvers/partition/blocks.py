"""Latency of one sample: segments along orders, annealing, and CP-SAT for the proof."""

from __future__ import annotations

from threading import Event, Thread

import numpy as np
from numpy.typing import NDArray

from ...formulation import Partition, PartitionProblem, evaluate_partition
from ...formulation.evaluate_partition import MEMORY_TOLERANCE
from ..stop import Cancellation, Share, Stop
from .bounds import longest_path
from .chain_latency import best_segments, packed
from .features import PartitionFeatures
from .reduced import Reduced, Rows, reduced
from .solution import PartitionSolution
from .start import PROOF
from .watch import Watch

_ORDERS = 60
_FIRST_MOVES = 30_000
_MOST_MOVES = 2_000_000
_ROUNDS = 4
"""Annealing rounds, the same for every run with a seed, before time counts."""


class Blocks:
    """Segments of topological orders give a start, annealing improves it, CP-SAT bounds and proves."""

    name = "blocks"
    features = PartitionFeatures(frozenset({"latency"}), exact=True)

    def solve(self, problem: PartitionProblem, stop: Stop, seed: int) -> PartitionSolution:
        """Solve; see `edgeplan.solvers.solve`."""
        search = _Search(problem, seed)
        bound = longest_path(problem)
        search.segments(Share(stop, 0.3))
        for _ in range(_ROUNDS):
            if not stop() and search.value > bound * (1 + PROOF):
                search.anneal(_FIRST_MOVES, stop)
        if search.value > bound * (1 + PROOF):
            ended = Event()
            searcher = Thread(target=search.anneal_on, args=(Cancellation(ended, stop),), daemon=True)
            searcher.start()
            try:
                bound = max(bound, self._proven(problem, search, bound, stop, seed))
            finally:
                if bound >= search.value * (1 - 2 * PROOF):
                    ended.set()
                searcher.join()
        objective = search.value
        status = "optimal" if bound >= objective * (1 - 2 * PROOF) else "feasible"
        return PartitionSolution(status, self.name, objective, min(bound, objective), partition=search.best)

    def _proven(self, problem: PartitionProblem, search: _Search, bound: float, stop: Stop, seed: int) -> float:
        """Bound by CP-SAT on latencies below the best found; searched again where it found a better one."""
        from .cp_latency import CpLatency

        while not stop() and bound < search.value * (1 - 2 * PROOF):
            limit = search.value * (1 - PROOF)
            model = CpLatency(problem, limit)
            model.hint(search.best.device, search.best.block)
            found, proven, complete = model.solve(stop, seed)
            bound = max(bound, proven)
            if not complete or found is None or not search.offer(Partition.of(*found)):
                break
        return bound


class _Search:
    """The best partition found, and the ways to find better ones."""

    def __init__(self, problem: PartitionProblem, seed: int) -> None:
        self.problem = problem
        self.groups = _acyclic(problem)
        self._seed = seed
        self._rng = np.random.default_rng(seed)
        self.best = Partition.of(np.full(problem.n_nodes, problem.n_accelerators))
        self.value = evaluate_partition(problem, self.best).objective

    def offer(self, partition: Partition) -> bool:
        """Take a partition if it is feasible and better."""
        evaluation = evaluate_partition(self.problem, partition)
        if evaluation.feasible and evaluation.objective < self.value:
            self.best, self.value = partition, evaluation.objective
            return True
        return False

    def segments(self, stop: Stop) -> None:
        """Start from the best segments of topological orders."""
        found = packed(self.groups, best_segments(self.groups, _ORDERS, self._seed, stop))
        if found is not None:
            self.offer(self.groups.partition(*found))

    def anneal_on(self, stop: Stop) -> None:
        """Anneal in longer and longer rounds until stopped."""
        moves = _FIRST_MOVES
        while not stop():
            self.anneal(moves, stop)
            moves = min(_MOST_MOVES, 2 * moves)

    def anneal(self, moves: int, stop: Stop) -> None:
        """One round from the best partition, at a random temperature."""
        from .latency_annealing import anneal_latency

        problem, q = self.problem, self.problem.blocks
        n_blocks = problem.n_accelerators * q
        colour = problem.colour
        place = np.full(problem.n_colours, n_blocks, dtype=np.int64)
        # A colour whose nodes are in several blocks of one accelerator starts in one of them.
        on = self.best.device < problem.n_accelerators
        place[colour[on]] = self.best.device[on] * q + self.best.block[on]
        found = place.copy()
        followers = Rows.of(problem.edges[:, 0], problem.edges[:, 1], problem.n_nodes)
        ends = colour[problem.edges]
        near = Rows.of(np.concatenate([ends[:, 0], ends[:, 1]]), np.concatenate([ends[:, 1], ends[:, 0]]), len(place))
        heat = self.value * 10 ** self._rng.uniform(-3.5, -1.5)
        with Watch(stop) as watch:
            anneal_latency(
                place,
                found,
                colour,
                problem.cpu_time,
                problem.accelerator_time,
                problem.transfer_time,
                followers.start,
                followers.value,
                np.bincount(colour, weights=problem.size_bytes).astype(np.float64),
                near.start,
                near.value,
                problem.accelerator_bytes * (1 + MEMORY_TOLERANCE),
                n_blocks,
                q,
                moves,
                max(heat, 1e-300),
                max(heat * 1e-2, 1e-301),
                self._rng.integers(1, 2**63, 1).astype(np.uint64),
                watch.stopped,
            )
        self.offer(self._partition(found[colour], n_blocks, q))

    def _partition(self, at: NDArray[np.int64], n_blocks: int, q: int) -> Partition:
        on = at < n_blocks
        return Partition.of(np.where(on, at // q, self.problem.n_accelerators), np.where(on, at % q, 0))


def _acyclic(problem: PartitionProblem) -> Reduced:
    """Groups for segments: colours, and colours that wait for each other together."""
    return reduced(problem.replace(objective="max-load", contiguous=True)).with_problem(problem)
