"""From processors and priorities to start times: one simulator of dispatching, on which all heuristics stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...formulation import JobProblem, JobSchedule
from ...formulation.compiled import njit


@dataclass(frozen=True, eq=False)
class FlatJobs:
    """A problem with the layers of all jobs in one line, N of them.

    Attributes
    ----------
    problem : JobProblem
    duration_us : ndarray, shape (N, P)
    release_us : ndarray, shape (N,)
        Of the layer's job.
    owner : ndarray of int, shape (N,)
    first, producers : ndarray of int, shapes (N + 1,) and (edges of all jobs,)
        Layer i reads ``producers[first[i]:first[i + 1]]``.
    transfer_us : ndarray, shape (N, P, P)
    """

    problem: JobProblem
    duration_us: NDArray[np.float64]
    release_us: NDArray[np.float64]
    owner: NDArray[np.int64]
    first: NDArray[np.int64]
    producers: NDArray[np.int64]
    transfer_us: NDArray[np.float64]

    @classmethod
    def of(cls, problem: JobProblem) -> FlatJobs:
        """Lay a problem out."""
        owner = np.repeat(np.arange(len(problem.jobs)), np.diff(problem.offsets))
        edges = np.concatenate([n.edges + at for n, at in zip(problem.network_of, problem.offsets, strict=False)])
        order = np.lexsort((edges[:, 0], edges[:, 1]))
        counts = np.bincount(edges[:, 1], minlength=len(owner))
        return cls(
            problem,
            np.concatenate([n.duration_us for n in problem.network_of]),
            np.array([job.release_us for job in problem.jobs])[owner],
            owner,
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            edges[order, 0],
            np.concatenate([n.transfer_us for n in problem.network_of]),
        )

    def rank(self, *keys: NDArray[np.float64]) -> NDArray[np.int64]:
        """Place of each layer when sorted by keys, the first one first; among equals the order of jobs and layers.

        Parameters
        ----------
        *keys : ndarray, each of shape (N,)
        """
        order = np.lexsort(keys[::-1])
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        return place

    def dispatch(
        self, processor: NDArray[np.int64], rank: NDArray[np.int64], in_order: bool = False
    ) -> JobSchedule | None:
        """Run layers on their processors, the ready one of lowest rank first.

        Parameters
        ----------
        processor : ndarray of int, shape (N,)
            -1 for the layers of dropped jobs.
        rank : ndarray of int, shape (N,)
            A permutation.
        in_order : bool
            Whether a processor rather waits than takes a layer out of order.

        Returns
        -------
        JobSchedule or None
            None where layers wait for each other for ever.
        """
        start = run_dispatch(
            processor,
            np.argsort(rank),
            self.duration_us,
            self.release_us,
            self.first,
            self.producers,
            self.transfer_us,
            self.problem.loss,
            in_order,
        )
        if np.isnan(start[processor >= 0]).any():
            return None
        return self.schedule(processor, np.where(processor >= 0, start, 0.0))

    def schedule(self, processor: NDArray[np.int64], start_us: NDArray[np.float64]) -> JobSchedule:
        """A schedule from arrays of shape (N,)."""
        parts = self.problem.offsets[1:-1]
        return JobSchedule(tuple(np.split(processor.copy(), parts)), tuple(np.split(start_us.copy(), parts)))


@njit(cache=True)
def run_dispatch(
    processor: Any,
    order: Any,
    duration: Any,
    release: Any,
    first: Any,
    producers: Any,
    transfer: Any,
    loss: Any,
    in_order: bool,
) -> Any:
    """Start of each layer, NaN where it never starts; arrays as in `FlatJobs`. O(N²) at worst."""
    n, p_count = duration.shape
    start = np.full(n, np.nan)
    ready = np.full(n, np.inf)
    waits = np.zeros(n, np.int64)
    readers = np.zeros(n + 1, np.int64)
    for i in range(n):
        waits[i] = first[i + 1] - first[i]
        if waits[i] == 0:
            ready[i] = release[i]
        for e in range(first[i], first[i + 1]):
            readers[producers[e] + 1] += 1
    readers = np.cumsum(readers)
    reader = np.empty(len(producers), np.int64)
    filled = readers[:-1].copy()
    for i in range(n):
        for e in range(first[i], first[i + 1]):
            reader[filled[producers[e]]] = i
            filled[producers[e]] += 1
    active = np.full(p_count, -1)
    left, end, since = np.zeros(p_count), np.full(p_count, np.inf), np.zeros(p_count)
    speed = np.ones(p_count)
    # What still waits for a processor, by rank: those that have started are squeezed out.
    queue = order[processor[order] >= 0].copy()
    waiting = len(queue)
    now = 0.0
    while True:
        for p in range(p_count):
            if active[p] >= 0 and end[p] <= now:
                i = active[p]
                active[p] = -1
                for e in range(readers[i], readers[i + 1]):
                    r = reader[e]
                    at = end[p] + transfer[i, p, processor[r]]
                    waits[r] -= 1
                    ready[r] = max(at, release[r]) if ready[r] == np.inf else max(ready[r], at)
                end[p] = np.inf
        upcoming = np.inf
        blocked = np.zeros(p_count, np.bool_)
        kept = 0
        for k in range(waiting):
            i = queue[k]
            p = processor[i]
            if active[p] < 0 and not blocked[p]:
                if waits[i] == 0 and ready[i] <= now:
                    active[p] = i
                    start[i] = now
                    left[p] = duration[i, p]
                    since[p] = now
                    speed[p] = 1.0
                    end[p] = now + left[p]
                    continue
                if waits[i] == 0:
                    upcoming = min(upcoming, ready[i])
                blocked[p] = in_order
            queue[kept] = i
            kept += 1
        waiting = kept
        for p in range(p_count):
            if active[p] >= 0:
                rate = 1.0
                for b in range(p_count):
                    if b != p and active[b] >= 0:
                        rate -= loss[p, b]
                if rate != speed[p]:
                    left[p] -= speed[p] * (now - since[p])
                    since[p] = now
                    speed[p] = rate
                    end[p] = now + left[p] / rate
        after = min(upcoming, end.min())
        if after == np.inf:
            return start
        now = after
