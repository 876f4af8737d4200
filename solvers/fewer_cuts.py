"""Plans without cuts that hardly pay: joined again as long as the objective stays within a small share of its value.

A solver takes predicted times at their word and cuts for a gain of microseconds. Predictions are good to a few per
cent, and every cut ends a blocked layout, hands tensors over and hurts most where several threads share the data; so a
cut has to gain more than that.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..formulation import Evaluation, Model, ModelPlan, Plan, PlannedSegment, Problem, evaluate

SLACK = 0.01
"""Share of the objective that all cuts that are given up may cost together."""


def with_fewer_cuts(problem: Problem, plan: Plan, evaluation: Evaluation) -> tuple[Plan, Evaluation]:
    """Join neighbouring segments, the cheapest join first, while nothing is broken and the objective keeps its slack.

    Parameters
    ----------
    problem : Problem
    plan : Plan
    evaluation : Evaluation
        Of the plan under this problem.

    Returns
    -------
    plan : Plan
        The same one where no cut can be given up.
    evaluation : Evaluation
    """
    most = evaluation.objective * (1 + SLACK)
    broken = len(evaluation.violations)
    while True:
        tried = [(evaluate(problem, joined), joined) for joined in _joins(problem, plan)]
        kept = [(e, p) for e, p in tried if e.objective <= most and len(e.violations) <= broken]
        if not kept:
            return plan, evaluation
        evaluation, plan = min(kept, key=lambda entry: entry[0].objective)


def _joins(problem: Problem, plan: Plan) -> Iterator[Plan]:
    """The plan with one cut less, for every cut between segments on the same cores."""
    for model in problem.models:
        part = plan.model_plan(model.name)
        for k in range(len(part.segments) - 1):
            joined = _joined(problem, model, part.segments[k], part.segments[k + 1])
            if joined is not None:
                segments = (*part.segments[:k], joined, *part.segments[k + 2 :])
                parts = list(plan.models)
                parts[parts.index(part)] = ModelPlan(model=part.model, sha256=part.sha256, segments=segments)
                yield plan.model_copy(update={"models": tuple(parts)})


def _joined(problem: Problem, model: Model, first: PlannedSegment, second: PlannedSegment) -> PlannedSegment | None:
    """Both as one segment, by the fastest configuration of their processor and number of threads."""
    if first.stop != second.start or set(first.cores) != set(second.cores):
        return None
    ours = first.configuration
    if (ours.processor, ours.threads) != (second.configuration.processor, second.configuration.threads):
        return None
    times_us = model.costs.segment_us(first.start, second.stop)
    alike = [
        int(c)
        for c in problem.usable[model.name]
        if (k := model.costs.configurations[c]).processor == ours.processor and k.threads == ours.threads
    ]
    best = min(alike, key=lambda c: float(times_us[c]))
    if not np.isfinite(times_us[best]):
        return None
    configuration = model.costs.configurations[best]
    return PlannedSegment(start=first.start, stop=second.stop, configuration=configuration, cores=first.cores)
