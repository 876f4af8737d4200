"""The two stages that requests pass: one accelerator, first come first served, and each tenant's own CPU servers.

Every thread is held to its core. An exchange of the allocation gives new requests new lanes and thereby new servers;
the accelerator stays the same, and so does the order in which it was asked.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue

from ...profiles import Session
from .lanes import Lane, Request
from .parameter_memory import ParameterMemory
from .timebase import Timebase, sharpen_timers

Passed = Callable[[Request], None]
"""Called with a request that a stage is done with; one that failed has an error in its record."""


class AcceleratorStage:
    """A thread that stands in for the accelerator: it waits for weights, runs prefixes and waits for the rest.

    Parameters
    ----------
    cores : sequence of int
        That it is held to. Nothing else should run there.
    memory : ParameterMemory
    timebase : Timebase
    time_scale : float
        See `Emulation`.
    passed : callable
    """

    def __init__(
        self, cores: Sequence[int], memory: ParameterMemory, timebase: Timebase, time_scale: float, passed: Passed
    ) -> None:
        self._cores = cores
        self._memory = memory
        self._timebase = timebase
        self._time_scale = time_scale
        self._passed = passed
        self._inbox: SimpleQueue[Request | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="edgeplan-emulated-accelerator", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Queue a request; they are served in the order of these calls."""
        self._inbox.put(request)

    def close(self) -> None:
        """Serve what is queued and stop."""
        self._inbox.put(None)
        self._thread.join()

    def _work(self) -> None:
        os.sched_setaffinity(0, self._cores)
        sharpen_timers()
        while (request := self._inbox.get()) is not None:
            try:
                self._serve(request)
            except Exception as error:  # whatever a backend raises concerns this request only
                request.record.error = f"prefix: {error}"
            request.record.accelerator_end_us = self._timebase.now_us()
            self._passed(request)

    def _serve(self, request: Request) -> None:
        lane, record, timebase = request.lane, request.record, self._timebase
        assert lane.part is not None
        began_us = record.accelerator_start_us = timebase.now_us()
        # What costs nothing to bring in is no swap.
        record.swapped = self._memory.bring_in(lane.part) and lane.reload_us > 0
        if record.swapped:
            timebase.wait_until_us(began_us + lane.reload_us)
            began_us = timebase.now_us()
            record.reload_us = began_us - record.accelerator_start_us
        lane.run_prefix(request.tensors)
        if lane.table_us is not None:
            due_us = began_us + lane.table_us
        else:
            ran_us = (timebase.now_us() - began_us) * timebase.stretch
            due_us = began_us + ran_us * self._time_scale
        # Without a wait of its own a prefix that was only run ends when it ended.
        if due_us + lane.streaming_us > timebase.now_us():
            timebase.wait_until_us(due_us + lane.streaming_us)


class CpuStage:
    """The servers of one allocation's lanes: a thread each, held to its cores.

    Parameters
    ----------
    lanes : iterable of Lane
    timebase : Timebase
    passed : callable
    """

    def __init__(self, lanes: Iterable[Lane], timebase: Timebase, passed: Passed) -> None:
        self._timebase = timebase
        self._passed = passed
        self._inboxes: list[SimpleQueue[Request | None]] = []
        for lane in lanes:
            for cores, session in lane.suffixes:
                self._inboxes.append(lane.inbox)
                name = f"edgeplan-suffix-{lane.tenant}"
                threading.Thread(target=self._work, args=(lane, cores, session), name=name, daemon=True).start()

    def stop(self) -> None:
        """Let the servers end once they have served what is queued; does not wait for them."""
        for inbox in self._inboxes:
            inbox.put(None)

    def _work(self, lane: Lane, cores: tuple[int, ...], session: Session) -> None:
        os.sched_setaffinity(0, cores[:1])
        sharpen_timers()
        timebase = self._timebase
        while (request := lane.inbox.get()) is not None:
            # A lane's hand-overs all take equally long: whoever waits here holds up no request that is ready.
            if request.ready_us > timebase.now_us():
                timebase.wait_until_us(request.ready_us)
            record = request.record
            record.cpu_start_us = timebase.now_us()
            try:
                request.tensors.update(session.run({name: request.tensors[name] for name in session.input_names}))
                if timebase.stretch > 1.0:
                    ran_us = (timebase.now_us() - record.cpu_start_us) * timebase.stretch
                    timebase.wait_until_us(record.cpu_start_us + ran_us)
            except Exception as error:  # whatever a backend raises concerns this request only
                record.error = f"suffix: {error}"
            record.cpu_end_us = timebase.now_us()
            self._passed(request)
