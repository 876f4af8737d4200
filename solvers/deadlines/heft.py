"""HEFT: layers by upward rank, each into the gap where it ends first. Topcuoglu et al. 2002, doi 10.1109/71.993206."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from ...formulation import JobProblem, JobSchedule
from ..stop import Stop
from .answers import answer
from .features import JobFeatures
from .solution import JobSolution
from .timing import FlatJobs


def upward_rank_us(flat: FlatJobs) -> NDArray[np.float64]:
    """Mean time from the start of a layer to the end of its job, shape (N,)."""
    finite = np.isfinite(flat.duration_us)
    mean = np.where(finite, flat.duration_us, 0.0).sum(axis=1) / finite.sum(axis=1)
    p = flat.problem.n_processors
    moved = flat.transfer_us.sum(axis=(1, 2)) / max(1, p * (p - 1))
    rank = mean.copy()
    for i in range(len(rank) - 1, -1, -1):
        for u in flat.producers[flat.first[i] : flat.first[i + 1]]:
            rank[u] = max(rank[u], mean[u] + moved[u] + rank[i])
    return rank


class Heft:
    """Jobs by deadline less upward rank; each layer where it ends first, gaps included. O(N² P).

    Where there is contention the gaps are filled without it, and then everything is dispatched in the same order.
    """

    name = "heft"
    features = JobFeatures()

    def plan(self, problem: JobProblem, stop: Stop) -> JobSchedule | None:
        """The schedule, which may break limits; None when stopped."""
        flat = FlatJobs.of(problem)
        deadline_us = np.array([job.deadline_us for job in problem.jobs])[flat.owner]
        rank_us = upward_rank_us(flat)
        horizon_us = float(np.max(deadline_us[np.isfinite(deadline_us)], initial=0.0)) + float(rank_us.max())
        # Without any deadline this is the published order: the largest upward rank first.
        urgency = np.where(np.isfinite(deadline_us), deadline_us, horizon_us) - rank_us
        waits = np.diff(flat.first)
        readers: list[list[int]] = [[] for _ in range(len(urgency))]
        for i in range(len(urgency)):
            for u in flat.producers[flat.first[i] : flat.first[i + 1]]:
                readers[u].append(i)
        heap = [(urgency[i], int(i)) for i in np.flatnonzero(waits == 0)]
        heapq.heapify(heap)
        busy: list[list[tuple[float, float]]] = [[] for _ in problem.processors]
        processor, start, finish = np.zeros(len(urgency), np.int64), np.zeros(len(urgency)), np.zeros(len(urgency))
        while heap:
            if stop():
                return None
            _, i = heapq.heappop(heap)
            sources = flat.producers[flat.first[i] : flat.first[i + 1]]
            best = (np.inf, np.inf, 0)
            for p in np.flatnonzero(np.isfinite(flat.duration_us[i])).tolist():
                arrived = finish[sources] + flat.transfer_us[sources, processor[sources], p]
                begin = gap(busy[p], max(flat.release_us[i], arrived.max(initial=0.0)), flat.duration_us[i, p])
                best = min(best, (begin + flat.duration_us[i, p], begin, p))
            finish[i], start[i], processor[i] = best
            busy[processor[i]].append((start[i], finish[i]))
            busy[processor[i]].sort()
            for v in readers[i]:
                waits[v] -= 1
                if waits[v] == 0:
                    heapq.heappush(heap, (urgency[v], v))
        if problem.contended:
            return flat.dispatch(processor, flat.rank(start, finish), in_order=True)
        return flat.schedule(processor, start)

    def solve(self, problem: JobProblem, stop: Stop, seed: int) -> JobSolution:
        """Run it once."""
        return answer(problem, self.plan(problem, stop), self.name)


def gap(busy: list[tuple[float, float]], ready_us: float, duration_us: float) -> float:
    """Earliest start of a layer between sorted busy times."""
    begin = ready_us
    for start, finish in busy:
        if begin + duration_us <= start:
            return begin
        begin = max(begin, finish)
    return begin
