"""From a solver's choices to a plan, and from a plan to a solution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..formulation import (
    Configuration,
    Evaluation,
    Model,
    ModelPlan,
    Plan,
    PlannedSegment,
    Problem,
    SolverStamp,
    evaluate,
)
from .core_sets import CoreSet
from .pareto import non_dominated
from .solution import FrontPoint


@dataclass(frozen=True)
class Choice:
    """One segment as a solver chose it: layers ``[start, stop)``, how, and on which cores."""

    start: int
    stop: int
    configuration: Configuration
    cores: CoreSet


def model_plan(model: Model, choices: Iterable[Choice]) -> ModelPlan:
    """Plan of one model from the choices in order of execution."""
    segments = tuple(
        PlannedSegment(start=c.start, stop=c.stop, configuration=c.configuration, cores=c.cores) for c in choices
    )
    return ModelPlan(model=model.name, sha256=model.sha256, segments=segments)


def plan_of(problem: Problem, parts: Mapping[str, ModelPlan], method: str) -> Plan:
    """Plan of all models; the stamp says only which method it is by, until the solution is complete."""
    return Plan(
        models=tuple(parts[model.name] for model in problem.models),
        platform_fingerprint=problem.platform.fingerprint,
        provenance=tuple(model.costs.provenance for model in problem.models),
        solver=SolverStamp(method=method, status="feasible"),
    )


def front_point(evaluation: Evaluation, plan: Plan) -> FrontPoint:
    """Point of the front that a scored plan of one model makes."""
    (model,) = evaluation.models.values()
    return FrontPoint(model.latency_us, sum(evaluation.memory_bytes.values()), plan)


def front_of(problem: Problem, plans: Sequence[Plan]) -> tuple[FrontPoint, ...]:
    """Feasible, non-dominated points among some plans, by growing latency."""
    points = [front_point(scored, plan) for plan in plans if (scored := evaluate(problem, plan)).feasible]
    if not points:
        return ()
    figures = np.array([(point.latency_us, point.memory_bytes) for point in points])
    return tuple(points[int(i)] for i in non_dominated(figures))
