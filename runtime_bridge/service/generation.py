"""What serves by one plan: its instances' pipelines, open for every batch size that has costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...formulation import Problem
from ...formulation.throughput import ServicePlan
from ..pipeline import Pipeline
from ..sessions import SessionPool
from .desk import Line
from .instances import PlannedInstance, planned_instances


@dataclass(eq=False)
class Generation:
    """One plan, open.

    Attributes
    ----------
    version : int
        Counts the plans that the service has run, from 0.
    plan : ServicePlan
    instances : mapping of str to tuple of PlannedInstance
        By model.
    pipelines : mapping of (model, instance, batch size) to Pipeline
    in_flight : int
        Batches under way.
    retired : bool
        Another plan serves.
    released : bool
        Its sessions were let go.
    """

    version: int
    plan: ServicePlan
    instances: Mapping[str, tuple[PlannedInstance, ...]]
    pipelines: Mapping[tuple[str, int, int], Pipeline]
    in_flight: int = 0
    retired: bool = False
    released: bool = False

    @property
    def lines(self) -> dict[str, Line]:
        """What the desk serves by."""
        return {
            model: Line(
                tuple(planned.served for planned in instances),
                self.plan.service(model).max_batch,
                self.plan.service(model).window_us,
            )
            for model, instances in self.instances.items()
        }

    def keep_pace_of(self, other: Generation) -> None:
        """Begin at the pace that another plan's instances of each model have come to, the slowest of them."""
        for model, instances in self.instances.items():
            pace = max(planned.served.pace for planned in other.instances[model])
            for planned in instances:
                planned.served.keep_pace(pace)

    def pipeline(self, model: str, number: int, size: int) -> tuple[int, Pipeline]:
        """The smallest that holds a batch, with the samples it takes."""
        opened = self.instances[model][number].open_size(size)
        return opened, self.pipelines[model, number, opened]


class Sessions:
    """Opens and closes generations; those that use the same segment in the same way share its session.

    Parameters
    ----------
    files : mapping of str to Path
        ONNX file of each model.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._pool = SessionPool(files)

    def open(self, problem: Problem, plan: ServicePlan, version: int, time_factor: float) -> Generation:
        """Open what a plan needs.

        Raises
        ------
        EdgePlanError
            The plan does not fit or a session cannot be opened; what was opened for it is closed again.
        """
        instances = planned_instances(problem, plan, time_factor)
        pipelines: dict[tuple[str, int, int], Pipeline] = {}
        try:
            for model in problem.models:
                for planned in instances[model.name]:
                    for size, segments in planned.segments.items():
                        key = (model.name, planned.served.number, size)
                        pipelines[key] = self._pool.pipeline(model, segments)
        except BaseException:
            self._close(pipelines)
            raise
        return Generation(version, plan, instances, pipelines)

    def close(self, generation: Generation) -> None:
        """Let a generation's sessions go."""
        self._close(generation.pipelines)

    def _close(self, pipelines: Mapping[tuple[str, int, int], Pipeline]) -> None:
        for pipeline in pipelines.values():
            self._pool.release(pipeline)
