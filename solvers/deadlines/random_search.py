"""Random cuts and orders: what any search must beat with the same number of evaluations."""

from __future__ import annotations

import numpy as np

from ...formulation import JobProblem, JobSchedule
from ..stop import Stop
from .answers import answer, improved, lower_bound
from .features import JobFeatures
from .policies import deadline_keys
from .solution import JobSolution
from .timing import FlatJobs

EVALUATIONS = 500


class RandomSearch:
    """The best of many random schedules.

    Each job gets at most one random cut in the order of its layers and two random processors, and a deadline that is
    randomly stretched; then the earliest such deadline goes first.

    Parameters
    ----------
    evaluations : int
        Schedules to try.
    """

    name = "random_search"
    features = JobFeatures()

    def __init__(self, evaluations: int = EVALUATIONS) -> None:
        self.evaluations = evaluations

    def solve(self, problem: JobProblem, stop: Stop, seed: int) -> JobSolution:
        """Draw until the budget is spent or stopped."""
        rng, flat = np.random.default_rng(seed), FlatJobs.of(problem)
        able = np.isfinite(flat.duration_us)
        deadline_us, release_us = deadline_keys(flat)
        best: JobSchedule | None = None
        best_cost, least = (np.inf, np.inf), lower_bound(problem)
        for _ in range(self.evaluations):
            if stop() or best_cost <= (least, 0.0):
                break
            parts, stretch = [], rng.uniform(0.5, 1.5, len(problem.jobs))
            for network in problem.network_of:
                pair = rng.integers(problem.n_processors, size=2)
                parts.append(np.where(np.arange(network.n_layers) < rng.integers(network.n_layers + 1), *pair))
            processor = np.concatenate(parts)
            processor = np.where(able[np.arange(len(able)), processor], processor, able.argmax(axis=1))
            relative_us = np.where(np.isfinite(deadline_us), deadline_us - release_us, flat.duration_us[able].sum())
            drawn = flat.dispatch(processor, flat.rank(release_us + relative_us * stretch[flat.owner]))
            if drawn is None:
                continue
            schedule, evaluation = improved(problem, drawn)
            if evaluation.feasible and evaluation.cost < best_cost:
                best, best_cost = schedule, evaluation.cost
        return answer(problem, best, self.name)
