"""How many plans there are: the size of what brute force would look at."""

from __future__ import annotations

import numpy as np

from ..formulation import Model, Problem
from .core_sets import families, fitting


def plan_count(problem: Problem) -> float:
    """Number of plans of a problem: segmentations × configurations × core sets, multiplied over the models."""
    return float(np.prod([_model_plan_count(problem, model) for model in problem.models]))


def _model_plan_count(problem: Problem, model: Model) -> float:
    sets = families(problem)
    usable = problem.usable[model.name]
    us = model.costs.interval_us(model.cuts.positions)[:, :, usable]
    configurations = [model.costs.configurations[c] for c in usable]
    choices = np.array([len(fitting(sets[c.processor], c.threads)) for c in configurations], dtype=np.float64)
    ways = np.isfinite(us) @ choices
    total = np.zeros(len(model.cuts.positions))
    total[0] = 1.0
    for b in range(1, len(total)):
        total[b] = total[:b] @ ways[:b, b]
    return float(total[-1])
