"""The live runtime: serves requests by a plan, and exchanges plans while it serves."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import numpy as np

from ..formulation import (
    AdmissionError,
    Evaluation,
    InferenceError,
    Plan,
    Problem,
    ScoredSegment,
    capped,
)
from .clock import now_us
from .executor import Executor
from .history import PastPlan, PlanHistory
from .lineup import Asked, Lineup
from .observer import Observer
from .records import RequestRecord
from .sessions import SessionPool
from .swapping import Swapper, Target, fitting_evaluation
from .under_way import Outputs

_log = logging.getLogger(__name__)


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
    hang_us : float
        Least time after which a segment may count as hanging (see `give_up`).

    Attributes
    ----------
    problem : Problem
        The scenario as it is served.
    planned_for : Problem
        What the plan that serves was made for: the scenario as it was observed.
    version : int
        Of the plan that serves new requests.
    lost : tuple of str
        Models whose sessions could not be opened again when an exchange failed: they are refused until `renew` opens
        them, or a `swap`.
    listeners : list of callables
        Each takes the record of every request; see `on_record`.
    gates : list of callables
        Each is asked about a request with its model and the backends that serve it, and may say why it is refused.
    history : PlanHistory

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
        hang_us: float = 5e6,
    ) -> None:
        self.problem = problem
        self.observer = Observer()
        self.records: list[RequestRecord] = []
        self.listeners: list[Callable[[RequestRecord], None]] = [on_record or self.records.append]
        self.gates: list[Callable[[str, tuple[str, ...]], str]] = []
        self.history = PlanHistory()
        self._admission = admission
        self._max_in_flight = max_in_flight
        self._pool = SessionPool(files)
        self._lineup = Lineup(self._pool)
        self._swapper = Swapper(self._pool, self._lineup, self.submit)
        self._swap_lock = threading.Lock()
        self._closed = False
        self._cores = [core for processor in problem.platform.processors for core in processor.cores]
        self.planned_for = problem
        evaluation = fitting_evaluation(problem, plan, problem, self._cores)
        self.version = self.history.add(plan, evaluation)
        self.lost: tuple[str, ...] = ()
        self.switches = 0  # how often the plan was exchanged: versions also count those that could not be opened
        opened = self._swapper.open(Target(self.version, plan, evaluation, problem, problem), evaluation.models)
        self._executor = Executor(self._cores, max_in_flight, self._finished, hang_us)
        self._lineup.exchange((), opened)
        self.history.confirm(self.version)

    def __enter__(self) -> LiveRuntime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def files(self) -> Mapping[str, Path]:
        """ONNX file of each model."""
        return self._pool.files

    @property
    def plan(self) -> Plan:
        """The plan that serves new requests."""
        return self._past(self.version).plan

    @property
    def evaluation(self) -> Evaluation:
        """What the running plan predicts."""
        return self._past(self.version).evaluation

    def backends(self, model: str) -> tuple[str, ...]:
        """What a model's segments run on by the plan that serves; empty where it is for others."""
        return self._past(self.version).backends.get(model, ())

    @property
    def n_cores(self) -> int:
        """Cores that it serves on."""
        return len(self._cores)

    @property
    def in_flight(self) -> int:
        """Requests accepted and not finished."""
        return self._executor.in_flight

    def loads(self) -> dict[str, tuple[int, int]]:
        """By model, requests accepted and not finished, and how many of them wait: have no segment that runs."""
        return self._executor.loads()

    def waiting(self) -> Counter[str]:
        """Requests accepted and not finished, by model."""
        return self._executor.waiting()

    def submit(
        self,
        model: str,
        feeds: Mapping[str, np.ndarray],
        arrival_us: float | None = None,
        deadline_us: float | None = None,
        label: str = "",
    ) -> Future[Outputs]:
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
        asked = Asked(feeds, now_us() if arrival_us is None else arrival_us, deadline_us, label, Future())
        backends = self.backends(model)
        for gate in self.gates:
            if reason := gate(model, backends):
                error = _closed(model, "a model that works, and memory to work in", reason)
                return self._refused(model, asked, error, gated=True)
        try:
            entered = self._lineup.enter(model, partial(self._wait, model, asked))
        except AdmissionError as error:
            return self._refused(model, asked, error)
        if entered is None and self._closed:
            return self._refused(model, asked, _closed(model, "a runtime that serves", "a closed one"))
        if entered is None and any(each.name == model for each in self.problem.models):
            return self._refused(model, asked, _closed(model, "open sessions", "none, for they could not be opened"))
        if entered is None:
            raise InferenceError(
                f"request for model {model!r}",
                expected=f"one of {capped(self._lineup.served)}",
                got=repr(model),
                remedy="Add the model to the scenario and plan again.",
            )
        if isinstance(entered, Asked):
            return asked.future
        served, serial = entered.served, entered.serial
        self.observer.arrived(model, asked.arrival_us)
        try:
            future = self._executor.submit(
                model,
                served.pipeline,
                feeds,
                arrival_us=asked.arrival_us,
                deadline_us=served.deadline_us if deadline_us is None else deadline_us,
                plan_version=served.version,
                work=served.pipeline.work,
                admit=self._admission,
                label=label,
            )
        except BaseException:
            self._lineup.left(serial)  # else what serves it would never be closed
            raise
        # The number only: who keeps the future shall not keep sessions.
        future.add_done_callback(lambda _: self._lineup.left(serial))
        return future

    def swap(
        self,
        problem: Problem,
        plan: Plan,
        *,
        scenario: Problem | None = None,
        files: Mapping[str, Path] | None = None,
    ) -> float:
        """Exchange the plan: open its sessions, serve new requests by it, close what nobody needs any more.

        `problem` may differ from the runtime's in costs, rates, limits and cores, of which the plan must use none that
        the runtime was not made with; deadlines stay those of then. Where old and new sessions do not fit beside each
        other within the problem's memory limit, models change in turn (see `edgeplan.runtime_bridge.exchange`).

        Parameters
        ----------
        problem : Problem
        plan : Plan
        scenario : Problem, optional
            The scenario from now on: its models are served, with its deadlines.
        files : mapping of str to Path, optional
            Of its models.

        Returns
        -------
        float
            Seconds it took.

        Raises
        ------
        EdgePlanError
            The plan does not fit or a session cannot be opened. The old plan goes on serving.
        InferenceError
            The runtime is closed, or requests in flight do not end.
        """
        with self._swap_lock:
            self._refuse_closed()
            began_us, served = now_us(), scenario or self.problem
            evaluation = fitting_evaluation(problem, plan, served, self._cores)
            target = Target(self.history.add(plan, evaluation), plan, evaluation, problem, served)
            self._exchange(target, files or self.files)
            self.history.confirm(target.version)
            self.switches += 1
            return (now_us() - began_us) / 1e6

    def renew(self, models: Iterable[str], *, abandon: bool = False) -> float:
        """Open new sessions of some models; with `abandon` the old ones stay open. The plan keeps its version.

        Returns and raises what `swap` does.
        """
        with self._swap_lock:  # what serves is looked at under it: an exchange under way must not be undone
            self._refuse_closed()
            began_us, fresh = now_us(), tuple(models)
            for name in fresh:
                self._pool.forget(name, abandon=abandon)
            target = Target(self.version, self.plan, self.evaluation, self.planned_for, self.problem)
            self._exchange(target, self.files, fresh)
            return (now_us() - began_us) / 1e6

    def give_up(self) -> list[RequestRecord]:
        """Give up on segments that hang; see `Executor.give_up`."""
        return self._executor.give_up()

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
            self._closed = True
        self._lineup.exchange(self._lineup.served, {})
        return True

    def scored_segments(self, version: int, model: str) -> tuple[ScoredSegment, ...]:
        """Segments of a model under the plan of that version, with their predicted times."""
        return self._past(version).evaluation.models[model].segments

    def _past(self, version: int) -> PastPlan:
        past = self.history.get(version)
        assert past is not None, f"plan {version} is kept while it serves, and long after"
        return past

    def _wait(self, model: str, asked: Asked, waiting: int) -> Asked:
        if waiting + self._executor.in_flight >= self._max_in_flight:
            raise AdmissionError(
                f"request for model {model!r}",
                expected=f"fewer than {self._max_in_flight} requests in flight",
                got="as many, while the model's plan is exchanged",
                remedy="Ask again shortly.",
            )
        asked.future.set_running_or_notify_cancel()
        return asked

    def _refused(self, model: str, asked: Asked, error: AdmissionError, *, gated: bool = False) -> Future[Outputs]:
        due_us = asked.arrival_us + (float("inf") if asked.deadline_us is None else asked.deadline_us)
        record = RequestRecord(-1, model, self.version, asked.arrival_us, due_us, now_us(), label=asked.label)
        record.error, record.refused, record.gated = str(error), True, gated
        self._finished(record)
        asked.future.set_exception(error)
        return asked.future

    def _refuse_closed(self) -> None:
        if self._closed:
            raise InferenceError("plan", expected="a runtime that serves", got="a closed one", remedy="Open another.")

    def _exchange(self, target: Target, files: Mapping[str, Path], fresh: Iterable[str] = ()) -> None:
        try:
            self._swapper.swap(target, self.planned_for, files, fresh)
            self.version, self.problem, self.planned_for = target.version, target.scenario, target.problem
        finally:
            served = self._lineup.served
            self.lost = tuple(model.name for model in self.problem.models if model.name not in served)

    def _finished(self, record: RequestRecord) -> None:
        for listener in self.listeners:
            try:
                listener(record)
            except Exception:  # who listens must not keep an answer from who asked
                _log.exception("A record of a request could not be taken in.")
        past = self.history.get(record.plan_version)
        if not record.error and past is not None:
            self.observer.finished(record, past.predicted[record.model])


def _closed(model: str, expected: str, got: str) -> AdmissionError:
    return AdmissionError(f"request for model {model!r}", expected=expected, got=got, remedy="Ask again later.")
