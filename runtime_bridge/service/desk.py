"""The service rule: which batch goes to which instance when, and which request is refused. No clock, no threads.

Of the batches that may leave, the most urgent chooses first: the instance that is predicted to end it first, counting
what is under way and what chose before it; where the plan says how requests spread over unlike instances, among those
that are furthest behind that. If it can start there now, it goes; if not, it waits for that instance and
those behind it choose around it. A request is refused if, were nothing more to come but what higher priorities have
been asking for, it would miss its deadline, or one accepted before that stands no lower would because of it: the rule
itself is played on, with batches that take what they are predicted to take.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ...formulation import AdmissionError, Batch, BatchQueue
from ...formulation.batch_queue import PATIENCE_US
from .instances import ServedInstance
from .lanes import Flight, Lanes
from .passing import PassingLoad

R = TypeVar("R")


@dataclass(frozen=True)
class Line:
    """How one model's requests are served.

    Attributes
    ----------
    instances : tuple of ServedInstance
    max_batch : int
    window_us : float
    """

    instances: tuple[ServedInstance, ...]
    max_batch: int
    window_us: float

    @property
    def work_us(self) -> float:
        """Core time of one request in a full batch, on the instance that takes least."""
        size = self.max_batch
        return (
            min(
                sum(s.service_us[min(size, len(s.service_us)) - 1] * s.threads for s in i.stages) * i.pace
                for i in self.instances
            )
            / size
        )

    def queue(self, patience_us: float) -> BatchQueue:
        """An empty queue, by the times of its fastest instance at each size."""
        times = [min(_time(i, size) for i in self.instances) for size in range(1, self.max_batch + 1)]
        return BatchQueue(self.max_batch, self.window_us, times, patience_us=patience_us)


@dataclass(frozen=True)
class Departure(Generic[R]):
    """A batch and where it goes.

    Attributes
    ----------
    model : str
    batch : Batch
    flight : Flight
        Its instance, cores and predicted times.
    leaves_us : float
        From when on the batch may leave.
    goes : bool
        Whether it goes as soon as it may leave; otherwise it waits for the instance.
    """

    model: str
    batch: Batch[R]
    flight: Flight
    leaves_us: float
    goes: bool

    @property
    def service_us(self) -> float:
        """Predicted time of the batch on its own."""
        return self.flight.instance.service_us[self.batch.size - 1]


class Desk(Generic[R]):
    """Queues of several models in front of their instances.

    Parameters
    ----------
    lines : mapping of str to Line
        By model.
    capacity : int
        Most requests of one model that wait.
    admission : bool
        Whether requests are refused whose deadline cannot be met. The capacity holds in any case.
    patience_us : float
        See `urgency_us`.
    """

    def __init__(
        self,
        lines: Mapping[str, Line],
        *,
        capacity: int = 256,
        admission: bool = True,
        patience_us: float = PATIENCE_US,
    ) -> None:
        self.lines = lines
        self.capacity = capacity
        self.admission = admission
        self.lanes = Lanes()
        self.queues: dict[str, BatchQueue[R]] = {model: line.queue(patience_us) for model, line in lines.items()}
        self._passing = PassingLoad(len({c for line in lines.values() for i in line.instances for c in i.cores}))

    @property
    def waiting(self) -> int:
        """Requests that have not left."""
        return sum(map(len, self.queues.values()))

    def arrive(
        self,
        model: str,
        request: R,
        now_us: float,
        *,
        arrival_us: float | None = None,
        deadline_us: float = math.inf,
        priority: int = 0,
    ) -> None:
        """Accept a request or refuse it.

        Parameters
        ----------
        model : str
        request : object
        now_us : float
        arrival_us : float, optional
            When it was due to come, where that was earlier than now.
        deadline_us : float
            Absolute; ∞ where there is none.
        priority : int
            Larger is more urgent.

        Raises
        ------
        AdmissionError
            Too many wait, its deadline cannot be met, or it would make an accepted request of its priority or above
            miss a deadline.
        """
        self.lanes.settle(now_us)
        queue = self.queues[model]
        subject = f"request for model {model!r}"
        if len(queue) >= self.capacity:
            raise AdmissionError(
                subject,
                expected=f"fewer than {self.capacity} requests of this model waiting",
                got=f"{len(queue)}",
                remedy="Ask less often, or plan for this load.",
                deadline_us=deadline_us,
            )
        arrived_us = now_us if arrival_us is None else arrival_us
        if not self.admission:
            queue.arrive(request, arrived_us, deadline_us, priority)
            return
        after = {m: q.copy() for m, q in self.queues.items()}
        newcomer = after[model].arrive(request, arrived_us, deadline_us, priority)
        ends_us = {
            (departure.model, entry.order): (entry, departure.flight.end_us, departure.service_us)
            for departure in self._play(after, now_us)
            for entry in departure.batch.waiting
        }
        _, end_us, service_us = ends_us.pop((model, newcomer.order))
        end_us = now_us + service_us + self._passing.wait_us(end_us - service_us - now_us, priority, now_us)
        if end_us > deadline_us:
            raise AdmissionError(
                subject,
                expected=f"a finish within its deadline, {(deadline_us - now_us) / 1e3:.1f} ms from now",
                got=f"a predicted finish {(end_us - now_us) / 1e3:.1f} ms from now",
                remedy="Ask less often, allow more time, or plan for this load.",
                predicted_us=end_us,
                deadline_us=deadline_us,
            )
        late = {key for key, (e, us, _) in ends_us.items() if us > e.deadline_us and e.priority >= priority}
        if late and (made_late := late - self._late(now_us)):
            raise AdmissionError(
                subject,
                expected="all requests accepted before to end in time beside it",
                got=f"{len(made_late)} of {len(ends_us)} that would end late",
                remedy="Ask less often, allow more time, or plan for this load.",
                predicted_us=end_us,
                deadline_us=deadline_us,
            )
        queue.arrive(request, arrived_us, deadline_us, priority)
        self._passing.accept(priority, self.lines[model].work_us, now_us)

    def adopt(self, other: Desk[R]) -> None:
        """Take over from another desk what is under way, what waits, as accepted as it was, and what passes it.

        How requests spread over paths begins anew, for this desk's paths are others.
        """
        self.lanes = Lanes(other.lanes.flights)
        self._passing.take_over(other._passing)
        for model, queue in other.queues.items():
            for entry in sorted(queue.waiting, key=lambda entry: entry.order):
                self.queues[model].arrive(entry.request, entry.arrival_us, entry.deadline_us, entry.priority)

    def departures(self, now_us: float) -> list[Departure[R]]:
        """Send what goes now.

        Of each flight say when a stage begins (`Flight.began_us`) and has ended (`leg_ended`), or that it `failed`.
        """
        self.lanes.settle(now_us)
        return self._decide(self.queues, self.lanes, now_us)

    def predictions(self, now_us: float) -> list[Departure[R]]:
        """All that waits, as it would leave and end if nothing more came."""
        return self._play({model: queue.copy() for model, queue in self.queues.items()}, now_us)

    def leg_ended(self, flight: Flight, now_us: float) -> None:
        """The stage of a batch that ran has ended."""
        self.lanes.leg_ended(flight, now_us)

    def failed(self, flight: Flight) -> None:
        """A batch will not run on."""
        self.lanes.remove(flight)

    def hurry(self) -> None:
        """From now on nobody waits for others."""
        for queue in self.queues.values():
            queue.window_us = 0.0

    def next_event_us(self, now_us: float) -> float:
        """When `departures` must be asked again, if nothing arrives or ends before; ∞ if only then."""
        return self._next_leave_us(self.queues, now_us)

    def _next_leave_us(self, queues: Mapping[str, BatchQueue[R]], now_us: float) -> float:
        return min(
            (
                queue.next_event_us(instance.service_us, after_us=now_us)
                for model, queue in queues.items()
                if len(queue)
                for instance in self.lines[model].instances
            ),
            default=math.inf,
        )

    def _late(self, now_us: float) -> set[tuple[str, int]]:
        return {
            (departure.model, entry.order)
            for departure in self.predictions(now_us)
            for entry in departure.batch.waiting
            if departure.flight.end_us > entry.deadline_us
        }

    def _play(self, queues: Mapping[str, BatchQueue[R]], now_us: float) -> list[Departure[R]]:
        """Send all of `queues`, as time goes on."""
        lanes, sent = self.lanes.copy(), []
        while True:
            sent += self._decide(queues, lanes, now_us)
            if not any(map(len, queues.values())):
                return sent
            now_us = min(max(now_us, lanes.next_end_us), self._next_leave_us(queues, now_us))
            lanes.end_until(now_us)

    def _decide(self, queues: Mapping[str, BatchQueue[R]], lanes: Lanes, now_us: float) -> list[Departure[R]]:
        """Move what goes now from the queues to the lanes."""
        sent: list[Departure[R]] = []
        if not self._any_open(queues, lanes):
            return sent
        # Copies, with those that chose and must wait put where they will go, only once there is one.
        choosing, chosen = queues, lanes
        while best := self._next(choosing, chosen, now_us):
            if best.goes:
                queues[best.model].take(best.batch)
                lanes.add(best.flight)
                sent.append(best)
            elif choosing is queues:
                choosing, chosen = {model: queue.copy() for model, queue in queues.items()}, lanes.copy()
            if choosing is not queues:
                choosing[best.model].take(best.batch)
                chosen.add(best.flight.copy())
            if not self._any_open(choosing, chosen):
                break
        return sent

    def _next(self, queues: Mapping[str, BatchQueue[R]], lanes: Lanes, now_us: float) -> Departure[R] | None:
        """Of all models and priorities the most urgent batch that may leave now."""
        heads = [
            (queue.head_urgency_us(priority), model, priority)
            for model, queue in queues.items()
            for priority in queue.priorities
        ]
        for _, model, priority in sorted(heads):
            best = self._best(model, queues[model], priority, lanes, now_us)
            if best.leaves_us <= now_us:
                return best
        return None

    def _any_open(self, queues: Mapping[str, BatchQueue[R]], lanes: Lanes) -> bool:
        return any(
            lanes.is_open(instance, queue.priorities[0])
            for model, queue in queues.items()
            if len(queue)
            for instance in self.lines[model].instances
        )

    def _best(self, model: str, queue: BatchQueue[R], priority: int, lanes: Lanes, now_us: float) -> Departure[R]:
        """The next batch of a model and priority, on the instance that is due and predicted to end it first."""
        found: list[Departure[R]] = []
        for instance in lanes.due(self.lines[model].instances):
            leaves_us = max(now_us, queue.next_event_us(instance.service_us, priority))
            batch = queue.peek(leaves_us, instance.service_us, priority)
            assert batch is not None  # by the meaning of next_event_us
            offer = lanes.lay(instance, batch.size, priority, leaves_us)
            starts_us = offer.flight.legs[0].start_us
            if starts_us > leaves_us and not offer.goes:
                # By the time the instance can take it, fewer may be in time together.
                batch = queue.peek(starts_us, instance.service_us, priority) or batch
                offer = lanes.lay(instance, batch.size, priority, leaves_us)
            found.append(Departure(model, batch, offer.flight, leaves_us, offer.goes))
        return min(found, key=lambda departure: (departure.flight.end_us, departure.flight.instance.number))


def _time(instance: ServedInstance, size: int) -> float:
    times: Sequence[float] = instance.service_us
    return times[min(size, len(times)) - 1]
