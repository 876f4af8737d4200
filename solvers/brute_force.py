"""The oracle: looks at every plan of a tiny problem and asks the evaluator. Nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from ..formulation import Evaluation, Model, ModelPlan, Plan, PlatformError, Problem, evaluate
from .assemble import Choice, front_point, model_plan, plan_of
from .clashes import find_clashes
from .core_sets import CoreSet, choices_of_cores
from .features import Features
from .limits import Limit, keeps, value_of
from .pareto import non_dominated
from .solution import Solution
from .stop import Stop

MAX_PLANS = 200_000
"""Most plans it agrees to look at; a plan takes about a millisecond."""


class BruteForce:
    """Every segmentation, configuration and core set, each scored by the evaluator."""

    name = "brute_force"
    features = Features(
        objectives=frozenset({"latency", "response", "front"}),
        exact=True,
        several_models=True,
        several_memories=True,
        overlapping_segments=True,
        max_plans=MAX_PLANS,
    )

    def solve(self, problem: Problem, stop: Stop, seed: int) -> Solution:
        """Solve; `seed` changes nothing, for nothing is random."""
        scored: list[tuple[Plan, Evaluation]] = []
        complete = True
        for plan in every_plan(problem, self.name):
            if stop():
                complete = False
                break
            try:
                scored.append((plan, evaluate(problem, plan)))
            except PlatformError:
                continue  # no link joins two of its memories: it cannot run
        good = [(plan, evaluation) for plan, evaluation in scored if evaluation.feasible]
        if good:
            return self._best(problem, good, complete)
        if not complete:
            return Solution("timeout", self.name)
        return Solution("infeasible", self.name, clashes=_clashes(problem, [e for _, e in scored], stop))

    def _best(self, problem: Problem, good: list[tuple[Plan, Evaluation]], complete: bool) -> Solution:
        status = "optimal" if complete else "feasible"
        plan, evaluation = min(good, key=lambda pair: (pair[1].objective, sum(pair[1].memory_bytes.values())))
        front = ()
        if problem.objective == "front":
            points = [front_point(evaluation, plan) for plan, evaluation in good]
            figures = np.array([(point.latency_us, point.memory_bytes) for point in points])
            front = tuple(points[int(k)] for k in non_dominated(figures))
            plan = front[0].plan
        bound = evaluation.objective if complete else None
        return Solution(status, self.name, plan=plan, front=front, objective=evaluation.objective, bound=bound)


def every_plan(problem: Problem, method: str) -> Iterator[Plan]:
    """All plans of a problem, in a fixed order."""
    parts = [list(dict.fromkeys(_model_plans(problem, model))) for model in problem.models]
    for combination in product(*parts):
        yield plan_of(problem, {part.model: part for part in combination}, method)


def _model_plans(problem: Problem, model: Model) -> Iterator[ModelPlan]:
    usable = problem.usable[model.name]
    configurations = [model.costs.configurations[c] for c in usable]
    at = model.cuts.positions
    finite = np.isfinite(model.costs.interval_us(at)[:, :, usable])

    def ways(a: int, offered: Sequence[Sequence[CoreSet]]) -> Iterator[tuple[Choice, ...]]:
        if a == len(at) - 1:
            yield ()
            return
        for b in range(a + 1, len(at)):
            for c in np.flatnonzero(finite[a, b]).tolist():
                for cores in offered[c]:
                    for rest in ways(b, offered):
                        yield (Choice(at[a], at[b], configurations[c], cores), *rest)

    for offered in choices_of_cores(problem, model):
        for choices in ways(0, offered):
            yield model_plan(model, choices)


def _clashes(problem: Problem, evaluations: list[Evaluation], stop: Stop):
    runnable = [evaluation for evaluation in evaluations if evaluation.models]

    def feasible(kept: frozenset[Limit]) -> bool:
        return any(keeps(evaluation, kept) for evaluation in runnable)

    def smallest(limit: Limit, others: frozenset[Limit]) -> float | None:
        values = [value_of(problem, e, limit) for e in runnable if keeps(e, others)]
        return min(values, default=None)

    return find_clashes(problem, feasible, smallest, stop)
