"""Every schedule of a tiny problem: the oracle of the others."""

from __future__ import annotations

from itertools import product

import numpy as np

from ...formulation import JobProblem, JobSchedule
from ..stop import Stop
from .answers import answer, improved
from .clashes import clashing, limits_of, relaxed
from .features import JobFeatures
from .solution import JobSolution
from .timing import FlatJobs


class BruteForce:
    """Tries every set of dropped jobs, every processor of every layer and every order in which layers start.

    Exact without contention: starting everything as early as its order allows can then only help. Exponential.
    """

    name = "brute_force"
    features = JobFeatures(exact=True, contention=False, most_layers=8)

    def solve(self, problem: JobProblem, stop: Stop, seed: int) -> JobSolution:
        """Solve until done or stopped."""
        best, cost, ended = _search(problem, stop)
        if best is None:
            if not ended:
                return JobSolution("timeout", self.name)
            found = clashing(limits_of(problem), lambda kept: _keeps(relaxed(problem, kept), stop))
            return JobSolution("infeasible", self.name, clashes=tuple(str(limit) for limit in found))
        solution = answer(problem, best, self.name)
        if not ended or solution.status == "optimal":
            return solution
        return JobSolution("optimal", self.name, cost[0], cost[0], schedule=solution.schedule)


def _keeps(problem: JobProblem, stop: Stop) -> bool | None:
    best, _, ended = _search(problem, stop)
    return True if best is not None else (False if ended else None)


def _search(problem: JobProblem, stop: Stop) -> tuple[JobSchedule | None, tuple[float, float], bool]:
    """The best schedule, its cost, and whether everything was tried."""
    flat = FlatJobs.of(problem)
    n, p = flat.duration_us.shape
    deadline_us = np.array([job.deadline_us for job in problem.jobs])[flat.owner]
    # A job that may be dropped is tried without as well, so late ones need not be tried.
    hard = np.array([job.hard or job.droppable for job in problem.jobs])[flat.owner]
    best: JobSchedule | None = None
    cost = (np.inf, np.inf)
    processor, start, finish = np.full(n, -1), np.zeros(n), np.zeros(n)
    ended = True

    def place(left: tuple[int, ...], free: tuple[float, ...], last_us: float) -> None:
        nonlocal best, cost, ended
        if stop():
            ended = False
            return
        if not left:
            schedule, evaluation = improved(problem, flat.schedule(processor, start))
            if evaluation.feasible and evaluation.cost < cost:
                best, cost = schedule, evaluation.cost
            return
        for i in left:
            sources = flat.producers[flat.first[i] : flat.first[i + 1]]
            if any(int(u) in left for u in sources):
                continue
            for a in range(p):
                moved = finish[sources] + flat.transfer_us[sources, processor[sources], a]
                begin = max(flat.release_us[i], free[a], moved.max(initial=0.0))
                end = begin + flat.duration_us[i, a]
                # Layers are placed in the order of their starts, so that each schedule comes up once.
                if begin < last_us or not np.isfinite(end) or (hard[i] and end > deadline_us[i] + 1e-6):
                    continue
                processor[i], start[i], finish[i] = a, begin, end
                place(tuple(k for k in left if k != i), (*free[:a], end, *free[a + 1 :]), begin)
                processor[i] = -1

    choices = [(True, False) if job.droppable else (True,) for job in problem.jobs]
    for runs in product(*choices):
        missing = sum(job.weight for job, kept in zip(problem.jobs, runs, strict=True) if not kept)
        if (missing, 0.0) < cost or problem.objective == "makespan":
            kept = np.array(runs)[flat.owner]
            place(tuple(np.flatnonzero(kept).tolist()), (0.0,) * p, 0.0)
    return best, cost, ended
