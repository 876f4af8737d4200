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
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue

import numpy as np

from ..formulation import AdmissionError, Dispatcher, InferenceError, PlatformError, Start, Step, capped
from .admission import Demand, late_by_admitting
from .clock import now_us
from .pipeline import Runnable
from .records import RequestRecord, SegmentRecord, refuse_no_time

Outputs = dict[str, np.ndarray]
Work = Sequence[tuple[float, float]]
"""Of each step its core time, and the least time that it takes, in microseconds."""


class _Request:
    __slots__ = ("future", "record", "runnable", "running", "tensors", "work")

    def __init__(self, runnable: Runnable, tensors: Outputs, record: RequestRecord, work: Work | None) -> None:
        self.runnable = runnable
        self.tensors = tensors
        self.record = record
        self.work = work
        self.running: dict[int, float] = {}  # by step, when it should end
        self.future: Future[Outputs] = Future()

    def demand(self, work: Work) -> Demand:
        """What has not begun of it."""
        begun = {segment.segment for segment in self.record.segments} | self.running.keys()
        left = [both for k, both in enumerate(work) if k not in begun]
        ready_us = max(self.running.values(), default=0.0)
        return Demand(
            self.record.deadline_us, sum(core for core, _ in left), sum(latency for _, latency in left), ready_us
        )


class Executor:
    """Runs requests over cores, the most urgent first at every segment boundary.

    Parameters
    ----------
    cores : iterable of int
        Ids of the cores to use, one worker thread each.
    max_in_flight : int
        Requests accepted and not finished; a further one is refused at once.
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
    ) -> None:
        self.cores = tuple(cores)
        _refuse_foreign(self.cores)
        self._max_in_flight = max_in_flight
        self._on_finish = on_finish
        self._dispatcher = Dispatcher(self.cores)
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._ids = itertools.count()
        self._requests: dict[int, _Request] = {}
        self._inboxes: dict[int, SimpleQueue[Start | None]] = {core: SimpleQueue() for core in self.cores}
        self._free_us = dict.fromkeys(self.cores, 0.0)  # when what runs there should end
        self._closed = False
        self._held_to = threading.local()
        self._workers = [
            threading.Thread(target=self._work, args=(core,), name=f"edgeplan-core-{core}", daemon=True)
            for core in self.cores
        ]
        for worker in self._workers:
            worker.start()

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
            What each step is predicted to take. With it, the request is refused where it cannot be in time, or would
            make one late that was taken with it before.
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
        request = _Request(runnable, dict(feeds), record, work)
        request.future.set_running_or_notify_cancel()  # it will be answered; there is no taking it back
        try:
            runnable.check(feeds)
            refuse_no_time(record)
            with self._lock:
                self._refuse_if_full(model)
                if work is not None:
                    self._refuse_if_late(request, work)
                record.request = next(self._ids)
                self._requests[record.request] = request
                self._dispatcher.release(record.request, record.deadline_us, runnable.steps)
                starts = self._starts()
        except InferenceError as error:
            record.refused = isinstance(error, AdmissionError)
            self._end(request, error)
            return request.future
        for start in starts:
            self._inboxes[start.cores[0]].put(start)
        return request.future

    def _refuse_if_full(self, model: str) -> None:
        if self._closed or len(self._requests) >= self._max_in_flight:
            raise AdmissionError(
                f"request for model {model!r}",
                expected=f"fewer than {self._max_in_flight} requests in flight and an open executor",
                got="a closed executor" if self._closed else f"{len(self._requests)} in flight",
                remedy="Ask less often, or plan for this load.",
            )

    def _refuse_if_late(self, request: _Request, work: Work) -> None:
        taken = [other.demand(other.work) for other in self._requests.values() if other.work is not None]
        now, due_us = now_us(), request.record.deadline_us
        free_us = [max(now, self._free_us[core]) for core in self.cores]
        late = late_by_admitting(request.demand(work), taken, free_us)
        if late is None:
            return
        expected = f"a finish within its deadline, {(due_us - now) / 1e3:.1f} ms from now"
        got = f"a predicted finish {(late.finish_us - now) / 1e3:.1f} ms from now"
        if late.others:
            expected, got = "all requests taken before to end in time beside it", f"{late.others} that would be late"
        raise AdmissionError(
            f"request for model {request.record.model!r}",
            expected=expected,
            got=got,
            remedy="Ask less often, allow more time, or plan for this load.",
            predicted_us=late.finish_us,
            deadline_us=due_us,
        )

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
        for inbox in self._inboxes.values():
            inbox.put(None)
        for worker in self._workers:
            worker.join()
        return True

    def _work(self, core: int) -> None:
        self._held_to.cores = None
        inbox = self._inboxes[core]
        start = inbox.get()
        while start is not None:
            start = self._run(core, start) or inbox.get()

    def _run(self, core: int, start: Start) -> Start | None:
        """Run one segment, let the rule decide what follows, and return what falls to this core."""
        request = self._requests[start.request]
        failure: Exception | None = None
        began, began_cpu = now_us(), time.thread_time_ns()
        try:
            self._hold(request.runnable.steps[start.step], start)
            began, began_cpu = now_us(), time.thread_time_ns()
            request.runnable.run_step(start.step, request.tensors, start.gang)
        except Exception as error:  # whatever a backend or the system raises concerns this request only
            failure = error
        cpu_us = (time.thread_time_ns() - began_cpu) / 1e3
        request.record.segments.append(SegmentRecord(start.step, start.cores, began, now_us(), cpu_us, start.gang))
        if failure is not None:
            request.record.error = f"segment {start.step}: {failure}"
        with self._lock:
            ended = self._dispatcher.finish(start.request, start.step, failed=failure is not None)
            self._free_us.update(dict.fromkeys(start.cores, 0.0))
            request.running.pop(start.step, None)
            starts = self._starts()
        mine = None
        for following in starts:
            if following.cores[0] == core:
                mine = following
            else:
                self._inboxes[following.cores[0]].put(following)
        if ended:
            self._finish(start.request)
        return mine

    def _starts(self) -> list[Start]:
        """What starts now; and when it should end, for those that want to be admitted."""
        now = now_us()
        starts = self._dispatcher.starts(now)
        for start in starts:
            request = self._requests[start.request]
            if request.work is not None:
                end_us = now + request.work[start.step][1]
                request.running[start.step] = end_us
                self._free_us.update(dict.fromkeys(start.cores, end_us))
        return starts

    def _hold(self, step: Step, start: Start) -> None:
        """Hold this thread to the cores that a segment may use; nothing to do where it already is."""
        cores = step.cores if step.threads == 1 and start.gang is None else start.cores[:1]
        if self._held_to.cores != cores:
            os.sched_setaffinity(0, cores)
            self._held_to.cores = cores

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

    def _end(self, request: _Request, error: InferenceError | None, outputs: Outputs | None = None) -> None:
        record = request.record
        record.finish_us = now_us()
        if error is not None:
            record.error = record.error or str(error)
        if self._on_finish is not None:
            self._on_finish(record)
        if error is not None:
            request.future.set_exception(error)
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
