"""Policies that decide for each model by itself: fixed points, dispatch over processors, and the published rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from ...formulation.operating_points import Loaded, ModelPoints, OperatingPoint, Sight
from .baselines import fastest, most_cores, smallest

Rule = Callable[[Sequence[OperatingPoint]], int]


class FixedPoints:
    """A point of each model by a rule, for ever.

    Parameters
    ----------
    name : str
    rule : callable
        From a model's points to an index.
    """

    def __init__(self, name: str, rule: Rule) -> None:
        self.name = name
        self._rule = rule

    @classmethod
    def fastest(cls) -> FixedPoints:
        """Every model's fastest point."""
        return cls("static fastest", fastest)

    @classmethod
    def smallest(cls) -> FixedPoints:
        """Every model's smallest point."""
        return cls("static smallest", smallest)

    @classmethod
    def all_cores(cls) -> FixedPoints:
        """Every model on all cores: default sessions of ONNX Runtime, without what they lose by spinning."""
        return cls("all cores each", most_cores)

    def start(self, sight: Sight) -> Loaded:
        """The rule's points."""
        return {name: (self._rule(model.points),) for name, model in sight.models.items()}

    def route(self, model: str, sight: Sight) -> int:
        """The only one."""
        return sight.loaded[model][0]

    def served(self, model: str, point: int, execution_us: float, sight: Sight) -> Loaded:
        """No change."""
        return {}

    def look(self, sight: Sight) -> Loaded:
        """No change."""
        return {}


class Dispatch(FixedPoints):
    """A copy of every model for every processor, the fastest there; each request goes to one of them.

    Parameters
    ----------
    order : {'round robin', 'least loaded'}
        In turn, or to the processor with the least work that has not ended: the sum over the requests that were sent
        there of their time alone. Of equally loaded ones, to the model's fastest.

    Notes
    -----
    Copies are loaded as far as memory reaches, the fastest of each model first and then the others from the smallest.
    """

    def __init__(self, order: Literal["round robin", "least loaded"]) -> None:
        super().__init__(order, fastest)
        self._order = order
        self._turn = 0

    def start(self, sight: Sight) -> Loaded:
        """Copies that fit; at least each model's fastest, or smallest where not even that fits."""
        loaded = {name: [fastest(model.points)] for name, model in sight.models.items()}
        left = dict(sight.memory_bytes)
        for name, (j,) in loaded.items():
            _take(left, sight.models[name].points[j])
        if any(size < 0 for size in left.values()):
            return {name: (smallest(model.points),) for name, model in sight.models.items()}
        others = [
            (model.points[j].total_bytes, name, j)
            for name, model in sight.models.items()
            for j in best_by_processor(model).values()
            if j not in loaded[name]
        ]
        for _, name, j in sorted(others):
            point = sight.models[name].points[j]
            if all(left.get(memory, size) >= size for memory, size in point.memory_bytes.items()):
                _take(left, point)
                loaded[name].append(j)
        return {name: tuple(points) for name, points in loaded.items()}

    def route(self, model: str, sight: Sight) -> int:
        """The processor whose turn it is, or that has least to do."""
        points = sorted(sight.loaded[model], key=lambda j: sight.models[model].points[j].latency_us)
        if self._order == "round robin":
            self._turn += 1
            return points[self._turn % len(points)]
        work: dict[str, float] = {}
        for (name, j), count in sight.in_flight.items():
            point = sight.models[name].points[j]
            work[main_processor(point)] = work.get(main_processor(point), 0.0) + count * point.latency_us
        return min(points, key=lambda j: work.get(main_processor(sight.models[model].points[j]), 0.0))


def main_processor(point: OperatingPoint) -> str:
    """Where a point spends most of its time."""
    return max(point.uses, key=lambda use: use.busy_us).processor


def best_by_processor(model: ModelPoints) -> dict[str, int]:
    """For each processor the fastest of the points that spend most of their time there."""
    best: dict[str, int] = {}
    for j, point in enumerate(model.points):
        name = main_processor(point)
        if name not in best or point.latency_us < model.points[best[name]].latency_us:
            best[name] = j
    return best


def _take(left: dict[str, float], point: OperatingPoint) -> None:
    for memory, size in point.memory_bytes.items():
        if memory in left:
            left[memory] -= size


class ParetoRule:
    """The published online rule, for each model by itself (doi 10.1145/3626793), as its authors' code has it.

    Parameters
    ----------
    memory : str, optional
        The memory that it watches; all together where left out.

    Notes
    -----
    - Start: the fastest point; where it takes more than is available, the largest that takes at most 2/3 of that (the
      smallest where none does).
    - Latency: after an inference that took more than 1.8 times the present point's time alone, to the point whose time
      alone is the longest below what was observed, unless that is the present one. Not while locked for memory.
    - Memory: where more became available since the reference than the present point takes, and it is not the largest
      point: to the fastest. Not while locked.
    - Every switch takes the reference anew and locks, for time or for memory, until inferences add up to more than
      2000 ms; then the reference is taken anew. A lock for time holds back the memory trigger only.
    """

    name = "published rule"
    trigger = 1.8
    start_share = 2 / 3
    lock_us = 2_000e3

    def __init__(self, memory: str | None = None) -> None:
        self._memory = memory
        self._states: dict[str, _RuleState] = {}

    def start(self, sight: Sight) -> Loaded:
        """The fastest point, or a small one where memory is short; models one after another, each taking its part."""
        loaded: dict[str, tuple[int, ...]] = {}
        taken = 0.0
        for name, model in sight.models.items():
            available = self._available(sight) - taken
            j = fastest(model.points)
            if self._bytes(model.points[j]) > available:
                fitting = [k for k, p in enumerate(model.points) if self._bytes(p) <= self.start_share * available] or [
                    smallest(model.points)
                ]
                j = max(fitting, key=lambda k: self._bytes(model.points[k]))
            taken += self._bytes(model.points[j])
            loaded[name] = (j,)
            # The reference is taken when the scheduler is made, before its own model is loaded.
            self._states[name] = _RuleState(point=j, reference_bytes=available)
        return loaded

    def route(self, model: str, sight: Sight) -> int:
        """The only one."""
        return sight.loaded[model][0]

    def served(self, model: str, point: int, execution_us: float, sight: Sight) -> Loaded:
        """Latency first, then memory, as after every inference of the published scheduler."""
        state, points = self._states[model], sight.models[model].points
        available = self._available(sight)
        chosen: int | None = None
        now = points[state.point]
        if state.locked != "memory" and execution_us > self.trigger * now.latency_us:
            below = [k for k, p in enumerate(points) if p.latency_us < execution_us]
            k = max(below, key=lambda k: points[k].latency_us)
            if k != state.point:
                chosen = k
                state.reference_bytes, state.locked = available, "time"
        if state.locked != "none":
            state.waited_us += execution_us
            if state.waited_us > self.lock_us:
                state.locked, state.waited_us, state.reference_bytes = "none", 0.0, available
        present = points[state.point if chosen is None else chosen]
        largest = max(self._bytes(p) for p in points)
        risen = available - state.reference_bytes
        if state.locked == "none" and risen > self._bytes(present) and self._bytes(present) != largest:
            chosen = fastest(points)
            state.reference_bytes, state.locked = available, "memory"
        if chosen is None or chosen == state.point:
            return {}
        state.point = chosen
        return {model: (chosen,)}

    def look(self, sight: Sight) -> Loaded:
        """No change: it acts on inferences only."""
        return {}

    def _available(self, sight: Sight) -> float:
        memories = sight.memory_bytes if self._memory is None else {self._memory: 0.0}
        return sum(sight.memory_bytes.get(memory, float("inf")) for memory in memories) if memories else float("inf")

    def _bytes(self, point: OperatingPoint) -> float:
        return point.total_bytes if self._memory is None else point.memory_bytes.get(self._memory, 0.0)


class _RuleState:
    """What the rule remembers of one model."""

    def __init__(self, point: int, reference_bytes: float) -> None:
        self.point = point
        self.reference_bytes = reference_bytes
        self.locked: Literal["none", "time", "memory"] = "none"
        self.waited_us = 0.0
