"""What one instance of a model takes: time for any number of requests, and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..costs import Configuration
from ..errors import PlanError, capped
from ..plan import PlannedSegment
from .problem import ThroughputProblem


@dataclass(frozen=True)
class Stage:
    """Layers of a model under one configuration, as an instance runs them.

    Attributes
    ----------
    model : int
        Position in the problem.
    start, stop : int
        Layers ``[start, stop)``.
    configuration : int
        Column of the model's cost table. Its batch is the most that one run takes.
    """

    model: int
    start: int
    stop: int
    configuration: int


@dataclass(frozen=True)
class StageMemory:
    """Bytes of one instance's stage.

    Attributes
    ----------
    weights : float
        Of its weights, which instances on one processor may share.
    own : float
        Besides, between runs.
    running : float
        Besides, while it runs.
    """

    weights: float
    own: float
    running: float


class StageCosts:
    """Times and memory of stages of one problem, each worked out once.

    Parameters
    ----------
    problem : ThroughputProblem
    """

    def __init__(self, problem: ThroughputProblem) -> None:
        self._problem = problem
        self._times: dict[tuple[Stage, int], NDArray[np.float64]] = {}
        self._memory: dict[Stage, StageMemory] = {}

    def times_us(self, stage: Stage, most: int) -> NDArray[np.float64]:
        """Microseconds for 1 … `most` requests at once on an otherwise idle processor, shape (most,).

        Between batch sizes that the cost table holds for this processor, backend, threads and form, times are linear;
        fewer requests than the smallest size take as long as it, for they are padded; more than the configuration's
        batch run one after the other. A model whose graph has a fixed batch dimension always pads.
        """
        key = (stage, most)
        if key not in self._times:
            self._times[key] = self._worked_out(stage, most)
        return self._times[key]

    def _worked_out(self, stage: Stage, most: int) -> NDArray[np.float64]:
        problem, model = self._problem, self._problem.models[stage.model]
        own = model.costs.configurations[stage.configuration]
        fixed = model.name in problem.service.fixed_batch
        known = {
            c.batch: k
            for k, c in enumerate(model.costs.configurations)
            if _but_batch(c) == _but_batch(own) and c.batch <= own.batch and (not fixed or c.batch == own.batch)
        }
        us = model.costs.segment_us(stage.start, stage.stop)
        sizes = np.array([b for b in sorted(known) if np.isfinite(us[known[b]])])
        at = us[[known[int(b)] for b in sizes]]
        one_run = np.interp(np.arange(1, own.batch + 1), sizes, at)
        requests = np.arange(1, most + 1)
        whole, rest = np.divmod(requests, own.batch)
        return whole * one_run[-1] + np.where(rest > 0, one_run[rest - 1], 0.0)

    def memory(self, stage: Stage) -> StageMemory:
        """Bytes of an instance, as the cost table has them for its configuration."""
        if stage not in self._memory:
            model, c = self._problem.models[stage.model], stage.configuration
            cut = (stage.start, stage.stop)
            weights = float(model.graph.weight_bytes[stage.start : stage.stop].sum() * model.costs.weight_scale[c])
            resident = float(model.costs.resident_bytes(model.graph, cut)[0, 1, c])
            running = float(model.costs.transient_bytes(model.graph, cut)[0, 1, c])
            self._memory[stage] = StageMemory(weights, resident - weights, running)
        return self._memory[stage]

    def handover_us(self, stages: Sequence[Stage], requests: NDArray[np.float64]) -> NDArray[np.float64]:
        """Microseconds that batches of these sizes spend between the stages of a pipeline, same shape."""
        total = np.zeros(len(requests))
        model = self._problem.models[stages[0].model]
        for before, after in pairwise(stages):
            source, target = (model.costs.configurations[s.configuration].processor for s in (before, after))
            n_bytes = float(model.graph.frontier_bytes[before.stop])
            total += [self._problem.platform.transfer_us(source, target, n_bytes * k) for k in requests]
        return total


def _but_batch(c: Configuration) -> tuple[str, str, int, str]:
    return c.processor, c.backend, c.threads, c.form


def stage_of(problem: ThroughputProblem, model: int, segment: PlannedSegment) -> Stage:
    """The stage that a planned segment is.

    Raises
    ------
    PlanError
        The problem does not have such a configuration or layers, or the configuration cannot run them.
    """
    costs, name = problem.models[model].costs, problem.models[model].name
    subject = f"segment [{segment.start}, {segment.stop}) of model {name!r}"
    usable = [costs.configurations[k] for k in problem.usable[model]]
    if segment.configuration not in usable:
        raise PlanError(
            subject,
            expected=f"a configuration that its costs, limits and batch sizes allow: {capped(c.name for c in usable)}",
            got=f"{segment.configuration.name} on {segment.configuration.processor}",
            remedy="Plan again; a graph with a fixed batch dimension runs at no other batch.",
        )
    if not 0 <= segment.start < segment.stop <= costs.n_layers:
        raise PlanError(subject, expected=f"layers of {costs.n_layers}", got="others", remedy="Plan again.")
    k = costs.configurations.index(segment.configuration)
    if not np.isfinite(costs.segment_us(segment.start, segment.stop)[k]):
        raise PlanError(
            subject,
            expected="a configuration that runs these layers",
            got=f"{segment.configuration.name}, which does not run all of them",
            remedy="Plan again.",
        )
    return Stage(model, segment.start, segment.stop, k)
