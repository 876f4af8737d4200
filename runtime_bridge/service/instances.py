"""What a service plan's instances are to the service: stages with cores and predicted times by batch size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ...formulation import (
    Model,
    ModelPlan,
    Plan,
    PlanError,
    Problem,
    ScoredSegment,
    Violation,
    capped,
    refuse_stale,
)
from ...formulation.structure import score_segments
from ...formulation.throughput import Instance, ModelService, ServicePlan

_PACE_STEP = 0.1
_PACE_SHARE = 0.9
_SLOWEST_PACE = 20.0


@dataclass(frozen=True)
class Stage:
    """One segment of an instance.

    Attributes
    ----------
    threads : int
        Cores it takes.
    cores : tuple of int
        Cores it may take.
    service_us : tuple of float
        Predicted time of batches of 1, 2, …, ascending.
    """

    threads: int
    cores: tuple[int, ...]
    service_us: tuple[float, ...]


@dataclass(eq=False)
class ServedInstance:
    """One copy of a model that takes a batch at a time into its first stage.

    Attributes
    ----------
    model : str
    number : int
        Position in the plan.
    stages : tuple of Stage
        One after another, over the same batch sizes.
    path : int
        The first instance of the model that runs like this one, on other cores of the same processors.
    rate_hz : float
        Requests a second that the plan counts on here; 0 where it leaves that open.
    pace : float
        By what the predicted times are multiplied at present; see `observe`.
    service_us : tuple of float
        Predicted time of batches of 1, 2, … on its own, at the present pace; as many as it takes.
    """

    model: str
    number: int
    stages: tuple[Stage, ...]
    path: int = 0
    rate_hz: float = 0.0
    pace: float = 1.0

    service_us: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._alone_us = tuple(map(sum, zip(*(stage.service_us for stage in self.stages), strict=True)))
        self.keep_pace(self.pace)

    @property
    def cores(self) -> set[int]:
        """Every core that some stage may take."""
        return {core for stage in self.stages for core in stage.cores}

    def keep_pace(self, pace: float) -> None:
        """Predict at that pace from now on."""
        self.pace = pace
        self.service_us = tuple([us * pace for us in self._alone_us])

    def observe(self, size: int, took_us: float) -> None:
        """Follow what batches really take: `pace` seeks the ratio to the prediction that one in ten exceeds.

        It rises by 9 % when a batch took longer and falls by 1 % when it did not: a quantile by stochastic
        approximation (Robbins, Monro 1951, doi 10.1214/aoms/1177729586) on the logarithm. Promises are made by it, so
        it is a high quantile and not the mean.
        """
        slower = took_us > self._alone_us[size - 1] * self.pace
        step = _PACE_STEP * (_PACE_SHARE if slower else _PACE_SHARE - 1.0)
        self.keep_pace(min(max(self.pace * math.exp(step), 1.0 / _SLOWEST_PACE), _SLOWEST_PACE))


@dataclass(frozen=True)
class PlannedInstance:
    """An instance of a plan with what must be opened for it.

    Attributes
    ----------
    served : ServedInstance
    segments : mapping of int to tuple of ScoredSegment
        The segments to open for each batch size that has costs. A batch runs in the smallest size that holds it.
    """

    served: ServedInstance
    segments: Mapping[int, tuple[ScoredSegment, ...]]

    def open_size(self, size: int) -> int:
        """The smallest open size that holds a batch."""
        return min(opened for opened in self.segments if opened >= size)


def planned_instances(
    problem: Problem, plan: ServicePlan, time_factor: float = 1.0
) -> dict[str, tuple[PlannedInstance, ...]]:
    """Hold a service plan against the models, the costs and the platform.

    Parameters
    ----------
    problem : Problem
    plan : ServicePlan
    time_factor : float
        Predicted times are multiplied by it.

    Raises
    ------
    PlanError, StalePlanError
        The plan lacks a model, was made for another one or another machine, or has an instance that cannot run.
    """
    services = {model.name: plan.service(model.name) for model in problem.models}
    parts = tuple(
        ModelPlan(model=name, sha256=service.sha256, segments=service.instances[0].segments)
        for name, service in services.items()
    )
    refuse_stale(problem, Plan(models=parts, platform_fingerprint=plan.platform_fingerprint, solver=plan.solver))
    return {
        model.name: tuple(
            _planned(problem, model, services[model.name], number, instance, time_factor)
            for number, instance in enumerate(services[model.name].instances)
        )
        for model in problem.models
    }


def _planned(
    problem: Problem, model: Model, service: ModelService, number: int, instance: Instance, time_factor: float
) -> PlannedInstance:
    largest = min(segment.configuration.batch for segment in instance.segments)
    known = set(model.costs.configurations)
    sizes = [
        size
        for size in range(1, largest + 1)
        if size == largest
        or all(s.configuration.model_copy(update={"batch": size}) in known for s in instance.segments)
    ]
    needed = [size for size in sizes if not any(smaller >= service.max_batch for smaller in sizes if smaller < size)]
    scored = {size: _scored(problem, model, number, instance, size) for size in needed}
    most = min(service.max_batch, largest)
    stages = []
    for k, segment in enumerate(instance.segments):
        times = [min((size, scored[size][k].latency_us) for size in needed if size >= b)[1] for b in range(1, most + 1)]
        # A larger batch that was measured as faster is noise.
        ascending = np.maximum.accumulate(times) * time_factor
        stages.append(Stage(segment.configuration.threads, segment.cores, tuple(float(us) for us in ascending)))
    ways = [[(s.start, s.stop, s.configuration) for s in each.segments] for each in service.instances]
    path = ways.index(ways[number])
    return PlannedInstance(ServedInstance(model.name, number, tuple(stages), path, instance.rate_hz), scored)


def _scored(problem: Problem, model: Model, number: int, instance: Instance, size: int) -> tuple[ScoredSegment, ...]:
    segments = tuple(
        s.model_copy(update={"configuration": s.configuration.model_copy(update={"batch": size})})
        for s in instance.segments
    )
    scored, violations = score_segments(
        problem, model, ModelPlan(model=model.name, sha256=model.sha256, segments=segments)
    )
    if violations:
        raise _cannot_run(model.name, number, size, violations)
    return scored


def _cannot_run(model: str, number: int, size: int, violations: tuple[Violation, ...]) -> PlanError:
    return PlanError(
        f"instance {number} of model {model!r} at batch {size}",
        expected="segments that can run",
        got=capped(violations),
        remedy="Plan again with the present costs and platform.",
    )
