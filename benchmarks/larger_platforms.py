"""Larger platforms: the live comparison's set-ups and the plan, simulated on 8 and 16 cores and beside accelerators.

One-thread and two-thread costs of four real models are measured here; more threads follow from the two by Amdahl's law,
and the GPU and the two accelerators are estimates (all stated below). Every set-up gets the same Poisson requests;
each model is asked for the same amount of work, and a deadline is five times its one-thread time.

    python benchmarks/larger_platforms.py --output docs/results/larger_platforms.md
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edgeplan.formulation import (
    Configuration,
    CostTable,
    Limits,
    Link,
    Memory,
    Model,
    ModelPlan,
    Plan,
    PlannedSegment,
    Platform,
    Poisson,
    Problem,
    Processor,
    SimulatedResponses,
    SolverStamp,
    Stream,
    arrival_times,
    simulate,
)
from edgeplan.profiles import Profile, ProfileSettings, local_platform, profile_models, resolve_model

import edgeplan

MODELS = ("squeezenet", "shufflenet", "inception_v1", "resnet50")
DEADLINE_FACTOR = 5.0
THREADS = (1, 2, 4, 8, 16)
GPU_SPEED, GPU_FIXED_US, GPU_LAYER_US = 8.0, 60.0, 4.0
NPU_SPEED, NPU_FIXED_US = 4.0, 150.0
LINK_BYTES_PER_US, LINK_FIXED_US = 4000.0, 20.0


@dataclass(frozen=True)
class Device:
    """A platform to try: a name, CPU cores, and whether there is a GPU and two accelerators."""

    name: str
    cores: int
    accelerated: bool = False

    def platform(self) -> Platform:
        """As the planner sees it."""
        cpu = Processor(name="cpu", cores=tuple(range(self.cores)), memory="ram")
        ram = Memory(name="ram", capacity_bytes=16 * 2**30)
        if not self.accelerated:
            return Platform(name=self.name, processors=(cpu,), memories=(ram,))
        more = ("gpu", "npu0", "npu1")
        return Platform(
            name=self.name,
            processors=(cpu, *(Processor(name=n, kind=n[:3], cores=(100 + k,), memory=n) for k, n in enumerate(more))),
            memories=(ram, *(Memory(name=n, capacity_bytes=4 * 2**30 if n == "gpu" else 256 * 2**20) for n in more)),
            links=tuple(
                Link(source=a, target=b, fixed_us=LINK_FIXED_US, bytes_per_us=LINK_BYTES_PER_US)
                for n in more
                for a, b in (("ram", n), (n, "ram"))
            )
            + tuple(
                Link(source=a, target=b, fixed_us=2 * LINK_FIXED_US, bytes_per_us=LINK_BYTES_PER_US / 2)
                for a, b in itertools.permutations(more, 2)
            ),
        )


DEVICES = (Device("8 cores", 8), Device("16 cores", 16), Device("8 cores, GPU, 2 accelerators", 8, accelerated=True))


def measured_column(model: Model, threads: int) -> int:
    """ONNX Runtime's configuration that runs the whole model fastest on so many threads."""
    times = model.costs.segment_us(0, model.costs.n_layers)
    kinds = model.costs.configurations
    fitting = [c for c, k in enumerate(kinds) if k.backend == "onnxruntime-cpu" and k.threads == threads]
    return min(fitting, key=lambda c: times[c])


def on_device(model: Model, device: Device, name: str) -> Model:
    """The model with costs for a larger device."""
    one, two = (measured_column(model, t) for t in (1, 2))
    whole = model.costs.segment_us(0, model.costs.n_layers)
    parallel = float(np.clip(2 * (1 - whole[two] / whole[one]), 0.0, 0.98))
    layers_us, fixed_us = model.costs.layer_us[:, one], float(model.costs.fixed_us[one])
    configurations, columns, fixed = [], [], []
    for threads in (t for t in THREADS if t <= device.cores):
        configurations.append(Configuration(backend="cpu", threads=threads))
        columns.append(layers_us * (1 - parallel + parallel / threads))
        fixed.append(fixed_us)
    if device.accelerated:
        configurations.append(Configuration(processor="gpu", backend="gpu"))
        columns.append(layers_us / GPU_SPEED + GPU_LAYER_US)
        fixed.append(GPU_FIXED_US)
        dense = np.array([layer.op_type in {"Conv", "Gemm", "Relu", "MaxPool"} for layer in model.graph.layers])
        for npu in ("npu0", "npu1"):
            configurations.append(Configuration(processor=npu, backend="npu"))
            # What such accelerators do not run well falls back to something slow.
            columns.append(np.where(dense, layers_us / NPU_SPEED, layers_us * 2))
            fixed.append(NPU_FIXED_US)
    costs = CostTable.create(configurations, np.column_stack(columns), fixed_us=fixed, workspace_bytes=2**20)
    return Model(name, model.graph, costs, model.sha256, model.cuts)


def problem_at(profile: Profile, device: Device, load: float, copies: int) -> Problem:
    """Streams that together ask for `load` of what the device could do, every model for an equal part."""
    bases = {model.name: model for model in profile.to_models()}
    models = tuple(on_device(bases[n], device, f"{n}-{k}") for k in range(copies) for n in MODELS)
    capacity = float(device.cores)
    if device.accelerated:
        for column, speed in ((-3, "gpu"), (-2, "npu0"), (-1, "npu1")):
            assert models[0].costs.configurations[column].processor == speed
            capacity += float(np.mean([alone_us(m) / whole_us(m)[column] for m in models]))
    streams = []
    for model in models:
        rate_hz = load * capacity * 1e6 / (alone_us(model) * len(models))
        deadline_us = DEADLINE_FACTOR * alone_us(model)
        streams.append(Stream(model=model.name, arrival=Poisson(rate_hz=rate_hz), deadline_us=deadline_us))
    return Problem(models, device.platform(), tuple(streams), Limits(max_utilisation=0.99))


def whole_us(model: Model) -> np.ndarray:
    """Time of the whole model under each configuration."""
    return model.costs.segment_us(0, model.costs.n_layers)


def alone_us(model: Model) -> float:
    """Time of the whole model on one CPU thread."""
    return float(whole_us(model)[0])


def time_sliced(problem: Problem, threads: int, duration_s: float, seed: int) -> dict[str, SimulatedResponses]:
    """A session and a serving thread a model, each with so many threads; the system shares the cores evenly.

    Ideal: neither switching nor spinning costs anything, which flatters these set-ups.
    """
    cores = len(problem.platform.processors[0].cores)
    column = next(k for k, c in enumerate(problem.models[0].costs.configurations) if c.threads == threads)
    work_us = [float(whole_us(model)[column]) for model in problem.models]
    arrivals = [
        arrival_times(s.arrival, duration_s * 1e6, np.random.default_rng([seed, k]))
        for k, s in enumerate(problem.streams)
    ]
    coming = [(float(t), k) for k, times in enumerate(arrivals) for t in times]
    heapq.heapify(coming)
    waiting = [0] * len(work_us)
    left_us: dict[int, float] = {}
    ends: list[list[float]] = [[] for _ in work_us]
    now = 0.0
    while coming or left_us:
        slower = max(1.0, threads * len(left_us) / cores)
        first = min(left_us, key=lambda k: left_us[k]) if left_us else -1
        finish = now + left_us[first] * slower if left_us else np.inf
        arrival = coming[0][0] if coming else np.inf
        then = min(finish, arrival)
        for k in left_us:
            left_us[k] -= (then - now) / slower
        now = then
        if finish <= arrival:
            del left_us[first]
            ends[first].append(now)
            if waiting[first]:
                waiting[first] -= 1
                left_us[first] = work_us[first]
        else:
            _, k = heapq.heappop(coming)
            if k in left_us:
                waiting[k] += 1
            else:
                left_us[k] = work_us[k]
    return {
        s.model: SimulatedResponses(times, np.array(e) - times, s.deadline_us or np.inf)
        for s, times, e in zip(problem.streams, arrivals, ends, strict=True)
    }


def whole_models(problem: Problem, column_of: Callable[[Model], int]) -> Plan:
    """Every model whole under one configuration, one thread on any core of its processor."""
    parts = []
    for model in problem.models:
        configuration = model.costs.configurations[column_of(model)]
        cores = problem.platform.processor_by_name[configuration.processor].cores
        segment = PlannedSegment(start=0, stop=model.costs.n_layers, configuration=configuration, cores=cores)
        parts.append(ModelPlan(model=model.name, sha256=model.sha256, segments=(segment,)))
    return Plan(models=tuple(parts), solver=SolverStamp(method="fixed", status="feasible"))


def fastest(model: Model) -> int:
    """The model's fastest processor, one thread on the CPU."""
    kinds = model.costs.configurations
    return min((c for c, k in enumerate(kinds) if k.threads == 1), key=lambda c: whole_us(model)[c])


def spread(problem: Problem) -> Callable[[Model], int]:
    """Models dealt out to the processors in turn."""
    processors = [p.name for p in problem.platform.processors]
    turn = {model.name: processors[k % len(processors)] for k, model in enumerate(problem.models)}

    def column(model: Model) -> int:
        kinds = model.costs.configurations
        return next(c for c, k in enumerate(kinds) if k.processor == turn[model.name] and k.threads == 1)

    return column


def row(name: str, problem: Problem, played: dict[str, SimulatedResponses], duration_s: float) -> str:
    """A line of the table."""
    alone = {model.name: alone_us(model) for model in problem.models}
    stretch = np.concatenate([r.response_us / alone[m] for m, r in played.items()])
    responses = np.concatenate([r.response_us for r in played.values()])
    missed = np.concatenate([r.response_us > r.deadline_us for r in played.values()])
    # Batch means over 20 stretches of time; requests of neighbouring stretches depend little on each other.
    arrivals = np.concatenate([r.arrival_us for r in played.values()])
    batch = np.minimum((arrivals / (duration_s * 1e6 / 20)).astype(int), 19)
    means = np.array([missed[batch == k].mean() for k in range(20) if np.any(batch == k)])
    half = 2.09 * means.std(ddof=1) / np.sqrt(len(means))
    return (
        f"| {name} | {stretch.mean():.2f} | {np.median(responses) / 1e3:.1f} | "
        f"{np.quantile(responses, 0.99) / 1e3:.1f} | {missed.mean():.2%} ± {half:.2%} |"
    )


def served_whole(
    problem: Problem, column_of: Callable[[Model], int], duration_s: float, seed: int, *, first_come: bool = False
) -> dict[str, SimulatedResponses]:
    """Responses where every model runs whole; without deadlines to go by, requests are served as they come."""
    due = {s.model: s.deadline_us or np.inf for s in problem.streams}
    if first_come:
        problem = problem.replace(streams=tuple(s.model_copy(update={"deadline_us": None}) for s in problem.streams))
    played = simulate(problem, whole_models(problem, column_of), duration_s * 1e6, seed, late_last=False)
    return {m: SimulatedResponses(r.arrival_us, r.response_us, due[m]) for m, r in played.items()}


def one_core(_: Model) -> int:
    """One thread of the CPU."""
    return 0


def table(problem: Problem, device: Device, load: float, duration_s: float, seed: int) -> list[str]:
    """All set-ups at one load."""
    best = edgeplan.plan(problem, time_limit_s=60.0, seed=seed)
    heading = f"## {device.name}, {len(problem.models)} models, load {load:.2f}"
    rows = [
        ("default sessions, ideal time-slicing", time_sliced(problem, device.cores, duration_s, seed)),
        ("one thread a model, ideal time-slicing", time_sliced(problem, 1, duration_s, seed)),
        ("workers, first come", served_whole(problem, one_core, duration_s, seed, first_come=True)),
        ("workers, earliest deadline", served_whole(problem, one_core, duration_s, seed)),
    ]
    if device.accelerated:
        rows += [
            ("each model on its fastest processor", served_whole(problem, fastest, duration_s, seed)),
            ("models dealt out to the processors", served_whole(problem, spread(problem), duration_s, seed)),
        ]
    note = "; ".join((f"No plan: {best.status}", *(clash.sentence for clash in best.clashes))) + "."
    if best.plan is not None:
        rows.append(("the plan", dict(simulate(problem, best.plan, duration_s * 1e6, seed))))
        gap = "" if best.gap is None else f", gap {best.gap:.1%}"
        used = sum(len(m.segments) for m in best.plan.models)
        note = f"The plan: {best.plan.solver.policy}; {best.method} {best.status}{gap}; {used} segments."
    return [
        heading,
        "",
        "| set-up | stretch | p50 ms | p99 ms | missed deadlines |",
        "|---|---|---|---|---|",
        *(row(name, problem, played, duration_s) for name, played in rows),
        "",
        note,
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", type=float, nargs="+", default=[0.3, 0.6, 0.8, 0.95])
    parser.add_argument("--copies", type=int, default=1, help="streams of each of the four models")
    parser.add_argument("--duration-s", type=float, default=60.0, help="simulated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", type=Path, help="measure once and keep it here; default: a temporary file")
    parser.add_argument("--output", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    files = {name: resolve_model(name) for name in MODELS}
    if arguments.profile and arguments.profile.is_file():
        profile = Profile.load(arguments.profile)
    else:
        path = arguments.profile or Path(tempfile.mkdtemp()) / "profile.json"
        profile = profile_models(files, local_platform(), ProfileSettings(seed=arguments.seed), path)
    lines = [
        "# Larger platforms, simulated",
        "",
        *(__doc__ or "").strip().splitlines()[2:5],
        "",
        "- command: `python benchmarks/larger_platforms.py`; "
        f"{arguments.duration_s:g} s simulated, seed {arguments.seed}",
        f"- measured on: {profile.fingerprint.cpu}, {os.cpu_count()} cores; {profile.fingerprint.versions_text}",
        f"- estimated: a GPU {GPU_SPEED:g} times as fast as one thread with {GPU_LAYER_US:g} µs a layer and "
        f"{GPU_FIXED_US:g} µs a segment besides; two accelerators {NPU_SPEED:g} times as fast on convolutions, dense "
        f"layers, ReLU and pooling and half as fast on the rest, {NPU_FIXED_US:g} µs a segment; links of "
        f"{LINK_BYTES_PER_US / 1e3:g} GB/s and {LINK_FIXED_US:g} µs",
        "- load: share of what all processors together could do with whole models",
        "- stretch: mean of response over one-thread time; missed: with the 95 % interval of batch means",
        "",
    ]
    for device in DEVICES:
        for load in arguments.loads:
            problem = problem_at(profile, device, load, arguments.copies)
            lines += table(problem, device, load, arguments.duration_s, arguments.seed)
            print(lines[-2], flush=True)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
