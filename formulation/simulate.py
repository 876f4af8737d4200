"""Simulated responses of a plan: the dispatch rule played against seeded arrivals and predicted segment times."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arrivals import arrival_times
from .dispatch import Dispatcher
from .errors import PlanError, capped
from .evaluate import evaluate
from .plan import Plan
from .problem import Problem
from .structure import steps_of


@dataclass(frozen=True)
class SimulatedResponses:
    """Responses of one stream's requests.

    Attributes
    ----------
    arrival_us, response_us : ndarray, shape (requests,)
        In order of arrival.
    deadline_us : float
        ∞ where there is none.
    """

    arrival_us: NDArray[np.float64]
    response_us: NDArray[np.float64]
    deadline_us: float

    @property
    def miss_ratio(self) -> float:
        """Share of requests that end after their deadline; 0 where there were none."""
        return float(np.mean(self.response_us > self.deadline_us)) if len(self.response_us) else 0.0

    def percentile_us(self, share: float) -> float:
        """Response that `share` of the requests keep to, microseconds; NaN where there were none."""
        return float(np.quantile(self.response_us, share)) if len(self.response_us) else float("nan")


def simulate(
    problem: Problem, plan: Plan, duration_us: float, seed: int = 0, *, late_last: bool = True
) -> Mapping[str, SimulatedResponses]:
    """Play all requests that arrive within `duration_us` to their end.

    Segments take exactly their predicted time. Transfers between memories delay a request without occupying a core.

    Parameters
    ----------
    problem : Problem
        With a stream for every model to be simulated.
    plan : Plan
    duration_us : float
    seed : int
        Each stream draws from its own child of this seed, so that adding a stream leaves the others as they were.
    late_last : bool
        Whether what cannot be in time any more goes last, as in the live runtime. Others have no such rule.

    Raises
    ------
    PlanError
        The plan's segments cannot run at all.
    """
    evaluation = evaluate(problem, plan)
    if not evaluation.models:
        raise PlanError(
            "plan", expected="segments that can run", got=capped(evaluation.violations), remedy="Plan again."
        )
    streams = [s for s in problem.streams if s.model in evaluation.models]
    arrivals = [
        arrival_times(stream.arrival, duration_us, np.random.default_rng([seed, k])) for k, stream in enumerate(streams)
    ]
    segments = [evaluation.models[stream.model].segments for stream in streams]
    steps = [steps_of(of_model, plan.order, late_last) for of_model in segments]

    order = sorted((time, k, i) for k, times in enumerate(arrivals) for i, time in enumerate(times))
    ends = [np.zeros(len(times)) for times in arrivals]
    dispatcher = Dispatcher(core for processor in problem.platform.processors for core in processor.cores)
    running: list[tuple[float, int, int]] = []
    next_arrival = 0
    while next_arrival < len(order) or running:
        arrival = order[next_arrival][0] if next_arrival < len(order) else np.inf
        now = min(arrival, running[0][0] if running else np.inf)
        while running and running[0][0] <= now:
            _, request, step = heapq.heappop(running)
            if dispatcher.finish(request, step):
                _, k, i = order[request]
                ends[k][i] = now
        while next_arrival < len(order) and order[next_arrival][0] <= now:
            time, k, _ = order[next_arrival]
            relative = streams[k].deadline_us
            dispatcher.release(next_arrival, np.inf if relative is None else time + relative, steps[k])
            next_arrival += 1
        for start in dispatcher.starts(now):
            k = order[start.request][1]
            segment = segments[k][start.step]
            took_us = segment.latency_us if start.gang is None else segment.gang_us[start.gang]
            heapq.heappush(running, (now + took_us, start.request, start.step))
    return {
        stream.model: SimulatedResponses(
            times, end - times, np.inf if stream.deadline_us is None else stream.deadline_us
        )
        for stream, times, end in zip(streams, arrivals, ends, strict=True)
    }
