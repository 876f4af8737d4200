"""Discrete-event simulation of a service plan: batches that form, lanes that serve them, co-run slowdown as it happens.

It knows nothing of the evaluator's formulas: batches are routed to instances one by one, lanes take them first come
first served, and what runs on other lanes of the processor slows a run down while it runs.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..arrivals import arrival_times
from ..contention import Activity
from ..errors import WorkloadError
from ..workload import Poisson
from .layout import Layout, Placed, layout_of
from .plan import ServicePlan
from .problem import ThroughputProblem
from .timing import StageCosts

Routing = Literal["first_end", "planned"]
"""Where a batch goes. ``planned``: to the path that is furthest behind the rate that the plan counts on there, and on
it to the instance that is expected to end it first. ``first_end``: to the instance of all that is expected to end it
first, whatever that leaves for other models."""


@dataclass(frozen=True)
class ServedModel:
    """What one model's requests met.

    Attributes
    ----------
    arrival_us, response_us : ndarray, shape (requests,)
        In order of arrival; those of the warm-up are left out.
    mean_batch : float
        Requests in a batch on average; NaN where there was none.
    """

    arrival_us: NDArray[np.float64]
    response_us: NDArray[np.float64]
    mean_batch: float

    def percentile_us(self, level: float) -> float:
        """Response that a share `level` of the requests kept to; NaN where there were none."""
        return float(np.quantile(self.response_us, level)) if len(self.response_us) else float("nan")


@dataclass(frozen=True)
class ServiceSimulation:
    """A simulated service.

    Attributes
    ----------
    models : mapping of str to ServedModel
    busiest : dict
        By processor: share of the time that its busiest lane ran, until the last request ended.
    duration_us : float
        Until then.
    """

    models: Mapping[str, ServedModel]
    busiest: dict[str, float]
    duration_us: float


@dataclass(slots=True)
class _Run:
    """A formed batch on its way."""

    model: int
    requests: list[int]
    instance: Placed
    position: int = 0
    left_us: float = 0.0
    activity: Activity | None = None


@dataclass(slots=True)
class _Lane:
    queue: deque[_Run] = field(default_factory=deque)
    current: _Run | None = None
    backlog_us: float = 0.0
    since_us: float = 0.0
    speed: float = 1.0
    version: int = 0
    busy_us: float = 0.0


def simulate_service(
    problem: ThroughputProblem,
    plan: ServicePlan,
    duration_us: float,
    *,
    seed: int = 0,
    warm_up: float = 0.1,
    routing: Routing = "planned",
) -> ServiceSimulation:
    """Play random arrivals at the plan's rates to their end.

    Parameters
    ----------
    problem : ThroughputProblem
    plan : ServicePlan
        Its services' `rate_hz` are the mean rates.
    duration_us : float
        Time in which requests arrive.
    seed : int
        Each model draws from its own child of it.
    warm_up : float
        Share of each model's requests, in [0, 1), left out at the front.
    routing : {'planned', 'first_end'}

    Raises
    ------
    PlanError
        The plan does not fit the problem.
    WorkloadError
        A duration or a warm-up that makes no sense, or a plan that counts on no requests at all.
    """
    rates = [plan.service(model.name).rate_hz for model in problem.models]
    if not duration_us > 0 or not 0 <= warm_up < 1 or not sum(rates) > 0:
        raise WorkloadError(
            "simulation",
            expected="a duration of more than 0, a warm-up in [0, 1) and rates of more than 0",
            got=f"{duration_us} µs, {warm_up} and {sum(rates)} requests a second",
            remedy="Correct these.",
        )
    layout, instance_hz = layout_of(problem, plan)
    path_hz = [sum(instance_hz[k] for k in path.instances) for path in layout.paths]
    arrivals = [
        arrival_times(Poisson(rate_hz=rate), duration_us, np.random.default_rng([seed, i])) if rate > 0 else np.zeros(0)
        for i, rate in enumerate(rates)
    ]
    return _Simulation(problem, layout, arrivals, None if routing == "first_end" else path_hz).run(warm_up)


class _Simulation:
    def __init__(
        self,
        problem: ThroughputProblem,
        layout: Layout,
        arrivals: list[NDArray[np.float64]],
        path_hz: list[float] | None,
    ) -> None:
        self._problem, self._layout, self._arrivals, self._path_hz = problem, layout, arrivals, path_hz
        self._sent = [0] * len(layout.paths)
        self._costs = StageCosts(problem)
        self._lanes = [_Lane() for _ in layout.lanes]
        self._neighbours = [
            [k for k, other in enumerate(layout.lanes) if other.processor == lane.processor] for lane in layout.lanes
        ]
        self._contends = any(a.sensitivity > 0 for a in problem.contention.activities)
        self._open: list[list[int]] = [[] for _ in problem.models]
        self._opened = [0] * len(problem.models)
        self._ends = [np.zeros(len(times)) for times in arrivals]
        self._batches = [0] * len(problem.models)
        self._instances = [[p for p in layout.instances if p.model == i] for i in range(len(problem.models))]
        self._events: list[tuple[float, int, str, tuple[Any, ...]]] = []
        self._count = 0

    def run(self, warm_up: float) -> ServiceSimulation:
        for i, times in enumerate(self._arrivals):
            if len(times):
                self._at(float(times[0]), "arrival", (i, 0))
        now = 0.0
        while self._events:
            now, _, kind, data = heapq.heappop(self._events)
            getattr(self, f"_{kind}")(now, *data)
        served = {}
        for i, model in enumerate(self._problem.models):
            first = int(warm_up * len(self._arrivals[i]))
            response = (self._ends[i] - self._arrivals[i])[first:]
            size = len(self._arrivals[i]) / self._batches[i] if self._batches[i] else float("nan")
            served[model.name] = ServedModel(self._arrivals[i][first:], response, size)
        busiest = {p.name: 0.0 for p in self._problem.platform.processors}
        for lane, state in zip(self._layout.lanes, self._lanes, strict=True):
            busiest[lane.processor] = max(busiest[lane.processor], state.busy_us / now if now > 0 else 0.0)
        return ServiceSimulation(served, busiest, now)

    def _at(self, time_us: float, kind: str, data: tuple[Any, ...]) -> None:
        self._count += 1
        heapq.heappush(self._events, (time_us, self._count, kind, data))

    def _arrival(self, now: float, i: int, k: int) -> None:
        if k + 1 < len(self._arrivals[i]):
            self._at(float(self._arrivals[i][k + 1]), "arrival", (i, k + 1))
        if not self._open[i] and self._layout.max_batch[i] > 1 and self._layout.window_us[i] > 0:
            self._at(now + self._layout.window_us[i], "window", (i, self._opened[i]))
        self._open[i].append(k)
        if len(self._open[i]) == self._layout.max_batch[i] or self._layout.window_us[i] == 0:
            self._leave(now, i)

    def _window(self, now: float, i: int, number: int) -> None:
        if number == self._opened[i] and self._open[i]:
            self._leave(now, i)

    def _leave(self, now: float, i: int) -> None:
        """The open batch of a model leaves, to the instance that is expected to end it first."""
        requests, self._open[i] = self._open[i], []
        self._opened[i] += 1
        self._batches[i] += 1
        offered = self._instances[i] if self._path_hz is None else self._behind(i, len(requests), self._path_hz)
        best = min(offered, key=lambda placed: self._expected_end(now, placed, len(requests)))
        self._join(now, _Run(i, requests, best))

    def _behind(self, i: int, size: int, path_hz: list[float]) -> list[Placed]:
        """Instances of the model's path that is furthest behind its planned rate."""
        mine = [k for k, path in enumerate(self._layout.paths) if path.model == i and path_hz[k] > 0]
        chosen = min(mine, key=lambda k: (self._sent[k] + size) / path_hz[k])
        self._sent[chosen] += size
        return [self._layout.instances[n] for n in self._layout.paths[chosen].instances]

    def _expected_end(self, now: float, placed: Placed, size: int) -> float:
        end = now
        for position, lane in enumerate(placed.lanes):
            state = self._lanes[lane]
            running = state.current.left_us - (now - state.since_us) * state.speed if state.current else 0.0
            end = max(end, now + state.backlog_us + max(0.0, running)) + self._alone(placed, position, size)
            if position + 1 < len(placed.lanes):
                end += self._handover(placed, position, size)
        return end

    def _alone(self, placed: Placed, position: int, size: int) -> float:
        most = self._layout.max_batch[placed.model]
        return float(self._costs.times_us(placed.stages[position], most)[size - 1])

    def _handover(self, placed: Placed, position: int, size: int) -> float:
        return float(self._costs.handover_us(placed.stages[position : position + 2], np.array([float(size)]))[0])

    def _join(self, now: float, run: _Run) -> None:
        lane = run.instance.lanes[run.position]
        run.left_us = self._alone(run.instance, run.position, len(run.requests))
        stage = run.instance.stages[run.position]
        model = self._problem.models[run.model]
        c = model.costs.configurations[stage.configuration]
        run.activity = self._problem.contention.activity(model.name, c.name, c.processor, c.threads)
        state = self._lanes[lane]
        state.queue.append(run)
        state.backlog_us += run.left_us
        if state.current is None:
            self._start(now, lane)

    def _start(self, now: float, lane: int) -> None:
        state = self._lanes[lane]
        if state.queue:
            state.current = state.queue.popleft()
            state.backlog_us -= state.current.left_us
            state.since_us, state.speed = now, 1.0
            self._schedule(now, lane)
        if self._contends:
            self._adjust(now, lane)

    def _schedule(self, now: float, lane: int) -> None:
        state = self._lanes[lane]
        assert state.current is not None
        state.version += 1
        self._at(now + state.current.left_us / state.speed, "end", (lane, state.version))

    def _adjust(self, now: float, lane: int) -> None:
        """What runs on this processor changed: new speeds for all that runs there."""
        running = [k for k in self._neighbours[lane] if self._lanes[k].current is not None]
        pressure = sum(self._activity(k).pressure for k in running)
        for k in running:
            state, activity = self._lanes[k], self._activity(k)
            speed = 1.0 / (1.0 + activity.sensitivity * (pressure - activity.pressure))
            if speed != state.speed:
                assert state.current is not None
                state.current.left_us -= (now - state.since_us) * state.speed
                state.busy_us += now - state.since_us
                state.since_us, state.speed = now, speed
                self._schedule(now, k)

    def _activity(self, lane: int) -> Activity:
        current = self._lanes[lane].current
        assert current is not None
        assert current.activity is not None
        return current.activity

    def _end(self, now: float, lane: int, version: int) -> None:
        state = self._lanes[lane]
        if version != state.version or state.current is None:
            return
        run, state.current = state.current, None
        state.busy_us += now - state.since_us
        if run.position + 1 < len(run.instance.stages):
            delay = self._handover(run.instance, run.position, len(run.requests))
            run.position += 1
            self._at(now + delay, "join", (run,))
        else:
            self._ends[run.model][run.requests] = now
        self._start(now, lane)
