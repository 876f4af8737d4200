"""The joint policy with copies: what memory is left over holds further points, and requests go where they end first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...formulation.operating_points import Loaded, OperatingPoint, ProcessorUse, Sight
from ...solvers.operating_points.policies import best_by_processor, main_processor
from .joint import JointPolicy


class JointCopies(JointPolicy):
    """As `JointPolicy`; further points of the models are loaded into memory that would lie idle.

    Copies cost nothing but that memory and the time to load them: they are given up at once where memory becomes short,
    before any model is switched, and loaded again once there has been room for them for some looks. A model with copies
    is not switched for gain: its requests go to whichever of its points is predicted to end them first, by the work
    that waits at each processor and the slowdown that is believed of it.
    """

    name = "joint, copies"

    def start(self, sight: Sight) -> Loaded:
        """The joint choice, and copies of what fits beside it."""
        self._extra: dict[str, tuple[int, ...]] = {}
        self._room_looks = 0
        chosen = super().start(sight)
        if not chosen:  # a runtime serves already; copies come with the first looks
            return chosen
        left = dict(sight.memory_bytes)
        for name, points in chosen.items():
            _take(left, sight.models[name].points[points[0]])
        self._extra = self._fitting(sight, left)
        return self._all()

    def route(self, model: str, sight: Sight) -> int:
        """The point that is predicted to end a request first."""
        points = sight.loaded[model]
        if len(points) == 1:
            return points[0]
        waiting: dict[str, float] = {}
        for (name, j), count in sight.in_flight.items():
            use = main_use(sight.models[name].points[j])
            share = use.cores / self.beliefs.n_cores(use.processor)
            busy_us = use.busy_us * share * self.beliefs.stretch(use.processor, use.cores)
            waiting[use.processor] = waiting.get(use.processor, 0.0) + count * busy_us

        def end_us(j: int) -> float:
            point = sight.models[model].points[j]
            use = main_use(point)
            alone_us = point.latency_us * self.beliefs.stretch(use.processor, use.cores)
            return waiting.get(use.processor, 0.0) + alone_us

        return min(points, key=end_us)

    def look(self, sight: Sight) -> Loaded:
        """Give copies up where memory is short, load them where there is room, and otherwise decide as ever."""
        if any(left < 0 for left in sight.memory_bytes.values()) and self._extra:
            dropped, self._extra, self._room_looks = self._extra, {}, 0
            return {name: (self._choice[name],) for name in dropped}
        left = dict(sight.memory_bytes)
        for name, points in self._extra.items():
            for j in points:
                _take(left, sight.models[name].points[j], -1.0)
        more = self._fitting(sight, left)
        if more == self._extra:
            self._room_looks = 0
        else:
            self._room_looks += 1
            if self._room_looks > self.settings.persistence:
                changed = {name for name in more.keys() | self._extra.keys() if more.get(name) != self._extra.get(name)}
                self._extra, self._room_looks = more, 0
                return {name: (self._choice[name], *more.get(name, ())) for name in changed}
        if len(self._extra) == len(sight.models):
            self.beliefs.look(sight, self._choice)
            return {}
        # Copies can always be given up: they stand in nobody's way.
        changes = super().look(replace(sight, memory_bytes=left))
        for name in changes:
            self._extra.pop(name, None)
        return changes

    def _all(self) -> Loaded:
        return {name: (j, *self._extra.get(name, ())) for name, j in self._choice.items()}

    def _fitting(self, sight: Sight, left: Mapping[str, float]) -> dict[str, tuple[int, ...]]:
        """Each model's best points on other processors that fit into what is left, the smallest first."""
        keep = 1 - self.settings.memory_reserve
        room = {memory: size * keep for memory, size in left.items()}
        others = sorted(
            (model.points[j].total_bytes, name, j)
            for name, model in sight.models.items()
            for processor, j in best_by_processor(model).items()
            if processor != main_processor(model.points[self._choice[name]])
        )
        found: dict[str, tuple[int, ...]] = {}
        for _, name, j in others:
            point = sight.models[name].points[j]
            if all(room.get(memory, size) >= size for memory, size in point.memory_bytes.items()):
                _take(room, point)
                found[name] = (*found.get(name, ()), j)
        return found


def main_use(point: OperatingPoint) -> ProcessorUse:
    """What a point asks of the processor where it spends most of its time."""
    return max(point.uses, key=lambda use: use.busy_us)


def _take(left: dict[str, float], point: OperatingPoint, share: float = 1.0) -> None:
    for memory, size in point.memory_bytes.items():
        if memory in left:
            left[memory] -= share * size
