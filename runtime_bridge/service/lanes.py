"""Which cores are taken until when: batches under way and those that are only planned, by their predicted times."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from .instances import ServedInstance


@dataclass(slots=True)
class Leg:
    """One stage of one batch: its cores and its predicted start and end, absolute microseconds."""

    cores: tuple[int, ...]
    start_us: float
    end_us: float


@dataclass(slots=True, eq=False)
class Flight:
    """A batch on an instance.

    Attributes
    ----------
    instance : ServedInstance
    priority : int
    legs : list of Leg
        Those still before it; the first of them runs or is next to run.
    end_us : float
        Predicted end of the batch; when it ended, once it has.
    in_first : bool
        Whether it is in its first stage, where it keeps the next batch of its instance waiting.
    size : int
        Requests in it.
    began_us : float, optional
        When the first of its legs began; none while it waits for its cores. Whoever runs it sets it.
    """

    instance: ServedInstance
    priority: int
    legs: list[Leg]
    end_us: float
    in_first: bool = True
    size: int = 1
    began_us: float | None = None

    def copy(self) -> Flight:
        """A flight that goes its own way."""
        legs = [Leg(leg.cores, leg.start_us, leg.end_us) for leg in self.legs]
        return Flight(self.instance, self.priority, legs, self.end_us, self.in_first, self.size, self.began_us)

    def settle(self, now_us: float) -> None:
        """Shift the legs to when the first began or, where it has not, to now where that is later than predicted."""
        start_us = max(now_us, self.legs[0].start_us) if self.began_us is None else self.began_us
        self.delay(0, start_us - self.legs[0].start_us)

    def held(self, at_us: float) -> list[Leg]:
        """The leg that will have begun by then, and not ended; one that is only about to begin can be passed."""
        first = self.legs[0]
        begun = [first] if self.began_us is not None or first.start_us < at_us else []
        begun += [leg for leg in self.legs[1:] if leg.start_us < at_us]
        return [leg for leg in begun if at_us < leg.end_us]

    def delay(self, from_leg: int, by_us: float) -> None:
        """Shift a leg and those that follow."""
        for leg in self.legs[from_leg:]:
            leg.start_us += by_us
            leg.end_us += by_us
        self.end_us += by_us


@dataclass(frozen=True)
class Offer:
    """Where a batch would run, and whether it goes there as soon as it may leave.

    It goes where nothing of its own priority or above is in the way in fact, not only by prediction. It then waits for
    no more than the segment of lower priority that runs.
    """

    flight: Flight
    goes: bool


@dataclass
class Lanes:
    """Batches under way, and where another one could go.

    A batch passes those of lower priority at their next segment boundary; it never waits for more than the segment of
    theirs that runs.

    Attributes
    ----------
    flights : list of Flight
    sent : Counter
        Requests sent so far, by model and path.
    """

    flights: list[Flight] = field(default_factory=list)
    sent: Counter[tuple[str, int]] = field(default_factory=Counter)

    def copy(self) -> Lanes:
        """Lanes that go their own way, to play the future on."""
        return Lanes([flight.copy() for flight in self.flights], self.sent.copy())

    def due(self, instances: Sequence[ServedInstance]) -> Sequence[ServedInstance]:
        """Of a model's instances those on the path that is furthest behind the rate that the plan counts on there.

        All of them where the plan leaves open how requests spread over paths. A plan that does not has its reason: the
        instance that would end a batch first may be the one that another model cannot do without.
        """
        planned_hz: dict[int, float] = {}
        for instance in instances:
            planned_hz[instance.path] = planned_hz.get(instance.path, 0.0) + instance.rate_hz
        planned_hz = {path: hz for path, hz in planned_hz.items() if hz > 0}
        if len(planned_hz) < 2:
            return instances
        model = instances[0].model
        path = min(planned_hz, key=lambda path: (self.sent[model, path] + 1) / planned_hz[path])
        return [instance for instance in instances if instance.path == path]

    def lay(self, instance: ServedInstance, size: int, priority: int, at_us: float) -> Offer:
        """Where and when a batch would run that may leave at `at_us`; nothing is changed.

        It takes gaps between what is planned only where it fits in, so that by prediction it delays nothing of its own
        priority or above.
        """
        above = [f for f in self.flights if f.priority >= priority]
        taken = {core for f in above for core in f.legs[0].cores}
        blocking = [leg for f in above for leg in f.legs]
        ready_us, goes = at_us, True
        for f in above:
            if f.instance is instance and f.in_first:
                goes, ready_us = False, max(ready_us, f.legs[0].end_us)
        legs: list[Leg] = []
        for stage in instance.stages:
            length_us = stage.service_us[size - 1] * instance.pace
            in_way = blocking
            if len(above) < len(self.flights):
                # What is of lower priority and has begun by then ends its segment first; the rest of it is passed.
                in_way = blocking + [leg for f in self.flights if f.priority < priority for leg in f.held(ready_us)]
            if stage.threads > 1:  # a gang is bound to as many cores as it has threads
                start_us, cores = _fit(in_way, stage.cores, length_us, ready_us), stage.cores
            else:
                # Where two are predicted to be free at once, one that is not overdue goes first.
                start_us, _, core = min((_fit(in_way, (c,), length_us, ready_us), c in taken, c) for c in stage.cores)
                cores = (core,)
            if not legs and goes:
                passing_us = start_us if in_way is blocking else _fit(blocking, cores, length_us, at_us)
                goes = passing_us <= at_us and taken.isdisjoint(cores)
            ready_us = start_us + length_us
            legs.append(Leg(cores, start_us, ready_us))
        return Offer(Flight(instance, priority, legs, ready_us, size=size), goes)

    def is_open(self, instance: ServedInstance, priority: int) -> bool:
        """Whether some batch of that priority would go to an instance at once."""
        if any(f.instance is instance and f.in_first and f.priority >= priority for f in self.flights):
            return False
        first = instance.stages[0]
        return len(set(first.cores) - self._taken(priority)) >= first.threads

    def add(self, flight: Flight) -> None:
        """Send a batch; those of lower priority that it passes end later by its time."""
        for leg in flight.legs:
            for other in self.flights:
                if other.priority < flight.priority:
                    _delay(other, leg)
        self.flights.append(flight)
        self.sent[flight.instance.model, flight.instance.path] += flight.size

    def settle(self, now_us: float) -> None:
        """Hold the predicted beginnings against what has begun by now."""
        for flight in self.flights:
            flight.settle(now_us)

    def leg_ended(self, flight: Flight, now_us: float) -> None:
        """The running leg of a batch ended; those that follow shift with it. After the last, the batch is forgotten."""
        flight.delay(0, now_us - flight.legs[0].end_us)
        del flight.legs[0]
        flight.in_first, flight.began_us = False, None
        if not flight.legs:
            self.remove(flight)

    @property
    def next_end_us(self) -> float:
        """When by prediction the first of the running legs ends; in the past where one is overdue."""
        return min((flight.legs[0].end_us for flight in self.flights), default=math.inf)

    def end_until(self, now_us: float) -> None:
        """Let every leg end that by prediction has ended by now; one that is overdue ends now."""
        while self.next_end_us <= now_us:
            flight = min(self.flights, key=lambda f: f.legs[0].end_us)
            self.leg_ended(flight, now_us)

    def remove(self, flight: Flight) -> None:
        """Forget a batch, ended or failed; nothing happens where it is forgotten already."""
        if flight in self.flights:
            self.flights.remove(flight)

    def _taken(self, priority: int) -> set[int]:
        """Cores that a batch of that priority finds taken, whatever the predictions say."""
        return {core for f in self.flights if f.priority >= priority for core in f.legs[0].cores}


def _fit(legs: Sequence[Leg], cores: tuple[int, ...], length_us: float, ready_us: float) -> float:
    """Earliest instant from `ready_us` on at which all of the cores are free for that long."""
    start_us = ready_us
    met = [leg for leg in legs if leg.end_us > ready_us and any(core in cores for core in leg.cores)]
    if len(met) > 1:
        met.sort(key=lambda leg: leg.start_us)
    for leg in met:
        if leg.start_us >= start_us + length_us:
            break
        start_us = max(start_us, leg.end_us)
    return start_us


def _delay(passed: Flight, leg: Leg) -> None:
    """Shift the legs of a batch that have not begun, from the first that `leg` comes before on a core of both."""
    for k, other in enumerate(passed.legs):
        if set(other.cores) & set(leg.cores) and other.end_us > leg.start_us and other.start_us >= leg.start_us:
            passed.delay(k, leg.end_us - leg.start_us)
            return
