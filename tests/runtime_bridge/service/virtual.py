"""The service rule in virtual time: instances that take exactly as long as predicted, over the executor's own rule."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgeplan.formulation import AdmissionError, Dispatcher, Step
from edgeplan.runtime_bridge.service import Departure, Desk, Line, ServedInstance, Stage


@dataclass(frozen=True)
class Ask:
    """A request: when it comes, for which model, its absolute deadline and its priority."""

    at_us: float
    model: str = "m"
    deadline_us: float = math.inf
    priority: int = 0


@dataclass
class Outcome:
    """What became of the requests, by their position."""

    end_us: dict[int, float] = field(default_factory=dict)
    begin_us: dict[int, float] = field(default_factory=dict)
    refused: dict[int, AdmissionError] = field(default_factory=dict)
    departures: list[tuple[float, Departure[int]]] = field(default_factory=list)


def whole(number: int, service_us: Sequence[float], cores: tuple[int, ...] = (0,), model: str = "m") -> ServedInstance:
    """An instance of one segment on one of the cores."""
    return ServedInstance(model, number, (Stage(1, cores, tuple(service_us)),))


def line(*instances: ServedInstance, max_batch: int | None = None, window_us: float = 0.0) -> Line:
    """A line that takes as much as its largest instance."""
    return Line(instances, max_batch or max(len(i.service_us) for i in instances), window_us)


def serve(
    desk: Desk[int],
    asks: Sequence[Ask],
    cores: Sequence[int],
    real_us: Callable[[Departure[int], int], float] | None = None,
) -> Outcome:
    """Play requests, in order of arrival, through a desk; stages take what is predicted or what `real_us` says."""
    outcome, dispatcher = Outcome(), Dispatcher(cores)
    running: list[tuple[float, int, int]] = []
    flying: dict[int, Departure[int]] = {}
    coming = list(enumerate(asks))
    now = 0.0
    while coming or running or desk.waiting:
        times = [coming[0][1].at_us] if coming else []
        times += [running[0][0]] if running else []
        now = min([*times, desk.next_event_us(now)])
        assert math.isfinite(now), "requests wait and nothing will ever happen"
        while running and running[0][0] <= now:
            _, number, step = heapq.heappop(running)
            desk.leg_ended(flying[number].flight, now)
            if dispatcher.finish(number, step):
                outcome.end_us.update(dict.fromkeys(flying.pop(number).batch.requests, now))
        while coming and coming[0][1].at_us <= now:
            number, ask = coming.pop(0)
            try:
                desk.arrive(ask.model, number, now, deadline_us=ask.deadline_us, priority=ask.priority)
            except AdmissionError as error:
                outcome.refused[number] = error
            # Every change is followed by a look at what goes, as in the runtime.
            _send(desk, dispatcher, flying, outcome, now)
        _send(desk, dispatcher, flying, outcome, now)
        for start in dispatcher.starts():
            departure = flying[start.request]
            stage = departure.flight.instance.stages[start.step]
            took = real_us(departure, start.step) if real_us else stage.service_us[departure.batch.size - 1]
            departure.flight.began_us = now
            if start.step == 0:
                outcome.begin_us.update(dict.fromkeys(departure.batch.requests, now))
            heapq.heappush(running, (now + took, start.request, start.step))
    return outcome


def _send(
    desk: Desk[int], dispatcher: Dispatcher, flying: dict[int, Departure[int]], outcome: Outcome, now: float
) -> None:
    for departure in desk.departures(now):
        number = len(outcome.departures)
        outcome.departures.append((now, departure))
        flying[number] = departure
        steps = [
            Step(stage.threads, leg.cores, (k - 1,) if k else ())
            for k, (stage, leg) in enumerate(zip(departure.flight.instance.stages, departure.flight.legs, strict=True))
        ]
        dispatcher.release(number, departure.batch.urgency_us, steps)
