"""A good plan soon: models one after the other take the best of a few candidate plans, until none changes."""

from __future__ import annotations

from itertools import product

import numpy as np

from ..formulation import Evaluation, Model, ModelPlan, Plan, PlatformError, Problem, evaluate
from .assemble import model_plan, plan_of
from .chain import Chain, not_serial
from .core_sets import Placement, placements
from .features import Features
from .label_space import LabelSpace
from .shortest_path import shortest_path
from .solution import Solution
from .stop import Stop

_LONGEST_SEGMENTS = (1.0, 0.5, 0.25, 0.1)
"""Candidates whose segments are no longer than these shares of the model's fastest time: cuts are preemption points."""

_MEMORY_WEIGHTS = (0.0, 0.1, 10.0)
"""Candidates for which all the fastest way's bytes are worth these multiples of its time."""

_MOST_PLACEMENTS = 64
_MOST_ROUNDS = 10


class Greedy:
    """Coordinate descent over candidate plans; proves nothing."""

    name = "greedy"
    features = Features(
        objectives=frozenset({"latency", "response"}),
        exact=False,
        several_models=True,
        several_memories=True,
        overlapping_segments=True,
    )

    def solve(self, problem: Problem, stop: Stop, seed: int) -> Solution:
        """Solve; `seed` changes nothing, for nothing is random."""
        found = greedy_plan(problem, stop)
        if found is None or not found[1].feasible:
            return Solution("timeout", self.name)
        plan, evaluation = found
        weights = {m.name: s.weight if (s := problem.stream_of.get(m.name)) else 1.0 for m in problem.models}
        # A response is never shorter than the latency, and none is shorter than the fastest way.
        serial = not any(not_serial(problem, model) for model in problem.models)
        bound = sum(weights[m.name] * fastest_us(problem, m) for m in problem.models) if serial else None
        return Solution("feasible", self.name, plan=plan, objective=evaluation.objective, bound=bound)


def fastest_us(problem: Problem, model: Model) -> float:
    """Time of the fastest way to run a model alone, microseconds."""
    path = shortest_path(LabelSpace.of(problem, model))
    return float(path[0][0]) if path is not None else np.inf


def greedy_plan(problem: Problem, stop: Stop) -> tuple[Plan, Evaluation] | None:
    """The plan that coordinate descent ends at, feasible or not; None where nothing runs."""
    candidates = {model.name: candidate_plans(problem, model, stop) for model in problem.models}
    parts = {name: plans[0] for name, plans in candidates.items() if plans}
    if len(parts) < len(problem.models):
        return None
    best = _scored(problem, parts)
    for _ in range(_MOST_ROUNDS):
        before = best
        for name, plans in candidates.items():
            for candidate in plans:
                if stop():
                    return best
                other = _scored(problem, {**parts, name: candidate})
                if other is not None and (best is None or _merit(other[1]) < _merit(best[1])):
                    best, parts = other, {**parts, name: candidate}
        if best is before:
            break
    return best


def candidate_plans(problem: Problem, model: Model, stop: Stop) -> list[ModelPlan]:
    """Plans of one model worth trying: shortest ways on each placement, cut finely or not, lean in memory or not.

    Where time runs out, at least the fastest way on the first placement.
    """
    found: dict[ModelPlan, None] = {}
    chain = Chain.of(problem, model)
    # Wide placements first: they are the better start, and the ones to try where there are too many.
    offered = sorted(placements(problem, chain.configurations), key=_spread, reverse=True)
    for placement in offered[:_MOST_PLACEMENTS]:
        if stop() and found:
            break
        space = _placed(problem, chain, placement)
        fastest = shortest_path(space)
        if fastest is None:
            continue
        latency_us = space.added[..., 0]
        cuts = np.arange(len(latency_us))
        neighbours = (cuts[None, :] - cuts[:, None] == 1)[:, :, None]
        per_byte = float(fastest[0][0]) / max(float(fastest[0][space.resident].sum()), 1.0)
        found.setdefault(model_plan(model, fastest[1]))
        for share, weight in product(_LONGEST_SEGMENTS, _MEMORY_WEIGHTS):
            if stop():
                break
            allowed = neighbours | (latency_us <= share * fastest[0][0])
            path = shortest_path(space, weight * per_byte, allowed)
            if path is not None:
                found.setdefault(model_plan(model, path[1]))
    return list(found)


def _spread(placement: Placement) -> int:
    """Number of cores that a placement reaches."""
    return len({core for cores in placement if cores is not None for core in cores})


def _placed(problem: Problem, chain: Chain, placement: Placement) -> LabelSpace:
    """Space of the ways to run a chain on one placement."""
    options = [(k, cores) for k, cores in enumerate(placement) if cores is not None]
    return LabelSpace(problem, chain, np.array([k for k, _ in options]), tuple(cores for _, cores in options), ())


def _scored(problem: Problem, parts: dict[str, ModelPlan]) -> tuple[Plan, Evaluation] | None:
    plan = plan_of(problem, parts, Greedy.name)
    try:
        return plan, evaluate(problem, plan)
    except PlatformError:
        return None  # overlapping segments whose tensors no link can carry


def _merit(evaluation: Evaluation) -> tuple[float, float]:
    """How far limits are exceeded, in shares of them, then the objective."""
    return sum(v.value / v.limit - 1.0 for v in evaluation.violations), evaluation.objective
