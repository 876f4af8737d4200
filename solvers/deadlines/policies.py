"""What a device does without a planner: whole networks on one processor, or cuts chosen for each network alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...formulation import JobNetwork, JobProblem, JobSchedule
from ..stop import Stop
from .answers import answer
from .features import JobFeatures
from .solution import JobSolution
from .timing import FlatJobs


def fastest_processor(network: JobNetwork) -> int | None:
    """Processor that runs the whole network soonest; None where none runs all of it."""
    total_us = network.duration_us.sum(axis=0)
    return int(total_us.argmin()) if np.isfinite(total_us.min()) else None


def best_cut(network: JobNetwork) -> NDArray[np.int64] | None:
    """Processor of each layer with at most one cut in the order of layers, for the shortest time alone.

    Returns
    -------
    ndarray of int, shape (n,), or None
        None where no single cut will do.
    """
    n, p = network.duration_us.shape
    best_us, best = np.inf, None
    for cut in range(n):
        for a in range(p):
            for b in range(p) if cut else (a,):
                processor = np.where(np.arange(n) < cut, a, b)
                taken_us = _alone_us(network, processor)
                if taken_us < best_us:
                    best_us, best = taken_us, processor
    return best


def _alone_us(network: JobNetwork, processor: NDArray[np.int64]) -> float:
    """Time of one request on an idle device, each processor taking layers in their order."""
    free = np.zeros(network.duration_us.shape[1])
    finish = np.zeros(network.n_layers)
    ready = np.zeros(network.n_layers)
    followers: list[list[int]] = [[] for _ in range(network.n_layers)]
    for u, v in network.edges.tolist():
        followers[u].append(v)
    for i, p in enumerate(processor.tolist()):
        finish[i] = max(ready[i], free[p]) + network.duration_us[i, p]
        free[p] = finish[i]
        for v in followers[i]:
            ready[v] = max(ready[v], finish[i] + network.transfer_us[i, p, processor[v]])
    return float(finish.max())


def spread(flat: FlatJobs, by_network: dict[str, NDArray[np.int64] | None]) -> NDArray[np.int64] | None:
    """Processors of all layers, shape (N,), from one choice a network; droppable jobs without a choice are dropped."""
    parts = []
    for job, network in zip(flat.problem.jobs, flat.problem.network_of, strict=True):
        chosen = by_network[network.name]
        if chosen is None and not job.droppable:
            return None
        parts.append(np.full(network.n_layers, -1) if chosen is None else chosen)
    return np.concatenate(parts)


def deadline_keys(flat: FlatJobs) -> Sequence[NDArray[np.float64]]:
    """Earliest deadline first; among equals the earlier release."""
    deadline_us = np.array([job.deadline_us for job in flat.problem.jobs])
    return deadline_us[flat.owner], flat.release_us


def slack_keys(flat: FlatJobs, processor: NDArray[np.int64]) -> Sequence[NDArray[np.float64]]:
    """Least slack first: deadline less the work of the job that is left, which orders like slack at any one time."""
    work_us = flat.duration_us[np.arange(len(processor)), np.maximum(processor, 0)]
    ends = np.cumsum(work_us)
    of_job = ends[flat.problem.offsets[1:] - 1][flat.owner]
    return deadline_keys(flat)[0] - (of_job - ends + work_us), flat.release_us


class _WholeNetworks:
    """Whole networks, each on its fastest processor, in an order."""

    name = ""
    features = JobFeatures()

    def order(self, flat: FlatJobs, processor: NDArray[np.int64]) -> Sequence[NDArray[np.float64]]:
        """Keys of the dispatch order."""
        return deadline_keys(flat)

    def processors(self, network: JobNetwork, problem: JobProblem) -> NDArray[np.int64] | None:
        """Processor of each layer of a network, None where it cannot run like this."""
        p = fastest_processor(network)
        return None if p is None else np.full(network.n_layers, p)

    def plan(self, problem: JobProblem) -> JobSchedule | None:
        """The schedule that this policy makes, which may break limits."""
        flat = FlatJobs.of(problem)
        processor = spread(flat, {n.name: self.processors(n, problem) for n in problem.networks})
        if processor is None:
            return None
        return flat.dispatch(processor, flat.rank(*self.order(flat, processor)))

    def solve(self, problem: JobProblem, stop: Stop, seed: int) -> JobSolution:
        """Run the policy once."""
        return answer(problem, None if stop() else self.plan(problem), self.name)


class Fifo(_WholeNetworks):
    """In the order of release."""

    name = "fifo"

    def order(self, flat: FlatJobs, processor: NDArray[np.int64]) -> Sequence[NDArray[np.float64]]:
        """Release first."""
        return (flat.release_us,)


class LeastSlack(_WholeNetworks):
    """The job first whose deadline leaves it the least room."""

    name = "least_slack"

    def order(self, flat: FlatJobs, processor: NDArray[np.int64]) -> Sequence[NDArray[np.float64]]:
        """Slack first."""
        return slack_keys(flat, processor)


class OneProcessorEdf(_WholeNetworks):
    """Everything on one processor, earliest deadline first.

    Parameters
    ----------
    processor : str
        Its name, upper or lower case.
    """

    def __init__(self, processor: str) -> None:
        self.name = f"{processor.lower()}_edf"
        self.features = JobFeatures(processor=processor.lower())

    def processors(self, network: JobNetwork, problem: JobProblem) -> NDArray[np.int64] | None:
        """The one processor, if it can."""
        p = [name.lower() for name in problem.processors].index(str(self.features.processor))
        return np.full(network.n_layers, p) if np.isfinite(network.duration_us[:, p]).all() else None


class CpuEdf(OneProcessorEdf):
    """Everything on the processor called cpu."""

    def __init__(self) -> None:
        super().__init__("cpu")


class GpuEdf(OneProcessorEdf):
    """Everything on the processor called gpu."""

    def __init__(self) -> None:
        super().__init__("gpu")


class LatencyOptimalCut(_WholeNetworks):
    """Each network cut where it alone is fastest, whatever the others do; then earliest deadline first."""

    name = "latency_optimal_cut"

    def processors(self, network: JobNetwork, problem: JobProblem) -> NDArray[np.int64] | None:
        """The best single cut."""
        return best_cut(network)
