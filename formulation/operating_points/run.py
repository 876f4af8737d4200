"""State of a simulated run: loaded points, what they serve, and how fast."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from ..contention import Activity, co_run_slowdowns
from ..errors import PlanError
from .point import OperatingPoint
from .policy import Loaded, Policy, Sight
from .world import World

DONE_US = 1e-6
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


class Run:
    """State of one run."""

    def __init__(self, world: World, policy: Policy) -> None:
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
        self._activity: dict[tuple[str, int], tuple[Activity, ...]] = {}
        self._held_bytes: dict[str, float] | None = None
        self._speeds: dict[tuple[object, ...], tuple[float, ...]] = {}

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
        if self._held_bytes is None:
            taken: dict[str, float] = {}
            for server in self.servers:
                for memory, size in server.point.memory_bytes.items():
                    taken[memory] = taken.get(memory, 0.0) + size
            self._held_bytes = taken
        return self._held_bytes

    def outside_share(self) -> float:
        """Largest share of what is loaded in a memory that does not fit there."""
        taken = self._taken()
        return max(
            (1 - limit / taken[m] for m, limit in self.phase.memory_bytes.items() if taken.get(m, 0) > limit),
            default=0.0,
        )

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
        self._held_bytes = None
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
        speeds: list[tuple[_Server, float]] = []
        there: dict[str, list[tuple[_Server, int]]] = {}
        for server in self.servers:
            if server.running is None:
                continue
            stage = server.running.stage
            if stage < 0:
                speeds.append((server, 1.0))
            else:
                there.setdefault(server.point.uses[stage].processor, []).append((server, stage))
        for name, running in there.items():
            key = (name, self.phase.start_us, *((s.model, s.index, stage) for s, stage in running))
            if key not in self._speeds:
                self._speeds[key] = self._shared(name, [s.activities[stage] for s, stage in running])
            speeds += [(s, speed) for (s, _), speed in zip(running, self._speeds[key], strict=True)]
        return speeds

    def _shared(self, name: str, activities: list[Activity]) -> tuple[float, ...]:
        """Speed of each of the activities that share a processor with each other and with the background."""
        others = self.phase.background_cores.get(name, 0.0)
        width = max(1, math.ceil(others))
        everyone = [*activities, Activity(model="", configuration="", processor=name, threads=width)]
        slow = co_run_slowdowns(everyone, self.cores[name], [1.0] * len(activities) + [others / width])
        return tuple(1.0 / (float(x) * self.phase.slowdown.get(name, 1.0)) for x in slow[:-1])

    def advance(self, server: _Server) -> None:
        """A stage has ended: go on to the next, or end the request."""
        request = server.running
        assert request is not None
        uses = server.point.uses
        while request.left_us <= DONE_US:
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
