"""What the joint policy believes of the device, from what it sees."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...formulation.operating_points import (
    OperatingPointProblem,
    PointsEvaluation,
    SharedProcessor,
    Sight,
)
from ...solvers.operating_points.policies import main_processor
from .feedback import LatencyTest, RateTest
from .settings import JointSettings

_FOREIGN_CHANGE = 0.3
"""Threads of others, more or less, that matter."""


class Beliefs:
    """Rates, slowdowns, foreign threads and memory as they are taken to be.

    Parameters
    ----------
    processors : sequence of SharedProcessor
    settings : JointSettings
    """

    def __init__(self, processors: Sequence[SharedProcessor], settings: JointSettings) -> None:
        self._processors = tuple(processors)
        self._settings = settings
        self.slowdown = {p.name: p.slowdown for p in processors}
        self.foreign = {p.name: p.background_cores for p in processors}
        self.rate_hz: dict[str, float] = {}
        self._foreign_seen: dict[str, deque[float]] = {}
        self._limits: deque[dict[str, float]] = deque(maxlen=settings.persistence + 1)
        self._latency: dict[str, LatencyTest] = {}
        self._rate: dict[str, RateTest] = {}
        self._predicted: dict[str, float] = {}
        self._used_us: dict[str, float] = {}
        self._forget_us = {p.name: settings.forget_us for p in processors}

    def begin(self, sight: Sight) -> None:
        """Take the stated rates."""
        s = self._settings
        for name, model in sight.models.items():
            self.rate_hz[name] = model.rate_hz
            self._latency[name] = LatencyTest(s.confidence, s.latency_factor)
            self._rate[name] = RateTest(s.rate_window_us, s.confidence)

    def predict(self, evaluation: PointsEvaluation) -> None:
        """What later inferences are held against; where a model's prediction changes, it is tested anew."""
        for model in evaluation.models:
            if self._predicted.get(model.model) != model.execution_us:
                self._predicted[model.model] = model.execution_us
                self._latency[model.model].forget()

    def served(self, model: str, execution_us: float) -> None:
        """Note an inference."""
        self._latency[model].add(execution_us, self._predicted.get(model, math.inf))

    def forget(self, model: str) -> None:
        """Its point changes: what was seen says nothing any more."""
        self._predicted.pop(model, None)
        self._latency[model].forget()

    def look(self, sight: Sight, choice: Mapping[str, int]) -> str:
        """Take in what is seen; what changed: ``latency``, ``background``, ``rate`` or nothing."""
        changed = ""
        for name, arrivals in sight.arrivals.items():
            self._rate[name].add(sight.at_us, arrivals)
            rate = self._rate[name].drift(self.rate_hz[name])
            if rate is not None:
                self.rate_hz[name], changed = max(rate, 1e-3), "rate"
        for name, threads in sight.foreign_cores.items():
            seen = self._foreign_seen.setdefault(name, deque(maxlen=self._settings.persistence))
            seen.append(threads)
            level = sorted(seen)[len(seen) // 2]
            if abs(level - self.foreign.get(name, 0.0)) > _FOREIGN_CHANGE:
                self.foreign[name], changed = level, "background"
        if self._slowdowns(sight, choice):
            changed = "latency"
        if changed:
            for test in self._latency.values():
                test.forget()
        return changed

    def _slowdowns(self, sight: Sight, choice: Mapping[str, int]) -> bool:
        """Drifting latencies change the belief about the processor on which the model spends most time."""
        ratios: dict[str, list[float]] = {}
        for name, j in choice.items():
            main = main_processor(sight.models[name].points[j])
            self._used_us[main] = sight.at_us
            drift = self._latency[name].drift
            if drift is not None:
                ratios.setdefault(main, []).append(math.log(drift))
        changed = False
        for processor, logs in ratios.items():
            new = max(1.0, self.slowdown[processor] * math.exp(sum(logs) / len(logs)))
            if new != self.slowdown[processor]:
                if self.slowdown[processor] == 1.0:
                    # Each time that it was tried again in vain, the next trial waits longer.
                    self._forget_us[processor] *= 2
                self.slowdown[processor], changed = new, True
        for processor, factor in self.slowdown.items():
            unused_us = sight.at_us - self._used_us.setdefault(processor, sight.at_us)
            if factor > 1.0 and unused_us > self._forget_us[processor] / 2:
                self.slowdown[processor], changed = 1.0, True
        return changed

    def stretch(self, processor: str, cores: int) -> float:
        """How much longer than alone requests of a width take on a processor as it is believed to be."""
        known = next(p for p in self._processors if p.name == processor)
        seen = replace(known, background_cores=self.foreign[processor], slowdown=self.slowdown[processor])
        return seen.stretch(cores)

    def n_cores(self, processor: str) -> int:
        """Cores of a processor."""
        return next(p.cores for p in self._processors if p.name == processor)

    def memory_limits(self, sight: Sight, choice: Mapping[str, int]) -> dict[str, float]:
        """Bytes for all models: what is available and what they hold. Less is believed at once, more once it lasted."""
        held: dict[str, float] = {}
        for name, j in choice.items():
            for memory, size in sight.models[name].points[j].memory_bytes.items():
                held[memory] = held.get(memory, 0.0) + size
        keep = 1 - self._settings.memory_reserve
        seen = {m: max((left + held.get(m, 0.0)) * keep, 1.0) for m, left in sight.memory_bytes.items()}
        self._limits.append(seen)
        return {m: min(limits.get(m, seen[m]) for limits in self._limits) for m in seen if math.isfinite(seen[m])}

    def problem(
        self, sight: Sight, choice: Mapping[str, int] | None, limits: Mapping[str, float], rate_factor: float = 1.0
    ) -> OperatingPointProblem:
        """The choice as it now looks."""
        s = self._settings
        models = tuple(
            replace(model, rate_hz=self.rate_hz[name] * rate_factor, current=None if choice is None else choice[name])
            for name, model in sight.models.items()
        )
        processors = tuple(
            replace(p, background_cores=self.foreign[p.name], slowdown=self.slowdown[p.name]) for p in self._processors
        )
        return OperatingPointProblem(
            models, processors, limits, s.objective, s.max_utilisation, s.reload_bytes_per_us, s.horizon_us
        )
