"""The dispatch rule: segments over cores, most urgent first, never interrupting a segment that runs.

The simulator and the live executor both drive this one state machine, so that what is predicted is what is done. It
knows no clock and no threads.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Step:
    """One segment as the dispatcher sees it.

    Attributes
    ----------
    threads : int
        Cores it takes.
    cores : tuple of int
        Cores it may take.
    after : tuple of int
        Earlier steps of the same request that must end first.
    gangs : tuple of tuple of int
        Other ways to run it, preferred ones first: sets of cores that it takes all of at once, where that leaves a core
        for everything else that is ready.
    tail_us : float
        Time from the start of this step to the end of its request on an idle device. Steps go by deadline less tail:
        0 throughout is earliest deadline first, the true times are least slack first.
    """

    threads: int
    cores: tuple[int, ...]
    after: tuple[int, ...] = ()
    gangs: tuple[tuple[int, ...], ...] = ()
    tail_us: float = 0.0


@dataclass(frozen=True)
class Start:
    """A decision: step `step` of request `request` starts now on `cores`; as its gang number `gang`, or as planned."""

    request: int
    step: int
    cores: tuple[int, ...]
    gang: int | None = None


@dataclass(slots=True)
class _Request:
    steps: Sequence[Step]
    deadline_us: float
    done: set[int] = field(default_factory=set)
    offered: set[int] = field(default_factory=set)


class Dispatcher:
    """Most urgent first over segments, with cores that segments are bound to.

    Ready segments are looked at by deadline (less the time that is left to do, for least slack first), then by order of
    release. One starts if enough of its cores are free. A gang (more than one thread) that must wait keeps the free
    cores among its own from later ones, or it would starve; one thread never waits while a core of its own is free, and
    spreads over several cores only while nothing else that is ready wants them.

    Parameters
    ----------
    cores : iterable of int
    """

    def __init__(self, cores: Iterable[int]) -> None:
        self._free: set[int] = set(cores)
        self._ready: list[tuple[float, int, int]] = []
        self._requests: dict[int, _Request] = {}
        self._running: dict[tuple[int, int], tuple[int, ...]] = {}

    @property
    def in_flight(self) -> int:
        """Requests released and not finished."""
        return len(self._requests)

    def release(self, request: int, deadline_us: float, steps: Sequence[Step]) -> None:
        """Add a request.

        Parameters
        ----------
        request : int
            Grows from one release to the next.
        deadline_us : float
            Absolute; ∞ where there is none.
        steps : sequence of Step
        """
        self._requests[request] = _Request(steps, deadline_us)
        self._offer(request)

    def finish(self, request: int, step: int, *, failed: bool = False) -> bool:
        """A step ended: free its cores. Returns whether nothing of this request is left.

        Where it failed, the steps that have not started are dropped; those that run must still be finished.
        """
        self._free.update(self._running.pop((request, step)))
        state = self._requests[request]
        state.done.add(step)
        if failed:
            self._ready = [entry for entry in self._ready if entry[1] != request]
            still_running = {other for r, other in self._running if r == request}
            state.done |= set(range(len(state.steps))) - still_running
            state.offered = set(range(len(state.steps)))
        if len(state.done) == len(state.steps):
            del self._requests[request]
            return True
        self._offer(request)
        return False

    def starts(self) -> list[Start]:
        """Decide what starts now, and mark its cores as taken."""
        decided: list[Start] = []
        reserved: set[int] = set()
        waiting: list[tuple[float, int, int]] = []
        for position, entry in enumerate(self._ready):
            if len(reserved) == len(self._free):
                waiting += self._ready[position:]
                break
            _, request, index = entry
            step = self._requests[request].steps[index]
            open_cores = [core for core in step.cores if core in self._free and core not in reserved]
            if len(open_cores) >= step.threads:
                gang = self._gang(step, position, reserved) if step.gangs else None
                taken = tuple(open_cores[: step.threads]) if gang is None else step.gangs[gang]
                self._free.difference_update(taken)
                self._running[request, index] = taken
                decided.append(Start(request, index, taken, gang))
                continue
            if step.threads > 1:
                reserved.update(open_cores)
            waiting.append(entry)
        self._ready = waiting
        return decided

    def _gang(self, step: Step, position: int, reserved: set[int]) -> int | None:
        """First gang whose cores are all free and that leaves a core for each later segment that is ready."""
        free = self._free - reserved
        later = self._ready[position + 1 : position + 1 + len(free)]  # more than that want every core
        wanted = [free.intersection(self._requests[request].steps[index].cores) for _, request, index in later]
        contested = [cores for cores in wanted if cores]
        for number, cores in enumerate(step.gangs):
            left = free.difference(cores)
            if free.issuperset(cores) and len(left) >= len(contested) and all(each & left for each in contested):
                return number
        return None

    def _offer(self, request: int) -> None:
        state = self._requests[request]
        for index, step in enumerate(state.steps):
            if index not in state.offered and state.done.issuperset(step.after):
                state.offered.add(index)
                bisect.insort(self._ready, (state.deadline_us - step.tail_us, request, index))


def tails_us(latencies_us: Sequence[float], after: Sequence[Sequence[int]]) -> list[float]:
    """Time from the start of each step to the end of the last, the longest path, in microseconds.

    Parameters
    ----------
    latencies_us : sequence of float
    after : sequence of sequences of int
        For each step the earlier ones that it needs.
    """
    tails = [float(latency) for latency in latencies_us]
    for step in range(len(tails) - 1, -1, -1):
        for needed in after[step]:
            tails[needed] = max(tails[needed], latencies_us[needed] + tails[step])
    return tails
