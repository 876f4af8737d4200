"""The exact dynamic program for one model: least latency within the limits, or the whole latency/memory front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..formulation import Plan, Problem, Status
from .assemble import Choice, model_plan, plan_of
from .clashes import find_clashes
from .features import Features
from .fronts.layered import LayeredModel
from .fronts.layered_front import layered_front
from .fronts.lazy_front import LazyFront
from .label_setting import Labels, label_setting
from .label_space import LabelSpace
from .limits import Limit, limits_of
from .pareto import non_dominated
from .shortest_path import sampled_paths
from .solution import Clash, FrontPoint, Solution
from .stop import Stop


@dataclass(frozen=True)
class _Way:
    """One way to run the model, in hand: its label and its segments."""

    label: NDArray[np.float64]
    choices: tuple[Choice, ...]


class DynamicProgram:
    """Exact for one model whose segments run one after the other.

    First the fastest way regardless of limits: where it keeps them all, nothing can be better. Otherwise label setting
    (see `label_setting`), with shortest ways for sampled trade-offs as plans in hand that prune it. Fronts of models
    whose costs add up layer by layer go a faster way (see `fronts.chain_front`).

    Parameters
    ----------
    epsilon : float
        For fronts of such models: 0 for all points; otherwise every plan has a point on the front that is at most a
        factor 1 + epsilon worse in both figures, and the status is ``feasible``.
    """

    name = "dynamic_program"
    features = Features(
        objectives=frozenset({"latency", "response", "front"}),
        exact=True,
        several_models=False,
        several_memories=True,
        overlapping_segments=False,
    )

    def __init__(self, epsilon: float = 0.0) -> None:
        self.epsilon = epsilon

    def solve(self, problem: Problem, stop: Stop, seed: int) -> Solution:
        """Solve; `seed` changes nothing, for nothing is random."""
        (model,) = problem.models
        layered = LayeredModel.of(problem, model) if problem.objective == "front" else None
        if layered is not None:
            points, complete = layered_front(layered, self.epsilon, stop, self.name)
            if len(points):
                return self._lazy(problem, points, "optimal" if complete and not self.epsilon else "feasible")
            if not complete:
                return Solution("timeout", self.name)
        space = LabelSpace.of(problem, model)
        limits = frozenset(limits_of(problem))
        ways = [_Way(label, choices) for label, choices in sampled_paths(space)]
        fastest_us = float(ways[0].label[0])
        good = [way for way in ways if space.accepted(way.label[None, :], limits)[0]]
        front = problem.objective == "front"
        if not front and good and good[0] is ways[0]:
            return self._single(space, good[0], "optimal", fastest_us)
        known = np.array([(way.label[0], space.memory_bytes(way.label[None, :])[0]) for way in good])
        labels = label_setting(space, limits, stop, known if good else None, latency_only=not front)
        if labels is None:
            if not good:
                return Solution("timeout", self.name)
            return self._front(space, good, "feasible", fastest_us) if front else self._fastest(space, good, fastest_us)
        if not len(labels.values):
            return Solution("infeasible", self.name, clashes=_clashes(space, stop))
        figures = np.column_stack([labels.values[:, 0], space.memory_bytes(labels.values)])
        kept = non_dominated(figures)[: None if front else 1]
        found = [_Way(labels.values[k], labels.choices(int(k))) for k in kept]
        best_us = float(found[0].label[0])
        if front:
            return self._front(space, found, "optimal", best_us)
        return self._single(space, found[0], "optimal", best_us)

    def _fastest(self, space: LabelSpace, ways: Sequence[_Way], bound_us: float) -> Solution:
        return self._single(space, min(ways, key=lambda way: way.label[0]), "feasible", bound_us)

    def _single(self, space: LabelSpace, way: _Way, status: Status, bound_us: float) -> Solution:
        weight = _weight(space.problem)
        return Solution(
            status,
            self.name,
            plan=self._plan(space, way),
            objective=weight * float(way.label[0]),
            bound=weight * bound_us,
        )

    def _front(self, space: LabelSpace, ways: Sequence[_Way], status: Status, bound_us: float) -> Solution:
        values = np.array([way.label for way in ways])
        figures = np.column_stack([values[:, 0], space.memory_bytes(values)])
        points = tuple(
            FrontPoint(float(figures[k, 0]), float(figures[k, 1]), self._plan(space, ways[k]))
            for k in non_dominated(figures)
        )
        weight = _weight(space.problem)
        return Solution(
            status,
            self.name,
            plan=points[0].plan,
            front=points,
            objective=weight * points[0].latency_us,
            bound=weight * bound_us,
        )

    def _lazy(self, problem: Problem, points: LazyFront, status: Status) -> Solution:
        objective = _weight(problem) * float(points.figures[0, 0])
        bound = objective if status == "optimal" else None
        return Solution(status, self.name, plan=points[0].plan, front=points, objective=objective, bound=bound)

    def _plan(self, space: LabelSpace, way: _Way) -> Plan:
        model = space.chain.model
        return plan_of(space.problem, {model.name: model_plan(model, way.choices)}, self.name)


def _weight(problem: Problem) -> float:
    stream = problem.stream_of.get(problem.models[0].name)
    return stream.weight if stream else 1.0


def _clashes(space: LabelSpace, stop: Stop) -> tuple[Clash, ...]:
    def labels(kept: frozenset[Limit]) -> Labels | None:
        return label_setting(space, kept, stop)

    def feasible(kept: frozenset[Limit]) -> bool | None:
        found = labels(kept)
        return None if found is None else len(found.values) > 0

    def smallest(limit: Limit, others: frozenset[Limit]) -> float | None:
        found = labels(others)
        return None if found is None or not len(found.values) else float(space.figures(found.values, limit).min())

    return find_clashes(space.problem, feasible, smallest, stop)
