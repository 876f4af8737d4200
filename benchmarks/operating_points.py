"""Joint online allocation against rules for each model by itself, simulated; the solvers' gaps and times.

python benchmarks/operating_points.py --output docs/results/operating_points.md
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from edgeplan.formulation.operating_points import (
    Loaded,
    ModelPoints,
    OperatingPoint,
    OperatingPointProblem,
    Phase,
    Policy,
    PolicyRun,
    ProcessorUse,
    SharedProcessor,
    Sight,
    World,
    evaluate_points,
    simulate_policy,
)
from edgeplan.runtime_bridge.operating_points import JointCopies, JointPolicy, JointSettings
from edgeplan.solvers import solve
from edgeplan.solvers.operating_points import Dispatch, FixedPoints, ParetoRule
from edgeplan.solvers.operating_points.testing import random_points

COMMAND = "python benchmarks/operating_points.py --output docs/results/operating_points.md"

# Published points of MobileNetV2 (ms, kB resident): four all on the CPU, then all on the GPU.
PUBLISHED_CPU = ((72.5, 56_388), (47.0, 73_492), (25.5, 402_468), (7.80, 404_476))
PUBLISHED_GPU = (8.03, 403_568)
# Latency and weights of the models against MobileNetV2's (one-thread times of the light models over its 25.5 ms; MB).
LIGHT = {
    "squeezenet": (0.33, 0.5),
    "shufflenet": (0.20, 0.5),
    "inception_v1": (2.2, 1.0),
    "resnet50": (3.5, 1.6),
    "mobilenet_v2": (1.0, 1.0),
    "densenet121": (2.9, 1.0),
}
PROCESSORS = (SharedProcessor("cpu", 4), SharedProcessor("gpu", 1))
STORAGE_BYTES_PER_US = 1000.0
SETTING = """\
Simulated: a CPU of four cores, a GPU, one memory; load {load:g}. Fronts have the shape of MobileNetV2's published
points (CPU 72.5, 47.0, 25.5, 7.80 ms at 56, 73, 402, 404 MB; GPU 8.03 ms at 404 MB), stretched to the light models'
one-thread times; cores, mixed points and the others' memory are estimates. Six equal phases: quiet, four threads of
others on the CPU, two on the GPU, memory short, memory short and two threads on the CPU, quiet; with ample memory
there is room for a copy of every model on each processor throughout. A switch takes 150 ms and the reading of the point
at 1 GB/s, during which the model waits; what does not fit memory is read back at 1 GB/s by every inference. In time:
by twelve times the fastest point's latency. Policies see latencies, arrivals, available memory and the CPU's foreign
threads, not the GPU's. ± are 95 % intervals over seeds. The published claim is 25 to 100 % more throughput than static
allocation and than load balancing (doi 10.1145/3626793), on its authors' devices and models, which these are not."""


def front(name: str) -> tuple[OperatingPoint, ...]:
    """A model's points: the published front, stretched to the model's time and memory."""
    slower, larger = LIGHT[name]
    points = []
    for k, (ms, kb) in enumerate(PUBLISHED_CPU):
        cores = 4 if ms < 10 else 2 if ms < 30 else 1
        points.append(_point(f"cpu{k}", ms * slower, kb * larger, [("cpu", 1.0, cores)]))
    # Between all CPU and all GPU: parts of the operators on each, memory in proportion.
    for share in (0.35, 0.7):
        ms = (1 - share) * 25.5 + share * PUBLISHED_GPU[0]
        kb = (1 - share) * 73_492 + share * PUBLISHED_GPU[1]
        on_gpu = share * PUBLISHED_GPU[0] / ms
        points.append(_point(f"mixed{share:g}", ms * slower, kb * larger, [("cpu", 1 - on_gpu, 2), ("gpu", on_gpu, 1)]))
    points.append(_point("gpu", PUBLISHED_GPU[0] * slower, PUBLISHED_GPU[1] * larger, [("gpu", 1.0, 1)]))
    return tuple(points)


def _point(name: str, ms: float, kb: float, parts: Sequence[tuple[str, float, int]]) -> OperatingPoint:
    uses = tuple(ProcessorUse(p, ms * 1e3 * share * 0.98, cores, 0.3, 0.3) for p, share, cores in parts)
    memory = kb * 1024
    return OperatingPoint(name, ms * 1e3, {"ram": memory}, uses, recompile_us=150e3, reload_bytes=memory)


def world(names: Sequence[str], load: float, seconds: float, *, pressure: bool) -> World:
    """Quiet; others on the CPU; on the GPU; memory short, where there is pressure; with others too; quiet."""
    models = []
    for name in names:
        points = front(name)
        best_us = min(p.latency_us for p in points)
        rate = load * 1.6e6 / (len(names) * best_us)
        models.append(ModelPoints(name, points, rate_hz=rate, deadline_us=12 * best_us))
    most = sum(max(p.total_bytes for p in m.points) for m in models)
    least = sum(min(p.total_bytes for p in m.points) for m in models)
    # Ample: room for a copy of every model on each processor.
    ample = {"ram": 2.2 * most}
    tight = {"ram": least + 0.35 * (most - least)} if pressure else ample
    span = seconds * 1e6 / 6
    phases = (
        Phase(0.0, ample),
        Phase(span, ample, {"cpu": 4.0}),
        Phase(2 * span, ample, {"gpu": 2.0}),
        Phase(3 * span, tight),
        Phase(4 * span, tight, {"cpu": 2.0}),
        Phase(5 * span, ample),
    )
    return World(
        tuple(models),
        PROCESSORS,
        phases,
        seconds * 1e6,
        reload_bytes_per_us=STORAGE_BYTES_PER_US,
        paging_bytes_per_us=STORAGE_BYTES_PER_US,
    )


POLICIES: dict[str, Callable[[], Policy]] = {
    "joint, response": lambda: JointPolicy(PROCESSORS, JointSettings(reload_bytes_per_us=STORAGE_BYTES_PER_US)),
    "joint, copies": lambda: JointCopies(PROCESSORS, JointSettings(reload_bytes_per_us=STORAGE_BYTES_PER_US)),
    "joint, misses": lambda: JointPolicy(
        PROCESSORS, JointSettings(reload_bytes_per_us=STORAGE_BYTES_PER_US, objective="misses")
    ),
    "published rule": ParetoRule,
    "static fastest": FixedPoints.fastest,
    "static smallest": FixedPoints.smallest,
    "round robin": lambda: Dispatch("round robin"),
    "least loaded": lambda: Dispatch("least loaded"),
    "all cores each": FixedPoints.all_cores,
}
MIXES = {
    "2 models": ("mobilenet_v2", "resnet50"),
    "3 models": ("squeezenet", "mobilenet_v2", "inception_v1"),
    "4 models": ("squeezenet", "shufflenet", "inception_v1", "resnet50"),
    "6 models": tuple(LIGHT),
}


def interval(values: Sequence[float]) -> str:
    """Mean and half width of its 95 % interval over seeds."""
    a = np.array(values, dtype=np.float64)
    half = 1.96 * a.std(ddof=1) / np.sqrt(len(a)) if len(a) > 1 else 0.0
    return f"{a.mean():,.3g} ± {half:,.2g}"


def policies_table(load: float, seeds: int, seconds: float) -> list[str]:
    """Every mix, without and with memory pressure, under every policy."""
    lines = []
    for mix, names in MIXES.items():
        for pressure in (False, True):
            here = world(names, load, seconds, pressure=pressure)
            runs: dict[str, list[PolicyRun]] = {}
            for label, make in POLICIES.items():
                runs[label] = [simulate_policy(here, make(), seed) for seed in range(seeds)]
            lines += [
                f"\n### {mix}, {'memory pressure comes and goes' if pressure else 'ample memory'}\n",
                "| policy | served/s | joint's over this | in time/s | joint's over this | mean ms | p99 ms | "
                "missed % | switches | over memory limit % |",
                "|---|---|---|---|---|---|---|---|---|---|",
            ]
            ours = runs["joint, response"]
            for label, found in runs.items():
                served = interval([a.throughput_hz / r.throughput_hz for a, r in zip(ours, found, strict=True)])
                never = any(r.in_time_hz == 0 for r in found)
                in_time = (
                    "–" if never else interval([a.in_time_hz / r.in_time_hz for a, r in zip(ours, found, strict=True)])
                )
                lines.append(
                    f"| {label} | {interval([r.throughput_hz for r in found])} | {served} | "
                    f"{interval([r.in_time_hz for r in found])} | {in_time} | "
                    f"{interval([r.mean_us / 1e3 for r in found])} | "
                    f"{interval([r.p99_us / 1e3 for r in found])} | {interval([100 * r.miss_ratio for r in found])} | "
                    f"{np.mean([r.switches for r in found]):.1f} | "
                    f"{np.mean([100 * r.over_limit_us / r.duration_us for r in found]):.1f} |"
                )
            print("\n".join(lines[-len(runs) - 3 :]), flush=True)
    return lines


def solvers_table(instances: int, limit_s: float) -> list[str]:
    """Gap of greedy to the exact search, and times."""
    lines = [
        "| models × points | proven optimal | exact, median ms | CP-SAT, median ms | greedy, median ms | worst ms | "
        "greedy optimal | mean gap | worst gap |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for n, width in ((2, 7), (4, 7), (6, 7), (6, 12), (8, 12)):
        exact_ms, cp_ms, greedy_ms, gaps, proven = [], [], [], [], 0
        for seed in range(instances):
            problem = random_points(n, width, seed, load=(0.1, 0.2, 0.3)[seed % 3], memory_share=(0.3, 0.6)[seed % 2])
            exact = solve(problem, "dynamic_program", time_limit_s=limit_s)
            if exact.objective is None:
                continue
            exact_ms.append(exact.runtime_s * 1e3)
            proven += exact.status == "optimal"
            if n <= 4:
                cp_ms.append(solve(problem, "cp_sat", time_limit_s=limit_s).runtime_s * 1e3)
            began_s = time.perf_counter()
            quick = solve(problem, "greedy")
            greedy_ms.append((time.perf_counter() - began_s) * 1e3)
            gaps.append(np.inf if quick.objective is None else quick.objective / exact.objective - 1)
        cp = f"{np.median(cp_ms):.1f}" if cp_ms else "–"
        lines.append(
            f"| {n} × {width} | {proven} of {len(gaps)} | {np.median(exact_ms):.1f} | {cp} | "
            f"{np.median(greedy_ms):.2f} | {max(greedy_ms):.2f} | "
            f"{sum(g < 1e-9 for g in gaps)} | {np.mean(gaps):.2%} | {max(gaps):.2%} |"
        )
    return lines


def evaluator_table(seeds: int) -> list[str]:
    """What the evaluator predicts of fixed points against what is simulated, in a world without changes."""
    lines = [
        "| mix | load | predicted mean ms | simulated mean ms | predicted missed % | simulated missed % |",
        "|---|---|---|---|---|---|",
    ]
    for mix, names in MIXES.items():
        for load in (0.2, 0.4, 0.6):
            here = world(names, load, 120.0, pressure=False)
            # Deadlines of three times the fastest point, so that there is something to miss.
            models = tuple(replace(m, deadline_us=3 * min(p.latency_us for p in m.points)) for m in here.models)
            here = replace(here, models=models, phases=here.phases[:1], max_in_flight=10_000)
            problem = OperatingPointProblem(here.models, PROCESSORS)
            choice = solve(problem, "greedy").choice
            if choice is None:
                continue
            predicted = evaluate_points(problem, choice)
            runs = [simulate_policy(here, _Fixed(choice), seed) for seed in range(seeds)]
            # Unweighted over requests on both sides: weights are 1.
            lines.append(
                f"| {mix} | {load:g} | {predicted.response_us / 1e3:.2f} | "
                f"{interval([r.mean_us / 1e3 for r in runs])} | {100 * predicted.miss_ratio:.3f} | "
                f"{interval([100 * r.miss_ratio for r in runs])} |"
            )
    return lines


class _Fixed(FixedPoints):
    """Stated points."""

    def __init__(self, choice: Sequence[int]) -> None:
        super().__init__("fixed", lambda points: 0)
        self._choice = choice

    def start(self, sight: Sight) -> Loaded:
        return {name: (j,) for name, j in zip(sight.models, self._choice, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0, help="of virtual time a run")
    parser.add_argument("--load", type=float, default=0.5, help="of the device at the models' fastest points, about")
    parser.add_argument("--instances", type=int, default=12)
    args = parser.parse_args()
    began_s = time.monotonic()
    solvers = solvers_table(args.instances, 5.0)
    print("\n".join(solvers), flush=True)
    accuracy = evaluator_table(2)
    print("\n".join(accuracy), flush=True)
    tables = policies_table(args.load, args.seeds, args.seconds)
    text = "\n".join(
        [
            "# Operating points chosen jointly",
            "",
            f"`{COMMAND}` · {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()} · "
            f"{args.seeds} seeds, {args.seconds:g} s of virtual time each · took {time.monotonic() - began_s:.0f} s",
            "",
            SETTING.format(load=args.load),
            "",
            "## Greedy against exact search (random instances; ms include checking the answer)",
            "",
            *solvers,
            "",
            "## What the evaluator predicts against what is simulated",
            "",
            *accuracy,
            "",
            "## Policies",
            *tables,
            "",
        ]
    )
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(text)


if __name__ == "__main__":
    main()
