"""The dispatch rule: segments over cores, most urgent first, never interrupting a segment that runs.

The simulator and the live executor both drive this one state machine, so that what is predicted is what is done. It
knows no clock and no threads.
"""

from __future__ import annotations

import bisect
import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Step:
    """One segment as the dispatcher sees it.

    Attributes
    ----------
    threads : int
        Cores it takes; with 0 it starts as soon as it may, whatever runs.
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
    least_us : float, optional
        The least time in which the request can end from the start of this step. Where its deadline is nearer than that,
        it is late whatever is done, and goes after all that can still be in time. Keeps its place where left out.
    """

    threads: int
    cores: tuple[int, ...]
    after: tuple[int, ...] = ()
    gangs: tuple[tuple[int, ...], ...] = ()
    tail_us: float = 0.0
    least_us: float | None = None


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


_Entry = tuple[bool, float, int, int]
"""A ready step: whether its request is sure to be late, when it is due, its request, its index."""


@dataclass(slots=True)
class _Queue:
    """Ready steps that may take the same cores, the most urgent first, while they are looked at."""

    cores: tuple[int, ...]
    entries: list[_Entry]
    position: int = 0
    started: list[int] = field(default_factory=list)
    closed: bool = False


class Dispatcher:
    """Most urgent first over segments, with cores that segments are bound to.

    Ready segments are looked at by deadline (less the time that is left to do, for least slack first), then by order of
    release. Those of requests that cannot be in time any more come after all others: each of them that went first could
    make more late (the domino effect of earliest deadline first under overload). One starts if enough of its cores are
    free. A gang (more than one thread) that must wait keeps the free cores among its own from later ones, or it would
    starve; one thread never waits while a core of its own is free, and spreads over several cores only while nothing
    else that is ready wants them.

    Parameters
    ----------
    cores : iterable of int
    """

    def __init__(self, cores: Iterable[int]) -> None:
        self._free: set[int] = set(cores)
        # By the cores they may take: where none of those is free, a queue of any length costs nothing to look at.
        self._ready: dict[tuple[int, ...], list[_Entry]] = {}
        self._coreless: list[tuple[int, int]] = []
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
            return self.withdraw(request)
        if len(state.done) == len(state.steps):
            del self._requests[request]
            return True
        self._offer(request)
        return False

    def withdraw(self, request: int) -> bool:
        """Drop the steps of a request that have not started. Returns whether nothing of it is left.

        Those that run must still be finished.
        """
        state = self._requests[request]
        for entries in self._ready.values():
            entries[:] = [entry for entry in entries if entry[2] != request]
        self._coreless = [step for step in self._coreless if step[0] != request]
        still_running = {step for running, step in self._running if running == request}
        state.done |= set(range(len(state.steps))) - still_running
        state.offered = set(range(len(state.steps)))
        if still_running:
            return False
        del self._requests[request]
        return True

    def starts(self, now_us: float = -math.inf) -> list[Start]:
        """Decide what starts now, and mark its cores as taken.

        Parameters
        ----------
        now_us : float
            On the clock of the deadlines; without it nothing counts as late.
        """
        decided = [Start(request, index, ()) for request, index in self._coreless]
        self._running.update(dict.fromkeys(self._coreless, ()))
        self._coreless.clear()
        reserved: set[int] = set()
        queues = [
            _Queue(cores, entries)
            for cores, entries in self._ready.items()
            if entries and not self._free.isdisjoint(cores)
        ]
        heads = [(queue.entries[0], number) for number, queue in enumerate(queues)]
        heapq.heapify(heads)
        while heads:
            (late, due_us, request, index), number = heapq.heappop(heads)
            queue = queues[number]
            open_cores = [core for core in queue.cores if core in self._free and core not in reserved]
            if not open_cores:  # nor will there be for those behind it
                queue.closed = True
                continue
            state = self._requests[request]
            step = state.steps[index]
            if not late and step.least_us is not None and state.deadline_us - step.least_us < now_us:
                del queue.entries[queue.position]
                bisect.insort(queue.entries, (True, due_us, request, index))
                heapq.heappush(heads, (queue.entries[queue.position], number))
                continue
            if len(open_cores) >= step.threads:
                gang = self._gang(step, queue, queues, reserved) if step.gangs else None
                taken = tuple(open_cores[: step.threads]) if gang is None else step.gangs[gang]
                self._free.difference_update(taken)
                self._running[request, index] = taken
                decided.append(Start(request, index, taken, gang))
                queue.started.append(queue.position)
            else:
                reserved.update(open_cores)
            queue.position += 1
            if queue.position < len(queue.entries):
                heapq.heappush(heads, (queue.entries[queue.position], number))
        for queue in queues:
            for position in reversed(queue.started):
                del queue.entries[position]
        return decided

    def _gang(self, step: Step, own: _Queue, queues: Sequence[_Queue], reserved: set[int]) -> int | None:
        """First gang whose cores are all free and that leaves a core for each later segment that is ready."""
        free = self._free - reserved
        later: list[tuple[_Entry, tuple[int, ...]]] = []
        for queue in queues:
            if not queue.closed:
                first = queue.position + (queue is own)
                later += [(entry, queue.cores) for entry in queue.entries[first : first + len(free)]]
        later.sort()
        # More than there are free cores want every one of them. What wants only cores that are taken wants none.
        contested = [cores for _, each in later if (cores := free.intersection(each))][: len(free)]
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
                if not step.threads:
                    self._coreless.append((request, index))
                    continue
                entries = self._ready.setdefault(step.cores, [])
                bisect.insort(entries, (False, state.deadline_us - step.tail_us, request, index))


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
