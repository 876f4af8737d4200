"""Live comparison on an emulated accelerator: solvers beside baselines, then a change of the load.

Emulation: one core of this machine stands in for the accelerator. It really runs the prefixes; bringing weights in,
streaming what does not fit and handing over are waits, at an Edge TPU's published rates for a memory of 8 MiB. The
other core is the CPU. Every allocation gets the very same Poisson requests, in turns. In the second part the load
changes in the middle: once the first allocation stays, once the controller may exchange it.

    python benchmarks/live_accelerator.py --output docs/results/live_accelerator.md
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from edgeplan.formulation import Poisson, Stream
from edgeplan.formulation.tenancy import Accelerator, Allocation, TenancyProblem, demands
from edgeplan.formulation.tenancy.evaluate import evaluate_tenancy
from edgeplan.formulation.tenancy.simulation import Requests, simulate_tenancy
from edgeplan.profiles import machine_fingerprint, resolve_model, sample_inputs
from edgeplan.runtime_bridge import Arrivals
from edgeplan.runtime_bridge.cores import CoreSample, foreign_share
from edgeplan.runtime_bridge.tenancy import (
    Journal,
    TenancyController,
    TenantModel,
    TenantRecord,
    TenantRuntime,
    TenantSummary,
    measure_tenant,
    read_by_time,
    summarise_tenant,
    waiting_lateness_us,
)
from edgeplan.solvers import solve
from edgeplan.solvers.tenancy import Reallocator

COMMAND = "python benchmarks/live_accelerator.py"
MODELS = ("squeezenet", "shufflenet", "inception_v1")
METHODS = (
    "all_on_accelerator",
    "parameter_split",
    "threshold",
    "no_swap",
    "cpu_only",
    "swapless_greedy",
    "local_search",
    "branch_and_bound",
)
BEST = "branch_and_bound"
MIB = 2**20
DEVICE = Accelerator(
    name="emulated, with an Edge TPU's memory",
    weight_capacity_bytes=8 * MIB,
    reload_fixed_us=1950.0,
    reload_us_per_byte=2300.0 / MIB,
    streaming_fixed_us=484.0,
    streaming_us_per_byte=2709.0 / MIB,
    handover_fixed_us=100.0,
    source="reload and streaming: published measurements of an Edge TPU; hand-over: assumed",
)
IDLE_US = 15_000.0
"""Cores stand idle for so long before each timing, as the accelerator's does for about as long while it reloads."""
RATIO = np.array([2.0, 1.0, 1.0])
"""Requests of each model in the first part, relative to each other."""


@dataclass
class Turns:
    """One allocation, the methods that found it, and what its requests did."""

    allocation: Allocation
    methods: list[str]
    predicted_us: float
    records: list[TenantRecord] = field(default_factory=list)


@dataclass(frozen=True)
class Machine:
    """The cores, the models and their inputs."""

    accelerator_core: int
    cpu_core: int
    models: Mapping[str, TenantModel]
    feeds: Mapping[str, Mapping[str, np.ndarray]]

    def runtime(self, problem: TenancyProblem, allocation: Allocation) -> TenantRuntime:
        cores = {"accelerator_cores": (self.accelerator_core,), "cpu_cores": (self.cpu_core,)}
        return TenantRuntime(problem, allocation, self.models, max_in_flight=100_000, **cores)


def swapping_load(problem: TenancyProblem, allocation: Allocation) -> float:
    """Share of the accelerator's time that an allocation asks for, under token residency."""
    asked = demands(problem, allocation)
    rate_us = np.where(asked.on_accelerator, problem.rate_hz / 1e6, 0.0)
    return float(rate_us @ (asked.service_us + (1 - rate_us / max(rate_us.sum(), 1e-300)) * asked.reload_us))


def draw(problem: TenancyProblem, seconds: float, seed: int) -> Arrivals:
    """Poisson requests of all tenants."""
    streams = [
        Stream(model=t.name, arrival=Poisson(rate_hz=float(r)))
        for t, r in zip(problem.tenants, problem.rate_hz, strict=True)
    ]
    return Arrivals.of(streams, seconds * 1e6, seed)


def found_by_methods(problem: TenancyProblem) -> list[Turns]:
    """What every method allocates; equal allocations are run once."""
    found: list[Turns] = []
    for method in METHODS:
        allocation = solve(problem, method=method).allocation
        if allocation is None:
            found.append(Turns(Allocation.model_construct(tenants=()), [method], float("nan")))
            continue
        plain = allocation.model_copy(update={"solver": None})
        same = next((turns for turns in found if turns.allocation == plain), None)
        if same is None:
            predicted_us = float(evaluate_tenancy(problem, plain).mean_response_us)
            found.append(Turns(plain, [method], predicted_us))
        else:
            same.methods.append(method)
    return found


def in_turns(
    machine: Machine, problem: TenancyProblem, found: Sequence[Turns], rounds: int, round_s: float, seed: int
) -> float:
    """Offer the same requests to every allocation, round after round; returns the largest foreign share of a turn."""
    foreign = 0.0
    runnable = [turns for turns in found if turns.allocation.tenants]
    runtimes = [machine.runtime(problem, turns.allocation) for turns in runnable]
    try:
        for number in range(rounds):
            arrivals = draw(problem, round_s, seed + number)
            for turn in range(len(runnable)):
                k = (turn + number) % len(runnable)
                first, before = len(runtimes[k].records), CoreSample.take()
                runtimes[k].offer(arrivals, machine.feeds)
                runtimes[k].drain()
                runnable[k].records += runtimes[k].records[first:]
                foreign = max(foreign, *foreign_share(before, CoreSample.take()).values())
    finally:
        for runtime in runtimes:
            runtime.close()
    return foreign


def with_change(
    machine: Machine,
    before: TenancyProblem,
    after: TenancyProblem,
    allocation: Allocation,
    parts_s: tuple[float, float],
    seed: int,
    journal_path: Path | None,
) -> tuple[list[list[TenantRecord]], Journal | None, float]:
    """Serve a load that changes in the middle, with the controller where it has a journal.

    Returns the records of both parts, the journal, and the largest share of a core that others took.
    """
    first, second = draw(before, parts_s[0], seed), draw(after, parts_s[1], seed + 1)
    joined = Arrivals(
        (*first.models, *second.models), np.concatenate([first.offsets_us, parts_s[0] * 1e6 + second.offsets_us])
    )
    journal = None
    with machine.runtime(before, allocation) as runtime:
        sample = CoreSample.take()
        if journal_path is None:
            start_us = runtime.offer(joined, machine.feeds)
            runtime.drain()
        else:
            reallocator = Reallocator(before)
            reallocator.reallocate()  # once before anybody waits: compiled code is loaded then
            with TenancyController(
                runtime, lambda seen: reallocator.reallocate(problem=seen), journal_path=journal_path
            ) as controller:
                start_us = runtime.offer(joined, machine.feeds)
                runtime.drain()
            journal = controller.journal
        change_us = start_us + parts_s[0] * 1e6
        parts = [[r for r in runtime.records if (r.arrival_us < change_us) == early] for early in (True, False)]
        foreign = max(
            foreign_share(sample, CoreSample.take()).values()
        )  # threads that have ended would pass for others
        return parts, journal, foreign


def ms(us: float) -> str:
    if np.isnan(us):
        return "–"
    return "∞" if np.isinf(us) else f"{us / 1e3:.1f}"


def placed(allocation: Allocation, models: Mapping[str, TenantModel]) -> str:
    """Partition point of each tenant, of how many, and who has the core."""
    parts = []
    for part in allocation.tenants:
        cut = f"{part.point} of {len(models[part.tenant].positions) - 1}"
        parts.append(f"{part.tenant} {cut}{' + core' if part.cores else ''}")
    return ", ".join(parts)


def figures(summary: TenantSummary) -> str:
    swapped = "–" if np.isnan(summary.swap_fraction) else f"{summary.swap_fraction:.0%}"
    times = " | ".join(ms(us) for us in (summary.mean_us, summary.p50_us, summary.p95_us, summary.p99_us))
    return f"{summary.requests} | {times} | {swapped}"


def simulated_us(problem: TenancyProblem, turns: Turns) -> float:
    """Mean response that the simulator gives for the very requests that were served."""
    records = sorted(turns.records, key=lambda record: record.arrival_us)
    names = [tenant.name for tenant in problem.tenants]
    requests = Requests(
        np.array([record.arrival_us for record in records]), np.array([names.index(r.tenant) for r in records])
    )
    return simulate_tenancy(problem, turns.allocation, requests).overall.mean_us


def deviation(predicted_us: float, measured_us: float) -> str:
    """Relative error of a prediction."""
    return "unstable" if np.isinf(predicted_us) else f"{100 * (predicted_us / measured_us - 1):+.1f} %"


def turns_table(problem: TenancyProblem, found: Sequence[Turns], machine: Machine) -> list[str]:
    best = next(t for t in found if BEST in t.methods)
    best_us = summarise_tenant(best.records).mean_us
    lines = [
        "| methods | prefix ends | requests | mean ms | p50 | p95 | p99 | swapped | formula ms | error | simulated ms "
        f"| error | mean / {BEST} |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for turns in found:
        name = ", ".join(turns.methods)
        if not turns.allocation.tenants:
            lines.append(f"| {name} | *cannot run here* | | | | | | | | | | | |")
            continue
        summary = summarise_tenant(turns.records)
        played_us = simulated_us(problem, turns)
        lines.append(
            f"| {name} | {placed(turns.allocation, machine.models)} | {figures(summary)} | {ms(turns.predicted_us)} "
            f"| {deviation(turns.predicted_us, summary.mean_us)} | {ms(played_us)} "
            f"| {deviation(played_us, summary.mean_us)} | {summary.mean_us / best_us:.2f} |"
        )
    return lines


def tenants_table(problem: TenancyProblem, after: TenancyProblem) -> list[str]:
    lines = [
        "| model | weights MiB | whole on accelerator ms | whole on CPU ms | cuts | requests/s | after the change |",
        "|---|---|---|---|---|---|---|",
    ]
    for i, tenant in enumerate(problem.tenants):
        lines.append(
            f"| {tenant.name} | {tenant.weight_bytes[-1] / MIB:.1f} | {tenant.accelerator_us[-1] / 1e3:.1f} "
            f"| {tenant.cpu_us[0] / 1e3:.1f} | {tenant.n_points - 2} | {problem.rate_hz[i]:.1f} "
            f"| {after.rate_hz[i]:.1f} |"
        )
    return lines


def decision_lines(journal: Journal, change_s: float) -> list[str]:
    lines = []
    for considered in journal.decisions:
        decision = considered.decision
        when = decision.at_us / 1e6 - change_s
        place = f"{abs(when):.1f} s {'after' if when >= 0 else 'before'} the change"
        lines.append(f"- {place}: **{decision.action}**. {'; '.join(str(d) for d in considered.question.drifts)}.")
        lines.append(f"  {decision.reason}")
    return lines or ["- none"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--round-s", type=float, default=9.0)
    parser.add_argument("--load", type=float, default=0.7, help="of the accelerator, were everything there")
    parser.add_argument("--changed-load", type=float, default=0.8, help="of the first allocation after the change")
    parser.add_argument("--parts-s", type=float, nargs=2, default=[10.0, 20.0], help="before and after the change")
    parser.add_argument("--cores", type=int, nargs=2, default=[1, 0], help="accelerator and CPU")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--journal", type=Path, default=Path("live_accelerator.journal.jsonl"))
    parser.add_argument("--output", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()

    accelerator_core, cpu_core = arguments.cores
    os.sched_setaffinity(0, {cpu_core})  # the load generator and the controller stay off the accelerator
    late_us = waiting_lateness_us()
    files = {name: resolve_model(name) for name in MODELS}
    models = {name: read_by_time(name, path, accelerator_core, max_points=7) for name, path in files.items()}
    feeds = {name: sample_inputs(path) for name, path in files.items()}
    machine = Machine(accelerator_core, cpu_core, models, feeds)
    tenants = [
        measure_tenant(m, accelerator_core=accelerator_core, cpu_cores=(cpu_core,), idle_us=IDLE_US)
        for m in models.values()
    ]

    problem = TenancyProblem.create(tenants, RATIO, DEVICE, 1)
    whole = solve(problem, method="all_on_accelerator").allocation
    assert whole is not None
    problem = problem.replace(rate_hz=RATIO * arguments.load / swapping_load(problem, whole))
    found = found_by_methods(problem)
    best = next(turns for turns in found if BEST in turns.methods)
    foreign = in_turns(machine, problem, found, arguments.rounds, arguments.round_s, arguments.seed)

    # After the change nearly nobody asks the model that has the core; the two that swap are asked so much more.
    has_core = np.array([part.cores > 0 for part in best.allocation.tenants])
    shape = np.where(has_core, 0.1 * problem.rate_hz, problem.rate_hz)
    after = problem.replace(rate_hz=shape)
    growth = arguments.changed_load / swapping_load(after, best.allocation)
    after = problem.replace(rate_hz=np.where(has_core, shape, shape * growth))
    hindsight = solve(after, method=BEST)
    assert hindsight.allocation is not None
    parts_s = (arguments.parts_s[0], arguments.parts_s[1])
    static, _, foreign_stays = with_change(
        machine, problem, after, best.allocation, parts_s, arguments.seed + 100, None
    )
    adapted, journal, foreign_later = with_change(
        machine, problem, after, best.allocation, parts_s, arguments.seed + 100, arguments.journal
    )
    assert journal is not None

    change = [
        "| allocation | part | requests | mean ms | p50 | p95 | p99 | swapped | predicted mean ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    stays_us = float(evaluate_tenancy(after, best.allocation).mean_response_us)
    best_after_us = float(evaluate_tenancy(after, hindsight.allocation).mean_response_us)
    for name, parts, predicted_us in (("stays", static, stays_us), ("controller", adapted, best_after_us)):
        change.append(f"| {name} | before | {figures(summarise_tenant(parts[0]))} | {ms(best.predicted_us)} |")
        change.append(f"| {name} | after | {figures(summarise_tenant(parts[1]))} | {ms(predicted_us)} |")
    ratio = summarise_tenant(static[1]).mean_us / summarise_tenant(adapted[1]).mean_us
    spins = np.quantile(late_us, [0.5, 0.95, 0.99])
    fingerprint = machine_fingerprint()
    lines = [
        "# Allocations on a live, emulated accelerator",
        "",
        *(__doc__ or "").strip().splitlines()[2:6],
        "",
        f"- command: `{COMMAND}`",
        f"- machine: {fingerprint.cpu}, {os.cpu_count()} cores; {fingerprint.versions_text}",
        f"- {arguments.rounds} rounds of {arguments.round_s:g} s for each distinct allocation, seed {arguments.seed}; "
        "requests in flight at the end of a turn are answered before the next one begins",
        f"- device: {DEVICE.weight_capacity_bytes / MIB:.0f} MiB for weights, token residency; {DEVICE.source}",
        f"- other processes took at most {max(foreign, foreign_stays, foreign_later):.1%} of a core in any turn; "
        "much more than a few per cent makes the figures doubtful",
        f"- a wait ends late by {spins[0]:.1f} µs in the median, {spins[1]:.1f} µs at 95 %, {spins[2]:.1f} µs at 99 %",
        "",
        *tenants_table(problem, after),
        "",
        f"The rates make the accelerator {arguments.load:.0%} busy, were every model whole on it. Times are medians, "
        f"measured here before the comparison, one core at a time, each run after {IDLE_US / 1e3:g} ms of idleness.",
        "",
        "## Constant load",
        "",
        *turns_table(problem, found, machine),
        "",
        "*Prefix ends*: how many of the model's layer groups the accelerator runs; *+ core*: who has the CPU's core. "
        "*Swapped*: share of the accelerator's visits that had to bring weights in. *Formula*: the evaluator's "
        "prediction for the nominal rates, from which the requests drawn differ by chance; *simulated*: the very "
        "requests that were served, in the simulator. Both know only the costs measured beforehand.",
        "",
        "## The load changes in the middle",
        "",
        f"After {parts_s[0]:g} s the rates change to those of the last column above, for {parts_s[1]:g} s. "
        "Predicted: of the allocation that stays, and of the best one for the new rates (with hindsight).",
        "",
        *change,
        "",
        f"After the change the mean response of the allocation that stays is {ratio:.2f} times the controller's "
        "(the time it took to notice counts).",
        "",
        "What the controller decided (`edgeplan explain` on its journal shows what it saw and what it compared):",
        "",
        *decision_lines(journal, parts_s[0]),
        "",
    ]
    print("\n".join(lines))
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
