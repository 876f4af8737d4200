"""The live service: batches, several instances a model, admission and priorities, by a service plan."""

from __future__ import annotations

import itertools
import math
import operator
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from ...formulation import AdmissionError, InferenceError, Problem, capped
from ...formulation.throughput import ServicePlan
from ..clock import now_us
from ..executor import Executor
from ..records import refuse_no_time
from .batching import Outputs, RequestShape, refuse_fixed_batch
from .desk import Departure, Desk
from .generation import Generation, Sessions
from .records import ServiceRecord
from .sending import Request, Sending
from .settings import ServiceSettings


class ServiceRuntime:
    """Serves models by a service plan. Use it as a context manager.

    A batch leaves by the rule of `BatchQueue`, goes where `Desk` sends it, and runs on the executor's worker threads,
    where batches of higher priority pass others at segment boundaries. There is one thread besides the workers; it
    sleeps until the next batch must leave.

    Parameters
    ----------
    problem : Problem
        Streams give the deadlines of requests that bring none of their own.
    plan : ServicePlan
        Must serve every model of the problem.
    files : mapping of str to Path
        ONNX file of each model.
    settings : ServiceSettings
    priorities : mapping of str to int
        Of each model's requests that bring none of their own; 0 where left out. Larger is more urgent.

    Attributes
    ----------
    records : list of ServiceRecord
        Every request that has ended, refused ones too, in order of their end.

    Raises
    ------
    UnsupportedError
        The plan puts requests of a model together whose batch dimension is fixed. Nothing was opened.
    PlanError, StalePlanError
        The plan does not fit the problem.
    EdgePlanError
        A backend does not load.
    """

    def __init__(
        self,
        problem: Problem,
        plan: ServicePlan,
        files: Mapping[str, Path],
        settings: ServiceSettings | None = None,
        priorities: Mapping[str, int] | None = None,
    ) -> None:
        self.problem = problem
        self.settings = settings or ServiceSettings()
        self.records: list[ServiceRecord] = []
        self._priorities = dict(priorities or {})
        self._files = files
        self._shapes = {model.name: RequestShape.of(model.name, files[model.name]) for model in problem.models}
        self._sessions = Sessions(files)
        self._numbers = itertools.count()
        self._accepted = 0  # and not ended
        self._closed = False
        self._stopped = False
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # for the timer
        self._idle = threading.Condition(self._lock)
        self._apply_lock = threading.Lock()
        self._wakes_us = math.inf  # when the timer will
        self._generation = self._prepare(plan, 0)
        self._desk = self._desk_of(self._generation)
        cores = [core for processor in problem.platform.processors for core in processor.cores]
        self._executor = Executor(cores, max_in_flight=2**31)  # the desk holds back what would wait there
        self._timer = threading.Thread(target=self._keep_time, name="edgeplan-service-timer", daemon=True)
        self._timer.start()

    def __enter__(self) -> ServiceRuntime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def plan(self) -> ServicePlan:
        """The plan that batches leave by."""
        return self._generation.plan

    @property
    def version(self) -> int:
        """How many times the plan was exchanged."""
        return self._generation.version

    @property
    def in_flight(self) -> int:
        """Requests accepted and not ended."""
        with self._lock:
            return self._accepted

    def submit(
        self,
        model: str,
        feeds: Mapping[str, np.ndarray],
        *,
        arrival_us: float | None = None,
        deadline_us: float | None = None,
        priority: int | None = None,
    ) -> Future[Outputs]:
        """Ask a model for one sample.

        Parameters
        ----------
        model : str
        feeds : mapping of str to ndarray
            Every input of the model by name, each with a leading dimension of 1. Must not be changed until the end.
        arrival_us : float, optional
            When the request was due, on the monotonic clock in microseconds; now where left out.
        deadline_us : float, optional
            Relative to the arrival; that of the model's stream where left out.
        priority : int, optional
            Larger is more urgent; that of the model where left out.

        Returns
        -------
        Future
            Of the outputs by name. It has failed already with `AdmissionError` where the request is refused, and with
            `InferenceError` where it does not fit the model; it fails with `InferenceError` where its batch does.

        Raises
        ------
        InferenceError
            The model is not served here.
        """
        if model not in self._shapes:
            raise InferenceError(
                f"request for model {model!r}",
                expected=f"one of {capped(self._shapes)}",
                got=repr(model),
                remedy="Add the model to the scenario and plan again.",
            )
        now = now_us()
        arrived = now if arrival_us is None else arrival_us
        rank = self._priorities.get(model, 0) if priority is None else operator.index(priority)
        due = arrived + (self._deadline_us(model) if deadline_us is None else deadline_us)
        record = ServiceRecord(next(self._numbers), model, -1, arrived, due, priority=rank)
        request = Request(dict(feeds), record)
        request.future.set_running_or_notify_cancel()  # it will be answered; there is no taking it back
        try:
            self._shapes[model].check(request.feeds)
            refuse_no_time(record)
            with self._lock:
                self._refuse_if_closed(model)
                self._desk.arrive(model, request, now, arrival_us=arrived, deadline_us=due, priority=rank)
                self._accepted += 1
                departures = self._departures(now)
        except InferenceError as error:
            record.refused, record.error, record.finish_us = True, str(error), now_us()
            self.records.append(record)
            request.future.set_exception(error)
            return request.future
        self._send(departures)
        return request.future

    def apply(self, plan: ServicePlan) -> float:
        """Exchange the plan: open its sessions, send what waits and what comes by it, close what nobody needs any more.

        Batches under way end where they are. Requests that wait stay accepted, whatever the new plan predicts.

        Returns
        -------
        float
            Seconds it took to open the new sessions.

        Raises
        ------
        EdgePlanError
            The plan does not fit or a session cannot be opened. The old plan goes on serving.
        InferenceError
            The service has ended.
        """
        with self._apply_lock:
            if self._stopped:
                raise InferenceError(
                    "plan", expected="a service that serves", got="a closed one", remedy="Open another service."
                )
            began = now_us()
            prepared = self._prepare(plan, self._generation.version + 1)
            prepared.keep_pace_of(self._generation)
            took_s = (now_us() - began) / 1e6
            with self._lock:
                desk = self._desk_of(prepared)
                desk.adopt(self._desk)
                if self._closed:
                    desk.hurry()
                old, self._generation, self._desk = self._generation, prepared, desk
                old.retired = True
                departures = self._departures(now_us())
                self._changed.notify()
            self._send(departures)
            self._release(old)
            return took_s

    def drain(self, timeout_s: float | None = None) -> bool:
        """Wait until every accepted request has ended; False where `timeout_s` passed first."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._accepted, timeout_s)

    def close(self, timeout_s: float | None = None) -> bool:
        """Refuse further requests, end the accepted ones without waiting for company, close the sessions.

        Returns what `drain` does. Where that is False, call it again to wait for the rest.
        """
        with self._lock:
            self._closed = True
            self._desk.hurry()
            departures = self._departures(now_us())
        self._send(departures)
        if not self.drain(timeout_s):
            return False
        with self._apply_lock, self._lock:
            already, self._stopped = self._stopped, True
            self._changed.notify()
        self._timer.join()
        self._executor.close()
        if not already:
            self._generation.retired = True
            self._release(self._generation)
        return True

    def _prepare(self, plan: ServicePlan, version: int) -> Generation:
        for model in self.problem.models:
            service = plan.service(model.name)
            largest = max(s.configuration.batch for instance in service.instances for s in instance.segments)
            if max(largest, service.max_batch) > 1:
                refuse_fixed_batch(model, self._files[model.name])
        return self._sessions.open(self.problem, plan, version, self.settings.time_factor)

    def _desk_of(self, generation: Generation) -> Desk[Request]:
        settings = self.settings
        return Desk(
            generation.lines,
            capacity=settings.capacity,
            admission=settings.admission,
            patience_us=settings.patience_us,
        )

    def _deadline_us(self, model: str) -> float:
        stream = self.problem.stream_of.get(model)
        return stream.deadline_us if stream and stream.deadline_us else math.inf

    def _refuse_if_closed(self, model: str) -> None:
        if self._closed:
            raise AdmissionError(
                f"request for model {model!r}",
                expected="an open service",
                got="a closed one",
                remedy="Ask before it closes.",
            )

    def _departures(self, now: float) -> list[tuple[Generation, Departure[Request]]]:
        """With the lock held: what goes now; wakes the timer where it sleeps too long."""
        departures = [(self._generation, departure) for departure in self._desk.departures(now)]
        for generation, _ in departures:
            generation.in_flight += 1
        if self._desk.next_event_us(now) < self._wakes_us:
            self._changed.notify()
        return departures

    def _send(self, departures: Sequence[tuple[Generation, Departure[Request]]]) -> None:
        for generation, departure in departures:
            Sending(generation, departure, self.records, self._leg_ended, self._batch_ended).send(self._executor)

    def _leg_ended(self, departure: Departure[Request]) -> None:
        with self._lock:
            now = now_us()
            self._desk.leg_ended(departure.flight, now)
            following = self._departures(now)
        # Before this segment's worker asks what is next, so that it finds the next batch and never stands still.
        self._send(following)

    def _batch_ended(self, sending: Sending, failed: bool) -> None:
        generation, departure, following = sending.generation, sending.departure, []
        with self._idle:
            generation.in_flight -= 1
            self._accepted -= departure.batch.size
            if self.settings.adapt and not failed:
                departure.flight.instance.observe(departure.batch.size, sending.ran_us)
            if failed:
                self._desk.failed(departure.flight)
                following = self._departures(now_us())
            if not self._accepted:
                self._idle.notify_all()
        self._send(following)
        self._release(generation)

    def _release(self, generation: Generation) -> None:
        with self._lock:
            ended = generation.retired and not generation.in_flight and not generation.released
            generation.released = generation.released or ended
        if ended:
            self._sessions.close(generation)

    def _keep_time(self) -> None:
        while True:
            with self._changed:
                if self._stopped:
                    return
                departures = self._departures(now := now_us())
                if not departures:
                    self._wakes_us = self._desk.next_event_us(now)
                    self._changed.wait(min((self._wakes_us - now) / 1e6, threading.TIMEOUT_MAX))
                    self._wakes_us = -math.inf  # awake: nobody needs to call
            self._send(departures)
