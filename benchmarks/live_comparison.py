"""Live comparison: the plan beside default ONNX Runtime sessions and beside one thread a model, at several loads.

Every set-up runs in a process of its own and gets the very same Poisson requests, in turns. Each model is asked for
the same amount of work; the load is the share of all cores that this work would take in ONNX Runtime on one thread. A
deadline is five times that one-thread time.

    python benchmarks/live_comparison.py --output docs/results/live_comparison.md
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from edgeplan.formulation import Limits, Model, Poisson, Problem, Stream, simulate
from edgeplan.profiles import Profile, ProfileSettings, local_platform, profile_models, resolve_model
from edgeplan.runtime_bridge import DEFAULT_SESSIONS, ONE_THREAD_SESSIONS, Comparison, SetUp, compare
from edgeplan.solvers import Solution

import edgeplan

MODELS = ("squeezenet", "shufflenet", "inception_v1", "resnet50")
DEADLINE_FACTOR = 5.0
COMMAND = "python benchmarks/live_comparison.py"


def one_thread_us(model: Model) -> float:
    """Microseconds of the whole model on one thread of ONNX Runtime."""
    times = model.costs.segment_us(0, model.graph.n_layers)
    return min(
        float(us)
        for us, c in zip(times, model.costs.configurations, strict=True)
        if c.backend == "onnxruntime-cpu" and c.threads == 1
    )


def problem_at(profile: Profile, load: float) -> Problem:
    """The problem with Poisson streams that together ask for `load` of all cores, every model for an equal part."""
    models = profile.to_models()
    cores = sum(len(p.cores) for p in profile.platform.processors)
    streams = []
    for model in models:
        alone_us = one_thread_us(model)
        rate_hz = load * cores * 1e6 / (alone_us * len(models))
        streams.append(
            Stream(model=model.name, arrival=Poisson(rate_hz=rate_hz), deadline_us=DEADLINE_FACTOR * alone_us)
        )
    return Problem(models, profile.platform, tuple(streams), Limits(max_utilisation=0.97))


def plan_at(problem: Problem, seed: int) -> Solution:
    """The plan that fares best against simulated arrivals."""
    solution = edgeplan.plan(problem, time_limit_s=30.0, seed=seed)
    if solution.plan is None:
        raise SystemExit(f"no plan: {[clash.sentence for clash in solution.clashes]}")
    return solution


def rows_of(load: float, problem: Problem, solution: Solution, comparison: Comparison, seed: int) -> list[str]:
    """Lines of the table for one load, and of the responses that the simulator predicts for the plan."""
    assert solution.plan is not None
    rows = []
    for result in comparison.results:
        overall = result.summaries[-1]
        alone = {model.name: one_thread_us(model) for model in problem.models}
        stretch = np.mean([r.response_us / alone[r.model] for r in result.records if not r.error])
        spread = f"{min(result.round_miss_ratios):.1%} – {max(result.round_miss_ratios):.1%}"
        rows.append(
            f"| {load:.1f} | {result.set_up.name} | {overall.offered} | {overall.throughput_hz:.1f} | "
            f"{overall.p50_us / 1e3:.1f} | {overall.p99_us / 1e3:.1f} | {stretch:.2f} | {overall.miss_ratio:.1%} | "
            f"{spread} | {result.peak_bytes / 2**20:.0f} |"
        )
    simulated = simulate(problem, solution.plan, 120e6, seed)
    misses = sum((s.response_us > s.deadline_us).sum() for s in simulated.values())
    offered = sum(len(s.response_us) for s in simulated.values())
    stretch = np.mean(
        np.concatenate(
            [s.response_us / one_thread_us(m) for m, s in zip(problem.models, simulated.values(), strict=True)]
        )
    )
    rows.append(
        f"| {load:.1f} | *the plan, simulated* | {offered} | | | | {stretch:.2f} | {misses / offered:.1%} | | |"
    )
    return rows


def describe(load: float, solution: Solution, comparison: Comparison) -> list[str]:
    """What was planned at one load."""
    assert solution.plan is not None
    gap = "" if solution.gap is None else f", gap {solution.gap:.1%}"
    lines = [
        f"- load {load:.1f}: policy {solution.plan.solver.policy}, {solution.method} {solution.status}{gap}; "
        f"others took at most {comparison.foreign_share:.1%} of the machine in any turn"
    ]
    for model in solution.plan.models:
        used = ", ".join(
            f"{s.start}–{s.stop - 1} {s.configuration.name} on {'/'.join(map(str, s.cores))}" for s in model.segments
        )
        lines.append(f"  - {model.model}: {used}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", type=float, nargs="+", default=[0.3, 0.6, 0.8])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--round-s", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", type=Path, help="measure once and keep it here; default: a temporary file")
    parser.add_argument("--output", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()

    files = {name: resolve_model(name) for name in MODELS}
    if arguments.profile and arguments.profile.is_file():
        profile = Profile.load(arguments.profile)
    else:
        path = arguments.profile or Path(tempfile.mkdtemp()) / "profile.json"
        profile = profile_models(files, local_platform(), ProfileSettings(quick=True, seed=arguments.seed), path)

    table, plans = [], []
    for load in arguments.loads:
        problem = problem_at(profile, load)
        solution = plan_at(problem, arguments.seed)
        ours = SetUp("the plan", "segments by the plan, one worker thread a core", solution.plan)
        comparison = compare(
            (DEFAULT_SESSIONS, ONE_THREAD_SESSIONS, ours),
            problem,
            files,
            rounds=arguments.rounds,
            round_s=arguments.round_s,
            seed=arguments.seed,
        )
        table += rows_of(load, problem, solution, comparison, arguments.seed)
        plans += describe(load, solution, comparison)
        print("\n".join(table[-4:]), flush=True)

    fingerprint = profile.fingerprint
    lines = [
        "# Live comparison",
        "",
        *(__doc__ or "").strip().splitlines()[2:5],
        "",
        f"Models: {', '.join(MODELS)} (real architectures, seeded random weights). "
        f"{arguments.rounds} rounds of {arguments.round_s:g} s for each set-up and load, seed {arguments.seed}.",
        "",
        f"- command: `{COMMAND}`",
        f"- machine: {fingerprint.cpu}, {os.cpu_count()} cores; {fingerprint.versions_text}",
        f"- default sessions: {DEFAULT_SESSIONS.description}",
        f"- one thread a model: {ONE_THREAD_SESSIONS.description}",
        "",
        "| load | set-up | requests | served/s | p50 ms | p99 ms | mean response / one-thread time | missed deadline "
        "| missed, least – most of a round | peak memory MiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *table,
        "",
        "Peak memory is that of the set-up's process above its size before any session was open. Failed requests count "
        "as missed.",
        "",
        "## The plans",
        "",
        *plans,
        "",
    ]
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
