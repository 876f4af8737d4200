"""The exchange of one plan for another, stage by stage; and back again where it fails half-way."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..formulation import Evaluation, ModelError, Plan, PlanError, Problem, capped, evaluate
from .exchange import Stage, stages
from .lineup import Lineup, Served
from .sessions import SessionPool
from .under_way import Outputs

_log = logging.getLogger(__name__)


class Target(NamedTuple):
    """Where a swap goes: a plan with its version and score, the problem it was made for, and the scenario."""

    version: int
    plan: Plan
    evaluation: Evaluation
    problem: Problem
    scenario: Problem


class Swapper:
    """Takes a lineup from one plan to another.

    Parameters
    ----------
    pool : SessionPool
    lineup : Lineup
    submit : callable
        As `LiveRuntime.submit`, for requests that waited.
    """

    def __init__(self, pool: SessionPool, lineup: Lineup, submit: Callable[..., Future[Outputs]]) -> None:
        self._pool = pool
        self._lineup = lineup
        self._submit = submit

    def open(self, target: Target, names: Iterable[str]) -> dict[str, Served]:
        """Open the sessions of some models; all of them or none."""
        models = {model.name: model for model in target.problem.models}
        opened: dict[str, Served] = {}
        try:
            for name in names:
                segments = target.evaluation.models[name].segments
                pipeline = self._pool.pipeline(models[name], segments, target.plan.order)
                stream = target.scenario.stream_of.get(name)
                deadline_us = stream.deadline_us if stream and stream.deadline_us else float("inf")
                opened[name] = Served(target.version, pipeline, deadline_us)
        except BaseException:
            for served in opened.values():
                self._pool.release(served.pipeline)
            raise
        return opened

    def swap(self, target: Target, planned_for: Problem, files: Mapping[str, Path], fresh: Iterable[str]) -> None:
        """Serve by the target from now on.

        Parameters
        ----------
        target : Target
        planned_for : Problem
            Of the plan that serves until now.
        files : mapping of str to Path
            Of the target's models.
        fresh : iterable of str
            Models that get new sessions whatever is open.

        Raises
        ------
        EdgePlanError
            A session cannot be opened; what served before serves again, as far as that can be opened.
        """
        before, files_before = self._lineup.served, self._pool.files
        old = {name: served.pipeline.segments for name, served in before.items()}
        new = {name: scored.segments for name, scored in target.evaluation.models.items()}
        limit_bytes = target.problem.memory_limit
        route = stages(old, new, limit_bytes, fresh)
        if not _room_beside(route, self._lineup.retired, limit_bytes):
            self._lineup.settle()
        if missing := [name for name in new if name not in {**files_before, **files}]:
            raise ModelError(
                "plan", expected="a file for each model", got=f"none for {capped(missing)}", remedy="Name them."
            )
        self._pool.files = {**files_before, **files}
        try:
            for stage in route:
                self._change(stage, target, wait=len(route) > 1)
        except BaseException:
            self._pool.files = files_before
            self._go_back(before, planned_for)
            raise
        self._pool.files = {name: self._pool.files[name] for name in new}

    def _change(self, stage: Stage, target: Target, wait: bool) -> None:
        """Take the models of a stage to a plan. Where that fails in turn, their requests still wait."""
        names = [name for name in stage.models if name in target.evaluation.models]
        if stage.beside:
            self._lineup.exchange(stage.models, self.open(target, names), wait=wait)
            return
        self._lineup.hold(names)
        self._lineup.exchange(stage.models, {}, wait=True)
        self._lineup.exchange(names, self.open(target, names))
        self._let_in(names)

    def _go_back(self, before: Mapping[str, Served], planned_for: Problem) -> None:
        present = self._lineup.served
        changed = [name for name in {**before, **present} if present.get(name) is not before.get(name)]
        self._lineup.hold(name for name in changed if name in before)
        try:
            self._lineup.exchange(changed, {}, wait=True)
            for model in planned_for.models:
                if model.name in changed and (served := before.get(model.name)):
                    try:
                        pipeline = self._pool.pipeline(model, served.pipeline.segments, served.pipeline.order)
                    except Exception:  # the others are not to suffer for it
                        _log.exception("Model %r could not be opened again.", model.name)
                        continue
                    self._lineup.exchange([model.name], {model.name: replace(served, pipeline=pipeline)})
        finally:
            self._let_in()

    def _let_in(self, models: Iterable[str] | None = None) -> None:
        for model, asked in self._lineup.let_in(models):
            try:
                future = self._submit(model, asked.feeds, asked.arrival_us, asked.deadline_us, asked.label)
            except Exception as error:  # whatever it is, those behind wait for their answer
                asked.future.set_exception(error)
            else:
                future.add_done_callback(partial(_hand_on, asked.future))


def fitting_evaluation(problem: Problem, plan: Plan, scenario: Problem, cores: Sequence[int]) -> Evaluation:
    """Score a plan that can run on these cores and is for the scenario's models.

    Raises
    ------
    PlanError, StalePlanError
        It cannot, or is not.
    """
    evaluation = evaluate(problem, plan)
    if not evaluation.models:
        raise PlanError(
            "plan", expected="segments that can run", got=capped(evaluation.violations), remedy="Plan again."
        )
    used = {core for scored in evaluation.models.values() for s in scored.segments for core in s.cores}
    if foreign := sorted(used.difference(cores)):
        raise PlanError(
            "plan",
            expected=f"segments on the cores that the runtime has: {capped(cores)}",
            got=capped(foreign),
            remedy="Plan for these cores, or open the runtime with all that a later plan may use.",
        )
    planned, asked = (sorted(model.name for model in each.models) for each in (problem, scenario))
    if planned != asked:
        raise PlanError(
            "plan", expected=f"one for the models {capped(asked)}", got=capped(planned), remedy="Plan for these."
        )
    return evaluation


def _room_beside(route: Sequence[Stage], retired: Iterable[Served], limit_bytes: Mapping[str, float]) -> bool:
    """Whether plans before, of which requests are in flight, fit beside each stage. What is shared is counted again."""
    held: Counter[str] = Counter()
    for served in retired:
        for segment in served.pipeline.segments:
            held[segment.memory] += math.ceil(segment.resident_bytes + segment.transient_bytes)
    return not held or all(
        stage.peak_bytes[memory] + held[memory] <= limit for stage in route for memory, limit in limit_bytes.items()
    )


def _hand_on(outer: Future[Outputs], inner: Future[Outputs]) -> None:
    error = inner.exception()
    if error is None:
        outer.set_result(inner.result())
    else:
        outer.set_exception(error)
