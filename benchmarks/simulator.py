"""Events a second of the simulator of tenants, beside SimPy and Ciw on the same requests.

python benchmarks/simulator.py --output docs/results/simulator.md
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ciw
import numpy as np
import simpy
from edgeplan.formulation import (
    Accelerator,
    Allocation,
    CoCompiledResidency,
    LruResidency,
    Residency,
    TenancyProblem,
    Tenant,
    TenantAllocation,
    TokenResidency,
)
from edgeplan.formulation.tenancy import Demands, demands
from edgeplan.formulation.tenancy.simulation import Batching, Requests, TenancySimulation, simulate_tenancy

COMMAND = "python benchmarks/simulator.py"
MIB = 2**20
TENANTS = 4
LONG, SHORT = 1_000_000, 50_000
LOAD = 0.7


@dataclass(frozen=True)
class Case:
    """A scenario: four tenants on an accelerator, some with a suffix on the CPU."""

    name: str
    residency: Residency = field(default_factory=TokenResidency)
    split: bool = False
    priority: tuple[int, ...] | None = None
    batching: Batching | None = None

    def build(self) -> tuple[TenancyProblem, Allocation]:
        """Problem and allocation; the accelerator is occupied for `LOAD` of the time if every request reloads."""
        rng = np.random.default_rng(1)
        tenants, parts = [], []
        for i in range(TENANTS):
            whole_us = rng.uniform(4e3, 30e3)
            weights = [0, int(rng.uniform(1, 3) * MIB), int(rng.uniform(3, 6) * MIB)]
            tenants.append(
                Tenant.create(
                    f"t{i}", [0, whole_us / 2, whole_us], [2 * whole_us, whole_us, 0], weights, [0, 200_000, 0]
                )
            )
            point = 1 if self.split and i > 0 else 2
            parts.append(TenantAllocation(tenant=f"t{i}", point=point, cores=2 if point == 1 else 0))
        device = Accelerator.model_validate(
            {
                "name": "npu",
                "weight_capacity_bytes": 8 * MIB,
                "residency": self.residency,
                "reload_fixed_us": 1950,
                "reload_us_per_byte": 2300 / MIB,
                "streaming_us_per_byte": 2700 / MIB,
                "handover_fixed_us": 100,
                "handover_us_per_byte": 1 / 400,
            }
        )
        problem = TenancyProblem.create(tenants, rng.uniform(1, 2, TENANTS), device, 2 * TENANTS)
        sets = (("t0", "t1"), ("t2", "t3")) if self.residency.kind == "co_compiled" else ()
        allocation = Allocation(tenants=tuple(parts), co_compiled=sets)
        asked = demands(problem, allocation)
        busy = float(problem.rate_hz @ (asked.service_us + asked.reload_us)) / 1e6
        return problem.replace(rate_hz=problem.rate_hz * LOAD / busy), allocation

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of `simulate_tenancy`."""
        return {
            "discipline": "priority" if self.priority else "fcfs",
            "priority": self.priority,
            "batching": None if self.batching is None else [self.batching] * TENANTS,
        }


CASES = (
    Case("first come first served, token"),
    Case("the same, with CPU stage", split=True),
    Case("priorities, token", priority=(3, 2, 1, 0)),
    Case("batching windows, token", batching=Batching(max_batch=4, window_us=20_000, marginal=0.6)),
    Case("least recently used, with CPU stage", LruResidency(), split=True),
    Case("two co-compiled sets, with CPU stage", CoCompiledResidency(), split=True),
)


def events(simulation: TenancySimulation) -> int:
    """Arrivals, starts and ends of visits to the accelerator (a batch is one visit) and to the CPU."""
    on = simulation.on_accelerator[simulation.requests.tenant]
    visits = len(np.unique(simulation.accelerator_start_us[on]))
    names = {name: i for i, name in enumerate(simulation.tenants)}
    pooled = [names[name] for pool in simulation.pools for name in pool.tenants]
    return (
        len(simulation.requests) + 2 * visits + 2 * int(np.count_nonzero(np.isin(simulation.requests.tenant, pooled)))
    )


class Memory:
    """Which weights are resident, written plainly: what SimPy and Ciw are told of residency."""

    def __init__(self, case: Case, asked: Demands, capacity: int) -> None:
        self.lru = case.residency.kind == "lru"
        self.sets = asked.residency_set.tolist()
        self.size = asked.resident_bytes.tolist()
        self.capacity = capacity
        self.current, self.loaded = None, []

    def missed(self, i: int) -> bool:
        """Use a tenant's weights; whether they had to be loaded."""
        if self.lru:
            found = i in self.loaded
            if found:
                self.loaded.remove(i)
            while self.loaded and not found and sum(self.size[j] for j in self.loaded) + self.size[i] > self.capacity:
                self.loaded.pop(0)
            self.loaded.append(i)
            return not found
        if self.sets[i] != self.current:
            self.current, self.loaded = self.sets[i], []
        if i in self.loaded:
            return False
        self.loaded.append(i)
        return True


def by_simpy(case: Case, problem: TenancyProblem, allocation: Allocation, requests: Requests) -> np.ndarray:
    """Finish of every request by SimPy: processes for requests, resources for processors."""
    asked = demands(problem, allocation)
    service, reload, handover, cpu = (
        values.tolist() for values in (asked.service_us, asked.reload_us, asked.handover_us, asked.cpu_us)
    )
    env = simpy.Environment()
    memory = Memory(case, asked, int(problem.accelerator.weight_capacity_bytes))
    cores = {i: simpy.Resource(env, int(c)) for i, c in enumerate(asked.servers) if c}
    finish = np.zeros(len(requests))
    urgency = case.priority or (0,) * TENANTS

    def rest(r: int, i: int) -> Iterator[Any]:
        if i in cores:
            yield env.timeout(handover[i])
            with cores[i].request() as turn:
                yield turn
                yield env.timeout(cpu[i])
        finish[r] = env.now

    if case.batching is None:
        accelerator = simpy.PriorityResource(env, 1)

        def request(r: int, i: int) -> Iterator[Any]:
            with accelerator.request(priority=urgency[i]) as turn:
                yield turn
                yield env.timeout(service[i] + (reload[i] if memory.missed(i) else 0.0))
            yield from rest(r, i)

        def source() -> Iterator[Any]:
            for r, (at, i) in enumerate(zip(requests.time_us.tolist(), requests.tenant.tolist(), strict=True)):
                yield env.timeout(at - env.now)
                env.process(request(r, i))

        env.process(source())
    else:
        window, most, marginal = case.batching.window_us, case.batching.max_batch, case.batching.marginal
        waiting: list[deque[tuple[float, int]]] = [deque() for _ in range(TENANTS)]
        news = [env.event()]

        def arrivals() -> Iterator[Any]:
            for r, (at, i) in enumerate(zip(requests.time_us.tolist(), requests.tenant.tolist(), strict=True)):
                yield env.timeout(at - env.now)
                waiting[i].append((env.now, r))
                if not news[0].triggered:
                    news[0].succeed()

        def eligible_from(i: int) -> float:
            full = waiting[i][most - 1][0] if len(waiting[i]) >= most else math.inf
            return min(waiting[i][0][0] + window, full)

        def server() -> Iterator[Any]:
            while True:
                found = sorted((eligible_from(i), waiting[i][0], i) for i in range(TENANTS) if waiting[i])
                # A timeout ends at now + (then − now), which rounding may put a little before then.
                if not found or found[0][0] > env.now * (1 + 1e-12):
                    news[0] = env.event()
                    yield news[0] | env.timeout(found[0][0] - env.now) if found else news[0]
                    continue
                i = found[0][2]
                batch = [waiting[i].popleft()[1] for _ in range(min(most, len(waiting[i])))]
                loading = reload[i] if memory.missed(i) else 0.0
                yield env.timeout(loading + service[i] * (1 + marginal * (len(batch) - 1)))
                for r in batch:
                    env.process(rest(r, i))

        env.process(arrivals())
        env.process(server())
    env.run()
    return finish


class SwappingService(ciw.dists.Distribution):
    """Service of the accelerator in Ciw. Ciw copies distributions deeply, so the memory is the class's."""

    memory: Memory

    def __init__(self, i: int, service_us: float, reload_us: float) -> None:
        self.i, self.service_us, self.reload_us = i, service_us, reload_us

    def sample(self, t: float | None = None, ind: object = None) -> float:
        """Longer where the weights have to be loaded."""
        return self.service_us + (self.reload_us if SwappingService.memory.missed(self.i) else 0.0)


def by_ciw(case: Case, problem: TenancyProblem, allocation: Allocation, requests: Requests) -> np.ndarray:
    """Finish of every request by Ciw: node 1 the accelerator, a node for hand-overs, a node for each tenant's cores."""
    asked = demands(problem, allocation)
    SwappingService.memory = Memory(case, asked, int(problem.accelerator.weight_capacity_bytes))
    split = np.flatnonzero(asked.servers).tolist()
    nodes = 1 + (1 + len(split) if split else 0)
    arrivals, services, routes = {}, {}, {}
    for i in range(TENANTS):
        gaps = np.diff(requests.time_us[requests.tenant == i], prepend=0.0)
        arrivals[f"c{i}"] = [ciw.dists.Sequential([*gaps.tolist(), math.inf]), *[None] * (nodes - 1)]
        own = [ciw.dists.Deterministic(float(asked.cpu_us[k])) for k in split]
        after = [ciw.dists.Deterministic(float(asked.handover_us[i])), *own] if split else []
        services[f"c{i}"] = [SwappingService(i, float(asked.service_us[i]), float(asked.reload_us[i])), *after]
        matrix = np.zeros((nodes, nodes))
        if i in split:
            matrix[0, 1] = 1.0
            matrix[1, 2 + split.index(i)] = 1.0
        routes[f"c{i}"] = matrix.tolist()
    others: dict[str, Any] = {}
    if case.priority is not None:
        others["priority_classes"] = {f"c{i}": urgency for i, urgency in enumerate(case.priority)}
    network = ciw.create_network(
        arrival_distributions=arrivals,
        service_distributions=services,
        routing=routes,
        number_of_servers=[1, math.inf, *(int(asked.servers[k]) for k in split)] if split else [1],
        **others,
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(float(requests.time_us[-1]) * 2)
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for record in simulation.get_all_records():
        key = record.id_number
        first[key] = min(first.get(key, math.inf), record.arrival_date)
        last[key] = max(last.get(key, -math.inf), record.exit_date)
    return np.array([last[key] for key in sorted(first, key=lambda key: first[key])])


def seconds(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Least processor time of some runs, and the last result."""
    found, result = [], None
    for _ in range(repeats):
        began_s = time.process_time()
        result = work()
        found.append(time.process_time() - began_s)
    return min(found), result


def speeds(case: Case) -> list[str]:
    """A row of the first table."""
    problem, allocation = case.build()
    requests = Requests.poisson(problem.rate_hz, LONG, seed=1)
    alone_s, simulation = seconds(lambda: simulate_tenancy(problem, allocation, requests, **case.settings), 5)

    def everything() -> None:
        drawn = Requests.poisson(problem.rate_hz, LONG, seed=1)
        done = simulate_tenancy(problem, allocation, drawn, **case.settings)
        assert done.overall.mean_us > 0
        assert all(summary.mean_us > 0 for summary in done.by_tenant.values())
        assert done.accelerator_utilisation < 1

    whole_s, _ = seconds(everything, 3)
    n_events = events(simulation)
    return [
        case.name,
        f"{simulation.accelerator_utilisation:.0%}",
        f"{simulation.overall.swap_fraction:.0%}",
        f"{n_events / len(requests):.2f}",
        f"{n_events / alone_s / 1e6:.1f}",
        f"{n_events / whole_s / 1e6:.1f}",
    ]


def rivals(case: Case, count: int) -> list[str]:
    """A row of the second table."""
    problem, allocation = case.build()
    requests = Requests.poisson(problem.rate_hz, count, seed=2)
    own_s, simulation = seconds(lambda: simulate_tenancy(problem, allocation, requests, **case.settings), 20)
    row = [case.name, f"{own_s * 1e3:.2f} ms"]
    for rival in (by_simpy, by_ciw):
        if rival is by_ciw and case.batching is not None:
            row += ["–", "–"]
            continue
        rival_s, finish_us = seconds(lambda rival=rival: rival(case, problem, allocation, requests), 2)
        apart_us = np.abs(finish_us - simulation.finish_us).max()
        row += [f"{rival_s:.2f} s: {rival_s / own_s:,.0f} ×", f"{apart_us:.1e} µs"]
    return row


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a markdown table."""
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows), ""]


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--requests", type=int, default=SHORT, help="requests that SimPy and Ciw play as well")
    options = parser.parse_args()
    for case in CASES:  # compiles, or reads from the cache on disk, what is measured below
        problem, allocation = case.build()
        simulate_tenancy(problem, allocation, Requests.poisson(problem.rate_hz, 100, seed=0), **case.settings)
    lines = [
        "# The simulator of tenants",
        "",
        f"`{COMMAND}` on {platform.machine()}, {os.cpu_count()} cores (one is used), Python "
        f"{platform.python_version()}, numba {version('numba')}, SimPy {version('simpy')}, Ciw {version('ciw')}.",
        "",
        f"{TENANTS} tenants with Poisson arrivals; the accelerator would be occupied {LOAD:.0%} of the time if every "
        "request reloaded its weights. With CPU stage: three of them split in the middle, each with two cores. Times "
        "are processor time, the least of some runs, with compiled code warm. Times depend on the machine; ratios are "
        "of times taken in one run.",
        "",
        "## Events a second",
        "",
        f"{LONG:,} requests. Events: arrivals, starts and ends of visits to the accelerator (those of a batch count "
        "once), starts and ends of visits to the CPU; reloads and hand-overs do not count. *Simulated*: "
        "`simulate_tenancy` alone, every request's times recorded. *In all*: arrivals drawn and responses summarised "
        "(means, percentiles, intervals, utilisation), too.",
        "",
        *table(
            ("scenario", "occupied", "swaps", "events a request", "simulated, million/s", "in all, million/s"),
            [speeds(case) for case in CASES],
        ),
        "## Beside SimPy and Ciw",
        "",
        f"{options.requests:,} requests, the same ones for all; simulation alone. *Apart*: largest difference between "
        "the instants at which a request ends. Ciw has no batching of services.",
        "",
        *table(
            ("scenario", "EdgePlan", "SimPy", "apart", "Ciw", "apart"),
            [rivals(case, options.requests) for case in CASES],
        ),
    ]
    text = "\n".join(lines)
    print(text)
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
