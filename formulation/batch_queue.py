"""The batching rule: which of one model's waiting requests leave together, and when.

The live service and the simulators both drive this one state machine, so that what is predicted is what is done. It
knows no clock and no threads: whoever drives it says what time it is.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from .errors import AdmissionError, WorkloadError

R = TypeVar("R")

PATIENCE_US = 10e6
"""How long a request lets every request of higher priority pass, microseconds; see `urgency_us`."""

Reason = Literal["full", "window", "deadline"]


def urgency_us(arrival_us: float, deadline_us: float, priority: int, patience_us: float = PATIENCE_US) -> float:
    """The order in which requests are served: the smallest first. It is fixed when a request arrives.

    ``min(deadline, arrival + patience) − 2 · patience · priority``. Within a priority that is earliest deadline first.
    Between priorities p < q, with a and b the arrivals:

    - p's request goes before q's only if it had waited `patience_us` when q's arrived (``b > a + patience``): until
      then higher priorities always go first;
    - q's request goes before p's only if ``b < a + patience · (1 + 2 (q − p))``: no request starves, for all that come
      later stand behind it.

    Parameters
    ----------
    arrival_us, deadline_us : float
        Absolute, on one clock; a deadline of ∞ where there is none, never before the arrival.
    priority : int
        Larger is more urgent.
    patience_us : float
    """
    return min(max(deadline_us, arrival_us), arrival_us + patience_us) - 2 * patience_us * priority


@dataclass(frozen=True, slots=True, order=True)
class Waiting(Generic[R]):
    """A request in the queue. They sort by urgency, then by order of arrival.

    Attributes
    ----------
    urgency_us : float
        See `urgency_us`.
    order : int
        Counts the arrivals.
    request : object
        Whatever the driver calls it.
    arrival_us, deadline_us : float
        Absolute.
    priority : int
    """

    urgency_us: float
    order: int
    request: R
    arrival_us: float
    deadline_us: float
    priority: int


@dataclass(frozen=True, slots=True)
class Batch(Generic[R]):
    """Requests that leave together, the most urgent first, all of one priority, and why they leave now."""

    waiting: tuple[Waiting[R], ...]
    reason: Reason

    @property
    def size(self) -> int:
        """Number of requests."""
        return len(self.waiting)

    @property
    def requests(self) -> tuple[R, ...]:
        """The requests as the driver calls them."""
        return tuple(entry.request for entry in self.waiting)

    @property
    def priority(self) -> int:
        """Of all its requests."""
        return self.waiting[0].priority

    @property
    def urgency_us(self) -> float:
        """Of its most urgent request."""
        return self.waiting[0].urgency_us

    @property
    def deadline_us(self) -> float:
        """Earliest of its requests, absolute."""
        return min(entry.deadline_us for entry in self.waiting)


class BatchQueue(Generic[R]):
    """Waiting requests of one model, and the rule by which they leave in batches.

    A batch leaves when as many requests of one priority wait as it may hold (``full``), when the oldest of them has
    waited for the window (``window``), or when waiting longer would make the earliest deadline among them miss, given
    the time that a batch of their number takes (``deadline``). It takes the most urgent requests first, and one more
    only if none that would be in time is late because of it; those that are left out may leave at once as a batch of
    their own. Priorities are not mixed, for a larger batch takes longer and lower ones must not delay higher ones.

    Parameters
    ----------
    max_batch : int
        Most requests in one batch.
    window_us : float
        Longest time that a request waits for others, microseconds; may be ∞.
    service_us : sequence of float
        Time that a batch of 1, 2, … requests takes, ascending; as many as `max_batch`. Left out, batches take no
        time, and a deadline makes a batch leave only when it has come.
    capacity : int, optional
        Most requests that wait; a further one is refused.
    patience_us : float
        See `urgency_us`.

    Raises
    ------
    WorkloadError
        A maximum below 1, a negative window, or times that are too few, negative or descending.

    Examples
    --------
    >>> queue = BatchQueue(max_batch=2, window_us=100.0, service_us=(30.0, 40.0))
    >>> _ = queue.arrive("a", now_us=0.0)
    >>> queue.ready(now_us=50.0) is None, queue.next_event_us()
    (True, 100.0)
    >>> _ = queue.arrive("b", now_us=60.0)
    >>> queue.ready(now_us=60.0).requests
    ('a', 'b')
    """

    def __init__(
        self,
        max_batch: int,
        window_us: float,
        service_us: Sequence[float] = (),
        *,
        capacity: int | None = None,
        patience_us: float = PATIENCE_US,
    ) -> None:
        self.max_batch = max_batch
        self.window_us = window_us
        self.service_us = tuple(service_us) or (0.0,) * max(1, max_batch)
        self.capacity = capacity
        self.patience_us = patience_us
        self._classes: dict[int, list[Waiting[R]]] = {}
        self._arrivals = 0
        self._check()

    def _check(self) -> None:
        times = self.service_us
        ascending = all(a <= b for a, b in itertools.pairwise(times)) and 0 <= times[0] <= times[-1] < math.inf
        if self.max_batch < 1 or not self.window_us >= 0 or len(times) < self.max_batch or not ascending:
            shown = ", ".join(f"{us:g}" for us in times[:5])
            raise WorkloadError(
                "batch queue",
                expected="a largest batch of 1 or more, a window of 0 or more, and ascending times for every size",
                got=f"{self.max_batch}, {self.window_us:g} µs, and {len(times)} times ({shown})",
                remedy="Correct the service's batching, or measure the missing batch sizes.",
            )

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._classes.values())

    @property
    def waiting(self) -> tuple[Waiting[R], ...]:
        """All that wait, the most urgent first."""
        return tuple(sorted(entry for entries in self._classes.values() for entry in entries))

    @property
    def priorities(self) -> tuple[int, ...]:
        """Of the requests that wait, the highest first."""
        return tuple(sorted(self._classes, reverse=True))

    def head_urgency_us(self, priority: int) -> float:
        """Of the most urgent request of a priority that waits."""
        return self._classes[priority][0].urgency_us

    def copy(self) -> BatchQueue[R]:
        """A queue with the same requests that goes its own way, to play the future on."""
        other = object.__new__(BatchQueue)
        other.__dict__.update(self.__dict__)
        other._classes = {priority: entries.copy() for priority, entries in self._classes.items()}
        return other

    def arrive(self, request: R, now_us: float, deadline_us: float = math.inf, priority: int = 0) -> Waiting[R]:
        """Add a request.

        Parameters
        ----------
        request : object
        now_us : float
        deadline_us : float
            Absolute; ∞ where there is none.
        priority : int
            Larger is more urgent.

        Raises
        ------
        AdmissionError
            The queue is full.
        """
        if self.capacity is not None and len(self) >= self.capacity:
            raise AdmissionError(
                "request",
                expected=f"fewer than {self.capacity} requests waiting",
                got=f"{len(self)}",
                remedy="Ask less often, or plan for this load.",
                deadline_us=deadline_us,
            )
        urgency = urgency_us(now_us, deadline_us, priority, self.patience_us)
        entry = Waiting(urgency, self._arrivals, request, now_us, deadline_us, priority)
        self._arrivals += 1
        bisect.insort(self._classes.setdefault(priority, []), entry)
        return entry

    def peek(
        self, now_us: float, service_us: Sequence[float] | None = None, priority: int | None = None
    ) -> Batch[R] | None:
        """The batch that `ready` would give now, of one priority or of all; it goes on waiting."""
        times = self.service_us if service_us is None else service_us
        found: Batch[R] | None = None
        for entries in self._of(priority):
            reason, leaves_us = self._leaves(entries, times)
            if leaves_us <= now_us and (found is None or entries[0].urgency_us < found.urgency_us):
                found = Batch(tuple(entries[: self._size(entries, now_us, times)]), reason)
        return found

    def ready(self, now_us: float, service_us: Sequence[float] | None = None) -> Batch[R] | None:
        """Take the batch that leaves now: of all priorities that may, the one with the most urgent request.

        Parameters
        ----------
        now_us : float
        service_us : sequence of float, optional
            Times of the instance that would take it, for batches of 1, 2, …; it takes no larger ones. Those of the
            queue where left out.

        Returns
        -------
        Batch or None
            None where every request may still wait. Ask again after a batch: more may leave.
        """
        batch = self.peek(now_us, service_us)
        if batch is not None:
            self.take(batch)
        return batch

    def take(self, batch: Batch[R]) -> None:
        """Remove a batch that `peek` gave, of this queue or of a copy, whatever left in between."""
        taken = {entry.order for entry in batch.waiting}
        left = [entry for entry in self._classes[batch.priority] if entry.order not in taken]
        if left:
            self._classes[batch.priority] = left
        else:
            del self._classes[batch.priority]

    def next_event_us(
        self, service_us: Sequence[float] | None = None, priority: int | None = None, after_us: float = -math.inf
    ) -> float:
        """From when on `peek` gives a batch if nothing more arrives: −∞ at once, ∞ where nothing waits.

        With `after_us`, the first instant later than that at which the requests of some priority come to leave.
        """
        times = self.service_us if service_us is None else service_us
        leaves = (self._leaves(entries, times)[1] for entries in self._of(priority))
        return min((us for us in leaves if us > after_us or after_us == -math.inf), default=math.inf)

    def _of(self, priority: int | None) -> Iterable[list[Waiting[R]]]:
        return self._classes.values() if priority is None else (self._classes[priority],)

    def _leaves(self, entries: Sequence[Waiting[R]], times: Sequence[float]) -> tuple[Reason, float]:
        """Why and when the requests of one priority leave."""
        if len(entries) >= self.max_batch:
            return "full", -math.inf
        window = min(entry.arrival_us for entry in entries) + self.window_us
        latest_start = min(entry.deadline_us for entry in entries) - times[min(len(entries), len(times)) - 1]
        return ("deadline", latest_start) if latest_start < window else ("window", window)

    def _size(self, entries: Sequence[Waiting[R]], now_us: float, times: Sequence[float]) -> int:
        """How many of them leave together: as many as make none late that a smaller batch would not."""
        most = min(len(entries), self.max_batch, len(times))
        in_time_us = math.inf  # earliest deadline among those taken that are in time at the present size
        for size in range(1, most + 1):
            ends_us = now_us + times[size - 1]
            if ends_us > in_time_us:
                return size - 1
            if entries[size - 1].deadline_us >= ends_us:
                in_time_us = min(in_time_us, entries[size - 1].deadline_us)
        return most
