"""The live runtime: serves requests by a plan, and exchanges plans while it serves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..formulation import Evaluation, InferenceError, Plan, PlanError, Problem, ScoredSegment, capped, evaluate
from .clock import now_us
from .executor import Executor
from .observer import Observer
from .pipeline import Pipeline
from .records import RequestRecord
from .sessions import SessionPool


@dataclass(frozen=True)
class _Generation:
    """What serves new requests: one plan's pipelines, with the deadlines they are dispatched by."""

    version: int
    plan: Plan
    evaluation: Evaluation
    pipelines: Mapping[str, Pipeline]
    deadline_us: Mapping[str, float]

    def predicted(self, model: str) -> dict[tuple[int, int | None], tuple[str, float]]:
        """Configuration name and predicted microseconds of each segment, as planned and as each of its gangs."""
        found: dict[tuple[int, int | None], tuple[str, float]] = {}
        for k, segment in enumerate(self.pipelines[model].segments):
            found[k, None] = segment.planned.configuration.name, segment.latency_us
            for number, (gang, gang_us) in enumerate(zip(segment.planned.gangs, segment.gang_us, strict=True)):
                found[k, number] = gang.configuration.name, gang_us
        return found


class LiveRuntime:
    """Serves models by a plan. Use it as a context manager.

    Requests in flight when a plan is exchanged end under the plan they began with; none is lost.

    Parameters
    ----------
    problem : Problem
        Streams give the deadlines that requests are dispatched by.
    plan : Plan
    files : mapping of str to Path
        ONNX file of each model.
    max_in_flight : int
        Requests accepted and not finished; more are refused at once.
    admission : bool
        Whether a request is refused that cannot be in time, or would make one late that was taken before.
    on_record : callable, optional
        Takes the record of every request as it ends, on the thread that ends it; must be quick. Without it, they are
        kept in `records`.

    Raises
    ------
    PlanError, StalePlanError
        The plan does not fit the problem.
    EdgePlanError
        A backend does not load.
    """

    def __init__(
        self,
        problem: Problem,
        plan: Plan,
        files: Mapping[str, Path],
        max_in_flight: int = 256,
        *,
        admission: bool = False,
        on_record: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        self.problem = problem
        self._admission = admission
        self._on_record = on_record
        self.files = files
        self.observer = Observer()
        self.records: list[RequestRecord] = []
        self._pool = SessionPool(files)
        self._swap_lock = threading.Lock()
        self._closed = False
        self._in_flight: dict[int, int] = {}
        self._retired: dict[int, _Generation] = {}
        self._count_lock = threading.Lock()
        self._cores = [core for processor in problem.platform.processors for core in processor.cores]
        self._generation = self._prepare(problem, plan, 0)
        self._history = {0: self._generation}
        self._executor = Executor(self._cores, max_in_flight, self._finished)

    def __enter__(self) -> LiveRuntime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def plan(self) -> Plan:
        """The plan that serves new requests."""
        return self._generation.plan

    @property
    def evaluation(self) -> Evaluation:
        """What the running plan predicts."""
        return self._generation.evaluation

    @property
    def version(self) -> int:
        """How many times the plan was exchanged."""
        return self._generation.version

    @property
    def in_flight(self) -> int:
        """Requests accepted and not finished."""
        return self._executor.in_flight

    def loads(self) -> dict[str, tuple[int, int]]:
        """By model, requests accepted and not finished, and how many of them wait: have no segment that runs."""
        return self._executor.loads()

    def submit(
        self,
        model: str,
        feeds: Mapping[str, np.ndarray],
        arrival_us: float | None = None,
        deadline_us: float | None = None,
        label: str = "",
    ) -> Future[dict[str, np.ndarray]]:
        """Ask a model.

        Parameters
        ----------
        model : str
        feeds : mapping of str to ndarray
            Every input of the model by name.
        arrival_us : float, optional
            When the request was due, on the monotonic clock in microseconds; now where left out.
        deadline_us : float, optional
            Relative to the arrival; that of the model's stream where left out.
        label : str
            The caller's own name for the request, for its record.

        Returns
        -------
        Future
            Of the outputs by name; fails with `InferenceError`, and with `AdmissionError` where it is refused.

        Raises
        ------
        InferenceError
            The model is not served here.
        """
        arrived = now_us() if arrival_us is None else arrival_us
        with self._count_lock:
            generation = self._generation
            pipeline = generation.pipelines.get(model)
            if pipeline is not None:
                self._in_flight[generation.version] = self._in_flight.get(generation.version, 0) + 1
        if pipeline is None:
            raise InferenceError(
                f"request for model {model!r}",
                expected=f"one of {capped(generation.pipelines)}",
                got=repr(model),
                remedy="Add the model to the scenario and plan again.",
            )
        self.observer.arrived(model, arrived)
        return self._executor.submit(
            model,
            pipeline,
            feeds,
            arrival_us=arrived,
            deadline_us=generation.deadline_us[model] if deadline_us is None else deadline_us,
            plan_version=generation.version,
            work=pipeline.work,
            admit=self._admission,
            label=label,
        )

    def swap(self, problem: Problem, plan: Plan) -> float:
        """Exchange the plan: open its sessions, serve new requests by it, close what nobody needs any more.

        `problem` may differ from the runtime's in costs, rates, limits and cores, of which the plan must use none that
        the runtime was not made with; deadlines stay those of then.

        Returns
        -------
        float
            Seconds it took to open the new sessions.

        Raises
        ------
        EdgePlanError
            The plan does not fit or a session cannot be opened. The old plan goes on serving.
        InferenceError
            The runtime is closed.
        """
        with self._swap_lock:
            if self._closed:
                raise InferenceError(
                    "plan", expected="a runtime that serves", got="a closed one", remedy="Open another."
                )
            began = now_us()
            prepared = self._prepare(problem, plan, self._generation.version + 1)
            took_s = (now_us() - began) / 1e6
            with self._count_lock:
                old, self._generation = self._generation, prepared
                self._history[prepared.version] = prepared
                self._retired[old.version] = old
            self._release_retired()
            return took_s

    def drain(self, timeout_s: float | None = None) -> bool:
        """Wait until every accepted request has ended; False where `timeout_s` passed first."""
        return self._executor.drain(timeout_s)

    def close(self, timeout_s: float | None = None) -> bool:
        """Refuse further requests, end those in flight, close the sessions. Returns what `drain` does.

        Where that is False, call it again to wait for the rest.
        """
        if not self._executor.close(timeout_s):
            return False
        with self._swap_lock:
            already, self._closed = self._closed, True
        if not already:
            with self._count_lock:
                self._retired[self._generation.version] = self._generation
            self._release_retired()
        return True

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Every plan that has served, by version."""
        return tuple(self._history[version].plan for version in sorted(self._history))

    def scored_segments(self, version: int, model: str) -> tuple[ScoredSegment, ...]:
        """Segments of a model under the plan of that version, with their predicted times."""
        return self._history[version].pipelines[model].segments

    def _prepare(self, problem: Problem, plan: Plan, version: int) -> _Generation:
        evaluation = evaluate(problem, plan)
        if not evaluation.models:
            raise PlanError(
                "plan", expected="segments that can run", got=capped(evaluation.violations), remedy="Plan again."
            )
        used = {core for scored in evaluation.models.values() for s in scored.segments for core in s.cores}
        if foreign := sorted(used.difference(self._cores)):
            raise PlanError(
                "plan",
                expected=f"segments on the cores that the runtime has: {capped(self._cores)}",
                got=capped(foreign),
                remedy="Plan for these cores, or open the runtime with all that a later plan may use.",
            )
        pipelines: dict[str, Pipeline] = {}
        try:
            for model in problem.models:
                pipelines[model.name] = self._pool.pipeline(model, evaluation.models[model.name].segments, plan.order)
        except BaseException:
            for pipeline in pipelines.values():
                self._pool.release(pipeline)
            raise
        deadlines = {}
        for model in problem.models:
            stream = self.problem.stream_of.get(model.name)
            deadlines[model.name] = stream.deadline_us if stream and stream.deadline_us else float("inf")
        return _Generation(version, plan, evaluation, pipelines, deadlines)

    def _finished(self, record: RequestRecord) -> None:
        (self._on_record or self.records.append)(record)
        generation = self._history[record.plan_version]
        if not record.error:
            self.observer.finished(record, generation.predicted(record.model))
        with self._count_lock:
            self._in_flight[record.plan_version] -= 1
            last = self._in_flight[record.plan_version] == 0 and record.plan_version in self._retired
        if last:
            self._release_retired()

    def _release_retired(self) -> None:
        with self._count_lock:
            ended = [v for v in self._retired if not self._in_flight.get(v)]
            generations = [self._retired.pop(v) for v in ended]
        for generation in generations:
            for pipeline in generation.pipelines.values():
                self._pool.release(pipeline)
