"""Partitioning and scheduling of chains in one dynamic program, after RTCSA 2022.

Jobs are taken in the order of their deadlines. Each is dropped, or cut once: its first layers run in one piece on one
processor and the rest in one piece on another, each after all that earlier jobs put there. The published figures of
that paper are not reproduced here: its full text was not at hand, and the recurrence is a reading of its abstract.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...formulation import JobNetwork, JobProblem, JobSchedule
from ...formulation.compiled import njit
from ..stop import Stop
from .answers import answer
from .features import JobFeatures
from .solution import JobSolution
from .timing import FlatJobs

MOST_LABELS = 1500
"""Labels kept after a job before times are counted in quanta."""

_SLACK_US = 1e-7


@dataclass(frozen=True, eq=False)
class Options:
    """Ways to run one job, an entry each.

    Attributes
    ----------
    cut, first, second : ndarray of int
        Layers before `cut` run on processor `first`, the others on `second`; ``cut`` is n for a whole network.
    first_us, transfer_us, second_us : ndarray
        Time of the first piece, of the transfer between, and of the second piece.
    """

    cut: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    first_us: NDArray[np.float64]
    transfer_us: NDArray[np.float64]
    second_us: NDArray[np.float64]

    @classmethod
    def of(cls, network: JobNetwork, whole: bool) -> Options:
        """All cuts of a chain, or none."""
        n, p = network.duration_us.shape
        rows = []
        for a in range(p):
            ahead = np.cumsum(network.duration_us[:, a])
            rows.append((n, a, a, ahead[-1], 0.0, 0.0))
            for b in range(p):
                if a == b or whole:
                    continue
                rest = np.cumsum(network.duration_us[::-1, b])[::-1]
                rows += [(k, a, b, ahead[k - 1], network.transfer_us[k - 1, a, b], rest[k]) for k in range(1, n)]
        table = [row for row in rows if math.isfinite(row[3] + row[5])]
        figures = np.array(table, dtype=np.float64).reshape(-1, 6).T
        cut, first, second = figures[:3].astype(np.int64)
        return cls(cut, first, second, *figures[3:])


@dataclass(frozen=True, eq=False)
class Labels:
    """What the first jobs can have come to: F[label] = (misses, tardiness, when each processor is free).

    Attributes
    ----------
    cost : ndarray, shape (labels, 2)
        Weighted misses and total tardiness so far.
    free_us : ndarray, shape (labels, P)
    parent, option : ndarray of int, shape (labels,)
        Label before the last job, and how that job runs; -1 where it is dropped.
    """

    cost: NDArray[np.float64]
    free_us: NDArray[np.float64]
    parent: NDArray[np.int64]
    option: NDArray[np.int64]

    def take(self, chosen: NDArray[np.int64]) -> Labels:
        """Some of the labels."""
        return Labels(self.cost[chosen], self.free_us[chosen], self.parent[chosen], self.option[chosen])


class DynamicProgram:
    """Best schedule among those that keep jobs in deadline order, cut once; exact among these while labels are few.

    O(J C K²) for J jobs, C options a job and K labels, K at most `most_labels`. Where there would be more, the times
    when processors are free are rounded up to a multiple of a quantum that doubles until they fit: what is found stays
    feasible, and a job may be taken to end up to one quantum later for each job before it than it would.

    Parameters
    ----------
    most_labels : int
    """

    name = "dynamic_program"
    features = JobFeatures(contention=False, chains=True, ample_memory=True)
    whole = False

    def __init__(self, most_labels: int = MOST_LABELS) -> None:
        self.most_labels = most_labels

    def solve(self, problem: JobProblem, stop: Stop, seed: int) -> JobSolution:
        """Solve; once stopped, each job that is left takes what is best for it."""
        return answer(problem, self.plan(problem, stop), self.name)

    def plan(self, problem: JobProblem, stop: Stop) -> JobSchedule | None:
        """The schedule; None where jobs that must run cannot, in this order."""
        order = sorted(
            range(len(problem.jobs)), key=lambda j: (problem.jobs[j].deadline_us, problem.jobs[j].release_us)
        )
        options = {network.name: Options.of(network, self.whole) for network in problem.networks}
        none = np.array([-1])
        layers = [Labels(np.zeros((1, 2)), np.zeros((1, problem.n_processors)), none, none)]
        quantum_us = 0.0
        for j in order:
            labels = _extended(problem, j, options[problem.jobs[j].network], layers[-1])
            if not len(labels.parent):
                return None
            if stop():
                # The rest is greedy: one label is kept, and it is never empty-handed.
                best = np.lexsort((labels.free_us.sum(axis=1), labels.cost[:, 1], labels.cost[:, 0]))[:1]
                layers.append(labels.take(best))
                continue
            labels = _undominated(labels)
            while len(labels.parent) > self.most_labels:
                least_us = float(labels.free_us.max()) / self.most_labels
                quantum_us = max(2 * quantum_us, least_us)
                rounded = np.ceil(labels.free_us / quantum_us) * quantum_us
                labels = _undominated(Labels(labels.cost, rounded, labels.parent, labels.option))
            layers.append(labels)
        last = layers[-1]
        ends = last.free_us.max(axis=1) if problem.objective == "makespan" else last.free_us.sum(axis=1)
        at = int(np.lexsort((ends, last.cost[:, 1], last.cost[:, 0]))[0])
        chosen: dict[int, int] = {}
        for j, labels in zip(reversed(order), reversed(layers[1:]), strict=True):
            chosen[j] = int(labels.option[at])
            at = int(labels.parent[at])
        return _schedule(problem, order, chosen, options)


class BestWholeModel(DynamicProgram):
    """The same without cuts: which processor runs each job, whole, is chosen for all jobs together."""

    name = "best_whole_model"
    features = JobFeatures(contention=False, ample_memory=True)
    whole = True


def _extended(problem: JobProblem, j: int, options: Options, labels: Labels) -> Labels:
    """Every label with every way to run job j that does not break its hard deadline, and with job j dropped."""
    job, timed = problem.jobs[j], problem.objective == "deadlines"
    n, c = len(labels.parent), len(options.cut)
    begin = np.maximum(labels.free_us[:, options.first], job.release_us)
    middle = begin + options.first_us
    split = options.first != options.second
    second = np.maximum(labels.free_us[:, options.second], middle + options.transfer_us) + options.second_us
    end = np.where(split, second, middle)
    free = np.repeat(labels.free_us[:, None, :], c, axis=1)
    rows, columns = np.indices((n, c))
    free[rows, columns, options.first] = middle
    free[rows, columns, options.second] = end
    late = end > job.deadline_us + _SLACK_US
    cost = np.repeat(labels.cost[:, None, :], c, axis=1)
    if timed:
        cost[..., 0] += np.where(late, job.weight, 0.0)
        cost[..., 1] += np.where(late, end - job.deadline_us, 0.0) if math.isfinite(job.deadline_us) else 0.0
    kept = ~late | (not job.hard and not job.droppable)
    parent, option = rows[kept], columns[kept]
    cost, free = cost[kept], free[kept]
    if job.droppable:
        parent, option = np.concatenate([parent, np.arange(n)]), np.concatenate([option, np.full(n, -1)])
        cost = np.concatenate([cost, labels.cost + np.array([job.weight, 0.0])])
        free = np.concatenate([free, labels.free_us])
    return Labels(cost, free, parent, option)


def _undominated(labels: Labels) -> Labels:
    """Labels that none other equals or beats in cost and in every processor's time."""
    figures = np.column_stack([labels.cost, labels.free_us])
    order = np.lexsort(figures.T[::-1])
    return labels.take(order[_minima(figures[order])])


@njit(cache=True)
def _minima(rows: Any) -> Any:
    """Whether each row, of sorted ones, is not dominated by a row before it; O(n k) for k that are not."""
    n, width = rows.shape
    kept = np.empty(n, np.int64)
    count = 0
    keep = np.zeros(n, np.bool_)
    for i in range(n):
        dominated = False
        for k in range(count - 1, -1, -1):
            dominated = True
            for c in range(width):
                if rows[kept[k], c] > rows[i, c]:
                    dominated = False
                    break
            if dominated:
                break
        if not dominated:
            kept[count] = i
            count += 1
            keep[i] = True
    return keep


def _schedule(
    problem: JobProblem, order: list[int], chosen: dict[int, int], options: dict[str, Options]
) -> JobSchedule | None:
    """Start times of the choices, in their order and without rounding."""
    flat = FlatJobs.of(problem)
    processor = np.full(len(flat.owner), -1, dtype=np.int64)
    place = np.zeros(len(flat.owner))
    for k, j in enumerate(order):
        first, stop = problem.offsets[j], problem.offsets[j + 1]
        place[first:stop] = k
        if chosen[j] >= 0:
            of, c = options[problem.jobs[j].network], chosen[j]
            processor[first:stop] = np.where(np.arange(stop - first) < of.cut[c], of.first[c], of.second[c])
    return flat.dispatch(processor, flat.rank(place), in_order=True)
