"""A world played against a policy: discrete events in virtual time, processors shared fairly."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from ..arrivals import arrival_times
from ..contention import Activity, co_run_slowdowns
from ..errors import PlanError
from ..workload import Poisson
from .metrics import ModelRun, PolicyRun
from .point import OperatingPoint
from .policy import Loaded, Policy, Sight
from .world import Phase, World

_DONE_US = 1e-6
"""Work that counts as none: sums of floats, no more."""


@dataclass(slots=True)
class _Request:
    arrival_us: float
    factor: float
    start_us: float = 0.0
    stage: int = -1
    left_us: float = 0.0


@dataclass(slots=True)
class _Server:
    """A loaded point of a model: one request at a time, first come first served."""

    model: str
    index: int
    point: OperatingPoint
    activities: tuple[Activity, ...]
    queue: deque[_Request] = field(default_factory=deque)
    running: _Request | None = None
    ready_us: float = 0.0
    leaving: bool = False


class _Run:
    """State of one run."""

    def __init__(self, world: World, policy: Policy, seed: int) -> None:
        self.world, self.policy = world, policy
        self.models = {model.model: model for model in world.models}
        self.cores = {p.name: p.cores for p in world.processors}
        self.now, self.phase = 0.0, world.phases[0]
        self.servers: list[_Server] = []
        self.pending: dict[str, tuple[int, ...]] = {}
        self.wanted: dict[str, tuple[int, ...]] = {}
        self.held: dict[str, deque[_Request]] = {name: deque() for name in self.models}
        self.arrived = dict.fromkeys(self.models, 0)
        self.refused = dict.fromkeys(self.models, 0)
        self.responses: dict[str, list[float]] = {name: [] for name in self.models}
        self.history: list[tuple[float, str, tuple[int, ...]]] = []
        self.over_limit_us = 0.0
        self.rng = np.random.default_rng([seed, len(world.models)])
        self._activity: dict[tuple[str, int], tuple[Activity, ...]] = {}

    def sight(self) -> Sight:
        taken = self._taken()
        flight: dict[tuple[str, int], int] = {}
        for s in self.servers:
            flight[s.model, s.index] = len(s.queue) + (s.running is not None)
        return Sight(
            self.now,
            self.models,
            dict(self.wanted),
            {m: limit - taken.get(m, 0.0) for m, limit in self.phase.memory_bytes.items()},
            dict(self.arrived),
            flight,
            {p: self.phase.background_cores.get(p, 0.0) for p in self.world.foreign_seen},
        )

    def _taken(self) -> dict[str, float]:
        taken: dict[str, float] = {}
        for server in self.servers:
            for memory, size in server.point.memory_bytes.items():
                taken[memory] = taken.get(memory, 0.0) + size
        return taken

    def outside_share(self) -> float:
        """Largest share of what is loaded in a memory that does not fit there."""
        taken = self._taken()
        return max((1 - limit / taken[m] for m, limit in self.phase.memory_bytes.items() if taken.get(m, 0) > limit), default=0.0)

    def change(self, loaded: Loaded, *, first: bool = False) -> None:
        for model, points in loaded.items():
            points = tuple(sorted(set(points)))
            if not points or any(not 0 <= j < len(self.models[model].points) for j in points):
                raise PlanError(
                    f"points of model {model!r} by policy {self.policy.name!r}",
                    expected=f"indices below {len(self.models[model].points)}",
                    got=f"{points}",
                    remedy="Correct the policy.",
                )
            if points == self.wanted.get(model):
                continue
            self.wanted[model] = points
            if not first:
                self.history.append((self.now, model, points))
            for server in [s for s in self.servers if s.model == model and s.index not in points]:
                server.leaving = True
                self.held[model].extend(server.queue)
                server.queue.clear()
            self.pending[model] = points
            self.settle(model, free=first)

    def settle(self, model: str, *, free: bool = False) -> None:
        """Once leaving points have ended their requests: unload them, load what was asked for."""
        if model not in self.pending:
            return
        own = [s for s in self.servers if s.model == model]
        if any(s.leaving and s.running is not None for s in own):
            return
        points = self.pending.pop(model)
        self.servers = [s for s in self.servers if not (s.model == model and s.leaving)]
        have = {s.index for s in self.servers if s.model == model}
        ready = self.now
        for j in points:
            if j not in have:
                point = self.models[model].points[j]
                if not free:
                    ready += point.recompile_us + point.reload_bytes / self.world.reload_bytes_per_us
                self.servers.append(_Server(model, j, point, self._activities(model, j), ready_us=ready))
        held, self.held[model] = self.held[model], deque()
        for request in held:
            self.enqueue(model, request)

    def _activities(self, model: str, j: int) -> tuple[Activity, ...]:
        if (model, j) not in self._activity:
            point = self.models[model].points[j]
            self._activity[model, j] = tuple(
                Activity(
                    model=model,
                    configuration=point.name,
                    processor=u.processor,
                    threads=u.cores,
                    sensitivity=u.sensitivity,
                    pressure=u.pressure,
                )
                for u in point.uses
            )
        return self._activity[model, j]

    def arrive(self, model: str, factor: float) -> None:
        self.arrived[model] += 1
        waiting = len(self.held[model]) + sum(
            len(s.queue) + (s.running is not None) for s in self.servers if s.model == model
        )
        if waiting >= self.world.max_in_flight:
            self.refused[model] += 1
        else:
            self.enqueue(model, _Request(self.now, factor))

    def enqueue(self, model: str, request: _Request) -> None:
        if model in self.pending:
            self.held[model].append(request)
            return
        j = self.policy.route(model, self.sight()) if len(self.wanted[model]) > 1 else self.wanted[model][0]
        server = next(s for s in self.servers if s.model == model and s.index == j)
        server.queue.append(request)
        self.begin(server)

    def begin(self, server: _Server) -> None:
        if server.running is None and server.queue and server.ready_us <= self.now:
            request = server.running = server.queue.popleft()
            request.start_us = self.now
            point = server.point
            other = max(0.0, point.latency_us - sum(u.busy_us for u in point.uses))
            paged = self.outside_share() * point.total_bytes / self.world.paging_bytes_per_us
            request.left_us = other + paged

    def rates(self) -> list[tuple[_Server, float]]:
        """Every running request with its speed, 1 on an idle device."""
        speeds = [(s, 1.0) for s in self.servers if s.running is not None and s.running.stage < 0]
        for name, cores in self.cores.items():
            there = [
                s
                for s in self.servers
                if s.running is not None and s.running.stage >= 0 and s.point.uses[s.running.stage].processor == name
            ]
            if not there:
                continue
            acts = [s.activities[s.running.stage] for s in there if s.running is not None]
            others = self.phase.background_cores.get(name, 0.0)
            width = max(1, math.ceil(others))
            acts.append(Activity(model="", configuration="", processor=name, threads=width))
            slow = co_run_slowdowns(acts, cores, [1.0] * len(there) + [others / width])
            extra = self.phase.slowdown.get(name, 1.0)
            speeds += [(s, 1.0 / (float(x) * extra)) for s, x in zip(there, slow, strict=False)]
        return speeds

    def advance(self, server: _Server) -> None:
        """A stage has ended: go on to the next, or end the request."""
        request = server.running
        assert request is not None
        uses = server.point.uses
        while request.left_us <= _DONE_US:
            request.stage += 1
            if request.stage == len(uses):
                server.running = None
                self.responses[server.model].append(self.now - request.arrival_us)
                execution_us = self.now - request.start_us
                self.settle(server.model)
                self.begin(server)
                self.change(self.policy.served(server.model, server.index, execution_us, self.sight()))
                return
            request.left_us = uses[request.stage].busy_us * request.factor


def simulate_policy(world: World, policy: Policy, seed: int = 0) -> PolicyRun:
    """Play a world against a policy.

    A loaded point serves one request at a time. Running requests share a processor as `co_run_slowdowns` says, threads of
    others counting like ours. When a model's points change, its requests wait: those that run end first, then memory is
    exchanged, then the new points are made ready, which takes their recompile time and the reading of their bytes.

    Parameters
    ----------
    world : World
    policy : Policy
        A fresh one: policies keep state.
    seed : int
        The same seed gives the same arrivals and the same variation to every policy.

    Returns
    -------
    PolicyRun
    """
    run = _Run(world, policy, seed)
    arrivals: list[tuple[float, str, float]] = []
    sigma = math.sqrt(math.log1p(world.time_scv))
    ends = [*(phase.start_us for phase in world.phases[1:]), world.duration_us]
    for k, model in enumerate(world.models):
        rng = np.random.default_rng([seed, k])
        for phase, end in zip(world.phases, ends, strict=True):
            span = max(0.0, min(end, world.duration_us) - phase.start_us)
            if phase.rate_factor > 0 and span > 0:
                times = phase.start_us + arrival_times(Poisson(rate_hz=model.rate_hz * phase.rate_factor), span, rng)
                factors = rng.lognormal(-sigma * sigma / 2, sigma, len(times))
                arrivals += [(float(t), model.model, float(f)) for t, f in zip(times, factors, strict=True)]
    arrivals.sort()
    run.change(policy.start(run.sight()), first=True)
    phases: deque[Phase] = deque(world.phases[1:])
    next_arrival, next_look = 0, world.interval_us
    while True:
        speeds = run.rates()
        at = min(
            arrivals[next_arrival][0] if next_arrival < len(arrivals) else math.inf,
            phases[0].start_us if phases else math.inf,
            next_look,
            min((s.ready_us for s in run.servers if s.ready_us > run.now), default=math.inf),
            min((run.now + s.running.left_us / speed for s, speed in speeds if s.running is not None), default=math.inf),
        )
        end = min(at, world.duration_us)
        if run.outside_share() > 0:
            run.over_limit_us += end - run.now
        for server, speed in speeds:
            assert server.running is not None
            server.running.left_us -= (end - run.now) * speed
        run.now = end
        if at >= world.duration_us:
            break
        for server, _ in speeds:
            if server.running is not None and server.running.left_us <= _DONE_US:
                run.advance(server)
        if phases and phases[0].start_us <= run.now:
            run.phase = phases.popleft()
        while next_arrival < len(arrivals) and arrivals[next_arrival][0] <= run.now:
            _, model, factor = arrivals[next_arrival]
            next_arrival += 1
            run.arrive(model, factor)
        if next_look <= run.now:
            next_look += world.interval_us
            run.change(policy.look(run.sight()))
        for server in tuple(run.servers):
            run.begin(server)
    deadlines = {m.model: math.inf if m.deadline_us is None else m.deadline_us for m in world.models}
    return PolicyRun(
        policy.name,
        {m: ModelRun(np.array(r), run.refused[m], deadlines[m]) for m, r in run.responses.items()},
        world.duration_us,
        len(run.history),
        run.over_limit_us,
        tuple(run.history),
    )
