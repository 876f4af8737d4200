"""The live executor: one worker thread a core, and the dispatch rule that tells each what to run next.

The worker that ends a segment asks the rule what starts now. What falls to its own core it runs itself, without a
hand-over; other workers get theirs through a queue. A request is a chain (or DAG) of segments, so every segment
boundary is a point where a request with an earlier deadline goes first.

There are never more segments running than their cores allow, so a worker is only held to the cores that its segment may
use: one core where the segment is bound to it, a gang's first core, and otherwise all of them, so that the system can
move it out of the way of other processes.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future

import numpy as np

from ..formulation import AdmissionError, Dispatcher, InferenceError, PlatformError, Start, capped
from .admission import Pace, refuse_if_late
from .clock import now_us
from .pipeline import Runnable
from .records import RequestRecord, SegmentRecord, refuse_no_time
from .under_way import Outputs, Request, Running, Work
from .workers import Worker, Workers

_log = logging.getLogger(__name__)


class Executor:
    """Runs requests over cores, the most urgent first at every segment boundary.

    Parameters
    ----------
    cores : iterable of int
        Ids of the cores to use, one worker thread each.
    max_in_flight : int
        Requests accepted and not finished; a further one is refused at once.
    hang_us : float
        Least time after which a segment may count as hanging (see `give_up`).
    on_finish : callable, optional
        Called with every record as its request ends, on the worker's thread; must be quick.

    Raises
    ------
    PlatformError
        This process may not use one of the cores.
    """

    def __init__(
        self,
        cores: Iterable[int],
        max_in_flight: int = 256,
        on_finish: Callable[[RequestRecord], None] | None = None,
        hang_us: float = 5e6,
    ) -> None:
        self.cores = tuple(cores)
        _refuse_foreign(self.cores)
        self._max_in_flight = max_in_flight
        self._on_finish = on_finish
        self._dispatcher = Dispatcher(self.cores)
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._ids = itertools.count()
        self._requests: dict[int, Request] = {}
        self._hang_us = hang_us
        self._running: dict[tuple[int, int], Running] = {}  # by request and step
        self._looked_us = now_us()
        self._free_us = dict.fromkeys(self.cores, 0.0)  # when what runs there should end
        self._pace = Pace()
        self._closed = False
        self._workers = Workers(self.cores, self._run)

    def submit(
        self,
        model: str,
        runnable: Runnable,
        feeds: Mapping[str, np.ndarray],
        *,
        arrival_us: float | None = None,
        deadline_us: float = float("inf"),
        plan_version: int = -1,
        work: Work | None = None,
        admit: bool = False,
        label: str = "",
    ) -> Future[Outputs]:
        """Queue a request.

        Parameters
        ----------
        model : str
        runnable : Runnable
        feeds : mapping of str to ndarray
        arrival_us : float, optional
            When it was due to arrive, on `now_us`'s clock; now where left out.
        deadline_us : float
            Relative to the arrival.
        plan_version : int
        work : sequence of (float, float), optional
            What each step is predicted to take.
        admit : bool
            Whether the request is refused where it cannot be in time by its work, or would make one late that was taken
            with its work before.
        label : str
            The caller's own name for it, for its record.

        Returns
        -------
        Future
            Its result is the outputs by name. It fails with `InferenceError` where the request does not fit the model
            or a segment fails, and with `AdmissionError` where it is refused: too many are in flight, the executor is
            closed, or a deadline cannot be kept.
        """
        arrived = now_us() if arrival_us is None else arrival_us
        record = RequestRecord(-1, model, plan_version, arrived, arrived + deadline_us, label=label)
        request = Request(runnable, dict(feeds), record, work)
        request.future.set_running_or_notify_cancel()  # it will be answered; there is no taking it back
        try:
            runnable.check(feeds)
            refuse_no_time(record)
            with self._lock:
                self._refuse_if_full(model)
                if admit and work is not None:
                    self._refuse_if_late(request, work)
                record.request = next(self._ids)
                self._requests[record.request] = request
                self._dispatcher.release(record.request, record.deadline_us, runnable.steps)
                starts = self._starts()
        except InferenceError as error:
            record.refused = isinstance(error, AdmissionError)
            self._end(request, error)
            return request.future
        self._workers.give(starts)
        return request.future

    def _refuse_if_full(self, model: str) -> None:
        if self._closed or len(self._requests) >= self._max_in_flight:
            raise AdmissionError(
                f"request for model {model!r}",
                expected=f"fewer than {self._max_in_flight} requests in flight and an open executor",
                got="a closed executor" if self._closed else f"{len(self._requests)} in flight",
                remedy="Ask less often, or plan for this load.",
            )

    def _refuse_if_late(self, request: Request, work: Work) -> None:
        now = now_us()
        pace = {
            model: self._pace.of(model, now) for model in {r.record.model for r in (*self._requests.values(), request)}
        }
        taken = [
            other.demand(other.work, pace[other.record.model])
            for other in self._requests.values()
            if other.work is not None
        ]
        free_us = [max(now, self._free_us[core]) for core in self.cores]
        model = request.record.model
        refuse_if_late(model, request.demand(work, pace[model]), taken, free_us, now)

    @property
    def in_flight(self) -> int:
        """Requests accepted and not finished."""
        with self._lock:
            return len(self._requests)

    def drain(self, timeout_s: float | None = None) -> bool:
        """Wait until every accepted request has ended; False where `timeout_s` passed first."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._requests, timeout_s)

    def close(self, timeout_s: float | None = None) -> bool:
        """Refuse further requests, wait for those in flight, stop the workers. Returns what `drain` does.

        Where that is False the workers go on with what was accepted; call it again to wait for the rest.
        """
        with self._lock:
            self._closed = True
        if not self.drain(timeout_s):
            return False
        self._workers.close()
        return True

    def waiting(self) -> Counter[str]:
        """Requests accepted and not finished, by model."""
        with self._lock:
            return Counter(request.record.model for request in self._requests.values())

    def loads(self) -> dict[str, tuple[int, int]]:
        """By model, requests accepted and not finished, and how many of them wait: have no segment that runs."""
        with self._lock:
            running = {number for number, _ in self._running}
            loads: dict[str, tuple[int, int]] = {}
            for number, request in self._requests.items():
                taken, waiting = loads.get(request.record.model, (0, 0))
                loads[request.record.model] = taken + 1, waiting + (number not in running)
            return loads

    def give_up(self) -> list[RequestRecord]:
        """Give up on segments that hang: fail their requests, free their cores, put other workers in place of theirs.

        Requests of the same model that wait behind fail with them: they would run in the same sessions. Call it every
        half second or so. What a thread that was left behind still does is not looked at.

        Returns
        -------
        list of RequestRecord
            Of the requests concerned; the last segment in each is the one that hung.
        """
        now, hung, ended = now_us(), [], []
        with self._lock:
            passed_us, self._looked_us = now - self._looked_us, now
            for (number, step), running in list(self._running.items()):
                if not running.hangs(now, passed_us, self._hang_us):
                    continue
                request, start = self._requests[number], running.start
                request.record.segments.append(SegmentRecord(step, start.cores, running.began_us, now, 0.0, start.gang))
                request.record.error = (
                    f"segment {step}: no end after {running.age_us / 1e6:.1f} s, predicted {running.expected_us:.0f} µs"
                )
                request.record.failed_segment, request.record.hung = step, True
                hung.append(request.record)
                if self._ended(running.start, failed=True):
                    ended.append(number)
                self._workers.replace(start.cores[0])
            hanging = {id(self._requests[record.request].runnable) for record in hung}
            at_work = {number for number, _ in self._running}
            for number, request in self._requests.items():
                if id(request.runnable) in hanging and number not in at_work and number not in ended:
                    request.record.error = "it waited for a segment that hangs"
                    self._dispatcher.withdraw(number)
                    ended.append(number)
            starts = self._starts() if hung else []
        self._workers.give(starts)
        for number in ended:
            self._finish(number)
        return hung

    def _run(self, worker: Worker, start: Start) -> Start | None:
        """Run one segment, let the rule decide what follows, and return what falls to this core."""
        request = self._requests.get(start.request)
        if request is None:
            return None  # it was given up before anybody took it
        failure = ""  # in words: the error itself and this frame would be a cycle, which keeps tensors and sessions
        began, began_cpu = now_us(), time.thread_time_ns()
        try:
            worker.hold(request.runnable.steps[start.step], start)
            began, began_cpu = now_us(), time.thread_time_ns()
            request.runnable.run_step(start.step, request.tensors, start.gang)
        except BaseException as error:  # whatever a backend or the system raises concerns this request only
            failure = str(error) or type(error).__name__
        cpu_us = (time.thread_time_ns() - began_cpu) / 1e3
        with self._lock:
            if worker.left or (start.request, start.step) not in self._running:
                return None
            now = now_us()
            request.record.segments.append(SegmentRecord(start.step, start.cores, began, now, cpu_us, start.gang))
            if not failure:
                self._pace.observe(request.record.model, request.expected_us(start), now - began, now)
            else:
                request.record.error = f"segment {start.step}: {failure}"
                request.record.failed_segment = start.step
            ended = self._ended(start, failed=bool(failure))
            mine, others = None, []
            for following in self._starts():
                if following.cores[0] == worker.core:
                    mine = following
                else:
                    others.append(following)
        self._workers.give(others)
        if ended:
            self._finish(start.request)
        return mine

    def _ended(self, start: Start, failed: bool) -> bool:
        """A segment has ended, or does not count any more. Returns whether its request has ended."""
        del self._running[start.request, start.step]
        self._free_us.update(dict.fromkeys(start.cores, 0.0))
        self._requests[start.request].running.pop(start.step, None)
        return self._dispatcher.finish(start.request, start.step, failed=failed)

    def _starts(self) -> list[Start]:
        """What starts now; and when it should end, where that is predicted."""
        now = now_us()
        starts = self._dispatcher.starts(now)
        for start in starts:
            request = self._requests[start.request]
            expected_us = request.expected_us(start)
            if request.work is not None:
                end_us = now + expected_us * self._pace.of(request.record.model, now)
                request.running[start.step] = end_us
                self._free_us.update(dict.fromkeys(start.cores, end_us))
            self._running[start.request, start.step] = Running(start, expected_us, now)
        return starts

    def _finish(self, number: int) -> None:
        request, outputs = self._requests[number], {}
        if not request.record.error:
            try:
                outputs = request.runnable.outputs(request.tensors)
            except Exception as failure:  # as in a segment
                request.record.error = f"outputs: {failure!r}"
        error = request.record.error
        self._end(
            request,
            InferenceError(
                f"request for model {request.record.model!r}",
                expected="every segment to run",
                got=error,
                remedy="Look at the backend's message.",
            )
            if error
            else None,
            outputs,
        )
        with self._idle:
            del self._requests[number]
            if not self._requests:
                self._idle.notify_all()

    def _end(self, request: Request, error: InferenceError | None, outputs: Outputs | None = None) -> None:
        record = request.record
        record.finish_us = now_us()
        if error is not None:
            record.error = record.error or str(error)
        if self._on_finish is not None:
            try:
                self._on_finish(record)
            except Exception:  # who takes records must not keep an answer from who asked
                _log.exception("The record of a request could not be taken in.")
        if error is not None:
            # Where it was raised, this request is a local: with the way there it would be a cycle that holds tensors.
            request.future.set_exception(error.with_traceback(None))
        else:
            request.future.set_result(outputs or {})


def _refuse_foreign(cores: Sequence[int]) -> None:
    """What is bound to a core that is not there would wait for ever."""
    usable = os.sched_getaffinity(os.getpid())  # the main thread's, which nobody pins
    foreign = sorted(set(cores) - usable)
    if foreign:
        raise PlatformError(
            "cores of the platform",
            expected=f"some of those that this process may use: {capped(sorted(usable))}",
            got=capped(foreign),
            remedy="Profile and plan on this machine, or let the process use these cores.",
        )
