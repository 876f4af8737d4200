"""What users do today, behind the same interface: fixed rules for the partition points, the best cores for each.

Every rule leaves its cores to the dynamic program that the search uses too, so that what is compared is the partition.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from ...formulation import TenancyProblem
from ..stop import Stop
from .features import TenancyFeatures
from .local_search import best_found, whole_models
from .outcome import solution_of
from .search_space import SearchSpace
from .solution import TenancySolution

Points = NDArray[np.int64]


class _Rule(ABC):
    """A fixed rule: partition points of a problem."""

    name = ""
    features = TenancyFeatures(exact=False)

    @abstractmethod
    def points(self, space: SearchSpace) -> Points:
        """Partition points, shape (n,)."""

    def solve(self, problem: TenancyProblem, stop: Stop, seed: int) -> TenancySolution:
        """Apply the rule; `timeout`, with nothing found, where what it says is not stable."""
        space = SearchSpace.of(problem)
        given = np.arange(len(problem.tenants), dtype=np.int64)
        allocation = space.allocation(self.points(space), given)
        if allocation is None:
            return TenancySolution("timeout", self.name)
        return solution_of(self.name, problem, allocation)


def _largest(allowed: NDArray[np.bool_], runs: NDArray[np.bool_]) -> Points:
    """Each tenant's last point that is allowed and runs; its first that runs where none is allowed."""
    both = allowed & runs
    last = runs.shape[1] - 1 - np.argmax(both[:, ::-1], axis=1)
    return np.where(both.any(axis=1), last, np.argmax(runs, axis=1)).astype(np.int64)


class AllOnAccelerator(_Rule):
    """Whole models on the accelerator, what the default compiler does."""

    name = "all_on_accelerator"

    def points(self, space: SearchSpace) -> Points:
        """Every tenant's last point that can run."""
        return whole_models(space)


class CpuOnly(_Rule):
    """Nothing on the accelerator, wherever the CPU can run a whole model."""

    name = "cpu_only"

    def points(self, space: SearchSpace) -> Points:
        """Every tenant's first point that can run."""
        return np.argmax(space.tables.runs, axis=1).astype(np.int64)


class ParameterSplit(_Rule):
    """Two segments by parameter count, as a compiler's partitioner makes them: the first gets just under half."""

    name = "parameter_split"

    def points(self, space: SearchSpace) -> Points:
        """The last point with no more than half of the weights."""
        weights = _padded_weights(space.problem)
        return _largest(weights <= weights[:, -1:] / 2, space.tables.runs)


class Threshold(_Rule):
    """As many layers as fit the accelerator's memory, each model by itself."""

    name = "threshold"

    def points(self, space: SearchSpace) -> Points:
        """The last point whose weights fit."""
        return _largest(_padded_weights(space.problem) <= space.tables.capacity_bytes, space.tables.runs)


def _padded_weights(problem: TenancyProblem) -> NDArray[np.float64]:
    longest = max(tenant.n_points for tenant in problem.tenants)
    return np.array(
        [np.pad(t.weight_bytes.astype(float), (0, longest - t.n_points), mode="edge") for t in problem.tenants]
    )


class NoSwap:
    """The best allocation under a model in which reloading costs nothing, then scored with what it costs."""

    name = "no_swap"
    features = TenancyFeatures(exact=False)

    def solve(self, problem: TenancyProblem, stop: Stop, seed: int) -> TenancySolution:
        """Search blind to swapping; `timeout`, with nothing found, where the result is not stable in truth."""
        blind = SearchSpace.of(problem)
        blind.tables = blind.tables._replace(reload_us=np.where(np.isfinite(blind.tables.reload_us), 0.0, np.inf))
        allocation = best_found(blind, stop, seed, score=False)
        if allocation is None:
            return TenancySolution("timeout", self.name)
        return solution_of(self.name, problem, allocation)


class SwaplessGreedy:
    """Greedy steps from the better end: always the one change of a partition point that helps most, with new cores.

    The ends are everything on the CPU and everything on the accelerator. Where neither is stable no step shows a gain,
    and nothing is found.

    A step moves one tenant's partition point by one in either direction or to either end, with the cores assigned anew;
    the steps end where none helps. This is what is known of SwapLess's online search (arXiv 2602.17808), whose details
    are not published in what we could read.
    """

    name = "swapless_greedy"
    features = TenancyFeatures(exact=False)

    def solve(self, problem: TenancyProblem, stop: Stop, seed: int) -> TenancySolution:
        """Step until nothing helps."""
        space = SearchSpace.of(problem)
        order = space.default_order
        runs = space.tables.runs
        ends = (np.argmax(runs, axis=1).astype(np.int64), whole_models(space))
        point = min((end.copy() for end in ends), key=lambda p: space.total(p, order))
        total = space.total(point, order)
        while not stop():
            best, best_step = total, None
            for i in range(len(point)):
                possible = np.flatnonzero(runs[i])
                here = int(np.searchsorted(possible, point[i]))
                for there in {max(0, here - 1), min(len(possible) - 1, here + 1), 0, len(possible) - 1}:
                    trial = point.copy()
                    trial[i] = possible[there]
                    value = space.total(trial, order)
                    if value < best:
                        best, best_step = value, trial
            if best_step is None:
                break
            point, total = best_step, best
        allocation = space.allocation(point, order)
        if allocation is None:
            return TenancySolution("timeout", self.name)
        return solution_of(self.name, problem, allocation)
