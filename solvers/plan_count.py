"""How many plans there are: the size of what brute force would look at."""

from __future__ import annotations

import numpy as np

from ..formulation import Model, Problem
from .core_sets import choices_of_cores


def plan_count(problem: Problem) -> float:
    """Number of plans of a problem: segmentations × configurations × core sets, multiplied over the models.

    A plan that several placements allow counts once for each.
    """
    return float(np.prod([_model_plan_count(problem, model) for model in problem.models]))


def _model_plan_count(problem: Problem, model: Model) -> float:
    us = model.costs.interval_us(model.cuts.positions)[:, :, problem.usable[model.name]]
    count = 0.0
    for offered in choices_of_cores(problem, model):
        ways = np.isfinite(us) @ np.array([len(sets) for sets in offered], dtype=np.float64)
        total = np.zeros(len(model.cuts.positions))
        total[0] = 1.0
        for b in range(1, len(total)):
            total[b] = total[:b] @ ways[:b, b]
        count += float(total[-1])
    return count
