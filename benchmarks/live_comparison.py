"""Live comparison: the plan beside the ways people serve several models with ONNX Runtime today.

Every set-up runs in a process of its own and gets the very same Poisson requests, in turns. Each model is asked for
the same amount of work; the load is the share of all cores that this work would take in ONNX Runtime on one thread. A
deadline is five times that one-thread time. In the closed loop one caller a model asks again as soon as it is answered;
work is the sum of completions times one-thread time, in cores.

    python benchmarks/live_comparison.py --output docs/results/live_comparison.md
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edgeplan.formulation import Limits, Model, Poisson, Problem, Stream, simulate
from edgeplan.formulation.operating_points import ModelPoints
from edgeplan.profiles import Profile, ProfileSettings, local_platform, profile_models, resolve_model
from edgeplan.runtime_bridge import (
    DEFAULT_SESSIONS,
    ONE_THREAD_SESSIONS,
    ModelProcesses,
    ModelThreads,
    PinnedWorkers,
    PointThreads,
    RequestRecord,
    SessionOptions,
    SetUp,
    SetUpResult,
    compare,
)
from edgeplan.solvers import Solution, by_simulation, solve
from edgeplan.solvers.operating_points import ParetoRule, from_front

MIXES = (
    ("squeezenet", "resnet50"),
    ("squeezenet", "inception_v1", "resnet50"),
    ("squeezenet", "shufflenet", "inception_v1", "resnet50"),
)
DEADLINE_FACTOR = 5.0
COMMAND = "python benchmarks/live_comparison.py"
OURS = "the plan"
BLOCK_S = 1.0


def one_thread_us(model: Model) -> float:
    """Microseconds of the whole model on one thread of ONNX Runtime."""
    times = model.costs.segment_us(0, model.graph.n_layers)
    return min(
        float(us)
        for us, c in zip(times, model.costs.configurations, strict=True)
        if c.backend == "onnxruntime-cpu" and c.threads == 1
    )


def problem_at(profile: Profile, mix: Sequence[str], load: float) -> Problem:
    """The problem with Poisson streams that together ask for `load` of all cores, every model for an equal part."""
    models = tuple(model for model in profile.to_models() if model.name in mix)
    cores = sum(len(p.cores) for p in profile.platform.processors)
    streams = []
    for model in models:
        alone_us = one_thread_us(model)
        rate_hz = load * cores * 1e6 / (alone_us * len(models))
        streams.append(
            Stream(model=model.name, arrival=Poisson(rate_hz=rate_hz), deadline_us=DEADLINE_FACTOR * alone_us)
        )
    return Problem(models, profile.platform, tuple(streams), Limits(max_utilisation=0.99))


def plan_for(problem: Problem, closed: bool, seed: int) -> Solution:
    """The plan that fares best against simulated arrivals; in the closed loop, where throughput is all, the leanest."""
    judged = by_simulation(problem, time_limit_s=30.0, seed=seed)
    return next(c for c in judged if c.policy.name == "lean").solution if closed else judged[0].solution


def fronts_of(problem: Problem) -> tuple[ModelPoints, ...]:
    """Each model's exact latency/memory front, for the published rule."""
    found = []
    for stream in problem.streams:
        model = next(model for model in problem.models if model.name == stream.model)
        alone = Problem((model,), problem.platform, (), Limits(), "front")
        front = solve(alone, time_limit_s=10.0).front
        found.append(from_front(alone, front, rate_hz=stream.rate_hz, deadline_us=stream.deadline_us))
    return tuple(found)


def set_ups_for(problem: Problem, solution: Solution, fronts: tuple[ModelPoints, ...]) -> tuple[SetUp, ...]:
    """Every way to serve: what users have, then the plan."""
    by_length = [model.name for model in sorted(problem.models, key=one_thread_us)]
    cores = sum(len(p.cores) for p in problem.platform.processors)
    split = {name: k * cores // len(by_length) for k, name in enumerate(by_length)}
    calm = SessionOptions(spinning=False)
    return (
        DEFAULT_SESSIONS,
        SetUp("default, a process a model", "each default session in a process", baseline=ModelProcesses()),
        SetUp("spinning off", "default sessions whose threads sleep while they wait", baseline=ModelThreads(calm)),
        SetUp(
            "one global pool",
            "default sessions on one pool of threads",
            baseline=ModelThreads(SessionOptions(shared_pool=True)),
        ),
        ONE_THREAD_SESSIONS,
        SetUp(
            "one thread a model, pinned",
            "models dealt out to the cores",
            baseline=ModelThreads(SessionOptions(threads=1), pinned=True),
        ),
        SetUp("workers, first come", "a pinned worker a core, one queue of whole requests", baseline=PinnedWorkers()),
        SetUp(
            "workers, earliest deadline",
            "as before, by deadline",
            baseline=PinnedWorkers("earliest_deadline"),
        ),
        SetUp(
            "short and long apart",
            "as workers, but shorter models have cores of their own and longer ones the others",
            baseline=PinnedWorkers(core_of=split),
        ),
        SetUp(
            "published rule",
            "each model moves along its own front by the rule of doi 10.1145/3626793",
            baseline=PointThreads(fronts, ParetoRule()),
        ),
        SetUp(OURS, "segments by the plan, one worker thread a core", solution.plan),
    )


@dataclass(frozen=True)
class Row:
    """What a table shows of one set-up."""

    name: str
    offered: int
    served_hz: float
    work: float
    p50_us: float
    p99_us: float
    stretch: float
    missed: float
    interval: tuple[float, float]
    peak_mib: float

    @classmethod
    def of(cls, result: SetUpResult, alone: dict[str, float], closed: bool) -> Row:
        """Figures of a set-up; the interval is that of the missed share, or of the work in the closed loop."""
        overall = result.summaries[-1]
        ended = [r for r in result.records if not r.error]
        stretch = float(np.mean([r.response_us / alone[r.model] for r in ended]))
        work = sum(alone[r.model] for r in ended) / result.duration_s / 1e6
        blocks = [block for records in result.rounds for block in blocks_of(records)]
        if closed:
            each = [sum(alone[r.model] for r in block if not r.error) / BLOCK_S / 1e6 for block in blocks]
            interval = bootstrap([(value, 1.0) for value in each])
        else:
            interval = bootstrap([(sum(r.missed for r in block), len(block)) for block in blocks])
        return cls(
            result.set_up.name,
            overall.offered,
            overall.throughput_hz,
            work,
            overall.p50_us,
            overall.p99_us,
            stretch,
            overall.miss_ratio,
            interval,
            result.peak_bytes / 2**20,
        )


def blocks_of(records: list[RequestRecord]) -> list[list[RequestRecord]]:
    """A round's requests by the second in which they arrived, the last part of a second left out."""
    if not records:
        return []
    first = min(r.arrival_us for r in records)
    length = max(r.arrival_us for r in records) - first
    count = max(1, round(length / (BLOCK_S * 1e6)))
    blocks: list[list[RequestRecord]] = [[] for _ in range(count)]
    for record in records:
        k = int((record.arrival_us - first) / (BLOCK_S * 1e6))
        if k < count:
            blocks[k].append(record)
    return blocks


def bootstrap(blocks: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """95 % interval of Σ first / Σ second over blocks drawn again with replacement."""
    figures = np.array(blocks)
    drawn = np.random.default_rng(0).integers(0, len(figures), (2000, len(figures)))
    sums = figures[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / np.maximum(sums[:, 1], 1e-9), [0.025, 0.975])
    return float(low), float(high)


HEADER = """| set-up | requests | served/s | work, cores | p50 ms | p99 ms | stretch | missed | {} | MiB |
|---|---|---|---|---|---|---|---|---|---|"""


def line(row: Row, closed: bool) -> str:
    """One line of a table."""
    low, high = row.interval
    interval = f"{low:.2f} – {high:.2f}" if closed else f"{low:.1%} – {high:.1%}"
    missed = "" if closed else f"{row.missed:.1%}"
    return (
        f"| {row.name} | {row.offered} | {row.served_hz:.1f} | {row.work:.2f} | {row.p50_us / 1e3:.1f} | "
        f"{row.p99_us / 1e3:.1f} | {row.stretch:.2f} | {missed} | {interval} | {row.peak_mib:.0f} |"
    )


def simulated(problem: Problem, solution: Solution, seed: int) -> str:
    """What the simulator predicts for the plan."""
    assert solution.plan is not None
    played = simulate(problem, solution.plan, 120e6, seed)
    offered = sum(len(s.response_us) for s in played.values())
    missed = sum(int((s.response_us > s.deadline_us).sum()) for s in played.values())
    stretch = np.mean(
        np.concatenate([s.response_us / one_thread_us(m) for m, s in zip(problem.models, played.values(), strict=True)])
    )
    return f"| *the plan, simulated* | {offered} | | | | | {stretch:.2f} | {missed / offered:.1%} | | |"


def describe(problem: Problem, solution: Solution) -> list[str]:
    """The plan in words."""
    assert solution.plan is not None
    gap = "" if solution.gap is None else f", gap {solution.gap:.1%}"
    lines = [f"- {solution.plan.solver.policy}; {solution.method} {solution.status}{gap}; {solution.plan.order}"]
    for model in solution.plan.models:
        used = ", ".join(
            f"{s.start}–{s.stop - 1} {s.configuration.name}" + "".join(f" or {g.configuration.name}" for g in s.gangs)
            for s in model.segments
        )
        lines.append(f"  - {model.model}: {used}")
    return lines


def summary(mix: Sequence[str], load: float, rows: list[Row]) -> str:
    """The plan against the best of the others: by work in the closed loop, by missed deadlines otherwise."""
    ours, others = rows[-1], rows[:-1]
    if load == 0.0:
        best = max(others, key=lambda r: r.work)
        first = f"{ours.work:.2f} / {best.work:.2f} ({best.name}), {ours.work / best.work:.2f} ×"
        return f"| {len(mix)} | closed loop | work {first}; {ours.work / rows[0].work:.2f} × default sessions | |"
    best = min(others, key=lambda r: (r.missed, r.stretch))
    quick = min(others, key=lambda r: r.stretch)
    return (
        f"| {len(mix)} | {load:.2f} | {ours.missed:.1%} / {best.missed:.1%} ({best.name}) | "
        f"{ours.stretch:.2f} / {best.stretch:.2f}; quickest {quick.stretch:.2f} ({quick.name}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", type=float, nargs="+", default=[0.0, 0.3, 0.6, 0.8, 0.95], help="0: closed loop")
    parser.add_argument("--mixes", type=int, nargs="+", default=[2, 3, 4], help="numbers of models")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--round-s", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", type=Path, help="measure once and keep it here; default: a temporary file")
    parser.add_argument("--output", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()

    files = {name: resolve_model(name) for name in MIXES[-1]}
    if arguments.profile and arguments.profile.is_file():
        profile = Profile.load(arguments.profile)
    else:
        path = arguments.profile or Path(tempfile.mkdtemp()) / "profile.json"
        profile = profile_models(
            files, local_platform(), ProfileSettings(quick=True, max_units=16, seed=arguments.seed), path
        )

    summaries, sections = [], []
    set_ups: tuple[SetUp, ...] = ()
    for mix in (mix for mix in MIXES if len(mix) in arguments.mixes):
        for load in arguments.loads:
            closed = load == 0.0
            problem = problem_at(profile, mix, load or max(arguments.loads))
            solution = plan_for(problem, closed, arguments.seed)
            if solution.plan is None:
                raise SystemExit(f"no plan: {[clash.sentence for clash in solution.clashes]}")
            set_ups = set_ups_for(problem, solution, fronts_of(problem))
            comparison = compare(
                set_ups,
                problem,
                {name: files[name] for name in mix},
                rounds=arguments.rounds,
                round_s=arguments.round_s,
                seed=arguments.seed,
                closed_loop=closed,
            )
            alone = {model.name: one_thread_us(model) for model in problem.models}
            rows = [Row.of(result, alone, closed) for result in comparison.results]
            summaries.append(summary(mix, load, rows))
            print(summaries[-1], flush=True)
            sections += [
                f"## {', '.join(mix)}: {'closed loop' if closed else f'load {load:.2f}'}",
                "",
                HEADER.format("work, 95 % interval" if closed else "missed, 95 % interval"),
                *(line(row, closed) for row in rows),
                *([] if closed else [simulated(problem, solution, arguments.seed)]),
                "",
                f"Other processes took at most {comparison.foreign_share:.1%} of the machine in any turn. The plan:",
                "",
                *describe(problem, solution),
                "",
            ]

    fingerprint = profile.fingerprint
    lines = [
        "# Live comparison",
        "",
        *(__doc__ or "").strip().splitlines()[2:7],
        "",
        f"Real architectures with seeded random weights. {arguments.rounds} rounds of {arguments.round_s:g} s for each "
        f"set-up, mix and load, seed {arguments.seed}. Intervals: bootstrap over the seconds of all rounds.",
        "",
        f"- command: `{COMMAND}`",
        f"- machine: {fingerprint.cpu}, {os.cpu_count()} cores; {fingerprint.versions_text}",
        *(f"- {set_up.name}: {set_up.description}" for set_up in set_ups),
        "",
        "## The plan against the best of the others",
        "",
        "| models | load | missed deadlines, ours / fewest of the others | stretch, ours / that one's |",
        "|---|---|---|---|",
        *summaries,
        "",
        "Stretch: mean of response over one-thread time. MiB: largest resident memory of the set-up's process above "
        "its size before any session was open; a process a model counts whole processes. Failed requests count as "
        "missed.",
        "",
        *sections,
    ]
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
