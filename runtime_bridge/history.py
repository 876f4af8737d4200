"""Plans that have served, with what they predicted: what records of requests are read by."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from ..formulation import Evaluation, Plan

KEPT_PLANS = 256
"""Plans beyond are forgotten, the oldest first, but not the one that serves: a service that runs for months exchanges
many, and many more may fail to open."""


@dataclass(frozen=True)
class PastPlan:
    """A plan that serves or has served.

    Attributes
    ----------
    plan : Plan
    evaluation : Evaluation
        What it predicts, under the problem that it was made for.
    """

    plan: Plan
    evaluation: Evaluation

    @cached_property
    def predicted(self) -> dict[str, dict[tuple[int, int | None], tuple[str, float]]]:
        """By model: configuration name and predicted microseconds of each segment, as planned and as each gang."""
        found = {}
        for model, scored in self.evaluation.models.items():
            ways = found[model] = {}
            for k, segment in enumerate(scored.segments):
                ways[k, None] = segment.planned.configuration.name, segment.latency_us
                for number, (gang, gang_us) in enumerate(zip(segment.planned.gangs, segment.gang_us, strict=True)):
                    ways[k, number] = gang.configuration.name, gang_us
        return found

    @cached_property
    def backends(self) -> dict[str, tuple[str, ...]]:
        """By model: what its segments run on."""
        return {
            model: tuple(
                dict.fromkeys(
                    way.configuration.backend for s in scored.segments for way in (s.planned, *s.planned.gangs)
                )
            )
            for model, scored in self.evaluation.models.items()
        }

    def backend(self, model: str, segment: int, gang: int | None) -> str:
        """What a segment ran on."""
        planned = self.evaluation.models[model].segments[segment].planned
        return (planned if gang is None else planned.gangs[gang]).configuration.backend


class PlanHistory:
    """Plans by version, the last `KEPT_PLANS`. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plans: dict[int, PastPlan] = {}
        self._served: list[int] = []
        self._last = -1

    def add(self, plan: Plan, evaluation: Evaluation) -> int:
        """Keep a plan and number it: versions grow by one from 0."""
        with self._lock:
            self._last += 1
            self._plans[self._last] = PastPlan(plan, evaluation)
            serves = self._served[-1] if self._served else self._last
            for version in [v for v in self._plans if v <= self._last - KEPT_PLANS and v != serves]:
                del self._plans[version]
            self._served = [version for version in self._served if version in self._plans]
            return self._last

    def confirm(self, version: int) -> None:
        """A plan serves all models now."""
        with self._lock:
            self._served.append(version)

    def get(self, version: int) -> PastPlan | None:
        """The plan of that version, one too that could not be opened; None where it was never, or is forgotten."""
        return self._plans.get(version)

    @property
    def plans(self) -> Mapping[int, Plan]:
        """Those that serve or have served, by version, the oldest first."""
        with self._lock:
            return MappingProxyType({version: self._plans[version].plan for version in self._served})
