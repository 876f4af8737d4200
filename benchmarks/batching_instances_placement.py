"""Batching, concurrent instances and placement: what each gains alone, and all together, on several platforms.

python benchmarks/batching_instances_placement.py --output docs/results/batching_instances_placement.md
"""

from __future__ import annotations

import argparse
import os
import platform as machine
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from edgeplan.formulation import Activity, ContentionModel, Model, Poisson, Stream
from edgeplan.formulation.throughput import (
    ServiceEvaluation,
    ServicePlan,
    ServiceSettings,
    ThroughputProblem,
    evaluate_service,
    simulate_service,
)
from edgeplan.profiles import catalogue
from edgeplan.solvers import solve
from edgeplan.solvers.throughput.testing import model_of, platform_of

COMMAND = "python benchmarks/batching_instances_placement.py --output docs/results/batching_instances_placement.md"
BATCHES = (1, 2, 4, 8, 16)
# One-thread ms on an x86-64 core with ONNX Runtime, operators, MiB of weights; name in the catalogue of Edge TPU times.
NETWORKS = {
    "squeezenet": (8.6, 66, 4.7, "squeezenet"),
    "inception_v1": (57.0, 144, 27.0, "inception-v1"),
    "resnet50": (91.0, 176, 98.0, "resnet-50-v1"),
    "densenet121": (74.0, 910, 31.0, "densenet-121"),
}
CPU_EFFICIENCY = {1: 1.0, 2: 1.8, 4: 3.2}
GPU_SAMPLES, GPU_OPERATOR_US = 20.0, 8.0
CPU_BESIDE, GPU_BESIDE = 0.03, 0.6
CLUSTERS = {
    "2 CPU cores": {"cpu": 2},
    "8 CPU cores": {"cpu": 8},
    "GPU": {"gpu": 2},
    "8 CPU cores + GPU": {"cpu": 8, "gpu": 2},
    "8 CPU cores + GPU + 2 Edge TPUs": {"cpu": 8, "gpu": 2, "tpu0": 1, "tpu1": 1},
    "16 CPU cores + GPU + 2 Edge TPUs": {"cpu": 16, "gpu": 2, "tpu0": 1, "tpu1": 1},
    "4 CPU cores + 2 Edge TPUs": {"cpu": 4, "tpu0": 1, "tpu1": 1},
}
FREEDOMS = ("one instance, batch 1", "batching", "instances", "placement", "all together")
RULES = ("single_instance", "largest_batch", "equal_cores", "each_alone")


@dataclass
class Outcome:
    """One planned setting; requests a second altogether, None where nothing was found."""

    rate_hz: float | None
    gap: float | None
    plan: ServicePlan | None
    evaluation: ServiceEvaluation | None
    problem: ThroughputProblem
    seconds: float


def networks(processors: Sequence[str], threads: Sequence[int]) -> tuple[Model, ...]:
    """Models with costs on these processors, on a CPU with these numbers of threads."""
    made = []
    for name, (cpu_ms, operators, mib, listed) in NETWORKS.items():
        times: dict[tuple[str, int, int], float] = {}
        for p in processors:
            for b in BATCHES:
                if p == "cpu":
                    # Batching gains nothing for float models on this CPU.
                    times |= {(p, t, b): 1e3 * cpu_ms * b / CPU_EFFICIENCY[t] for t in threads}
                elif p == "gpu":
                    times[p, 1, b] = GPU_OPERATOR_US * operators + 1e3 * cpu_ms / GPU_SAMPLES * b
                elif b == 1:
                    times[p, 1, b] = float(catalogue.tenant(listed).accelerator_us[-1])
        made.append(model_of(name, times, weight_mib=mib, layers=1))
    return tuple(made)


def contention(models: Sequence[Model]) -> ContentionModel:
    """What runs beside another slows it down: a little on CPU cores, much on a GPU's two streams."""
    activities = []
    for model in models:
        for c in model.costs.configurations:
            beside = {"cpu": CPU_BESIDE, "gpu": GPU_BESIDE}.get(c.processor)
            if beside is not None:
                activities.append(
                    Activity(
                        model=model.name,
                        configuration=c.name,
                        processor=c.processor,
                        threads=c.threads,
                        sensitivity=1.0,
                        pressure=beside,
                    )
                )
    return ContentionModel(activities=tuple(activities))


def problem_for(cluster: dict[str, int], freedom: str, deadlines: bool) -> ThroughputProblem:
    """The mix of equal work on a cluster, with some of the choices taken away."""
    placed = freedom in ("placement", "all together")
    # Without placement everything runs on the fastest kind of processor there is.
    home = next(p for p in ("gpu", "tpu0", "cpu") if p in cluster)
    # Without instances each processor does one thing at a time, a CPU on as many threads as there are costs for.
    if freedom not in ("instances", "all together"):
        cluster = {p: min(n, max(CPU_EFFICIENCY)) if p == "cpu" else 1 for p, n in cluster.items()}
        threads = [cluster.get("cpu", 1)]
    else:
        threads = list(CPU_EFFICIENCY)
    models = networks(list(cluster) if placed else [home], threads)
    streams = tuple(
        Stream(
            model=name,
            arrival=Poisson(rate_hz=100.0 / cpu_ms),
            deadline_us=max(50e3, 3e3 * cpu_ms) if deadlines else None,
            percentile=0.95,
        )
        for name, (cpu_ms, *_) in NETWORKS.items()
    )
    service = ServiceSettings(
        max_stages=1,
        batches={} if freedom in ("batching", "all together") else dict.fromkeys(NETWORKS, (1,)),
        max_instances={} if freedom in ("instances", "all together") else dict.fromkeys(NETWORKS, 1),
        windows=(0.1, 0.3),
    )
    memory = dict.fromkeys(cluster, 4096.0)
    return ThroughputProblem(
        models, platform_of(cluster, memory), streams, service=service, contention=contention(models)
    )


def solved(problem: ThroughputProblem, method: str, time_limit_s: float) -> Outcome:
    """A setting solved."""
    began = time.perf_counter()
    found = solve(problem, method, time_limit_s=time_limit_s)
    seconds = time.perf_counter() - began
    rate = None if found.evaluation is None else sum(m.rate_hz for m in found.evaluation.models)
    return Outcome(rate, found.gap, found.plan, found.evaluation, problem, seconds)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def ratio(outcome: Outcome, base: Outcome) -> str:
    """Gain over the base."""
    if outcome.rate_hz is None or base.rate_hz is None:
        return "–"
    return f"{outcome.rate_hz / base.rate_hz:.2f}×"


def gains(by_cluster: dict[str, dict[str, Outcome]]) -> list[str]:
    """One row a platform."""
    rows = []
    for name, outcomes in by_cluster.items():
        base = outcomes[FREEDOMS[0]]
        whole = outcomes["all together"]
        base_rate = "–" if base.rate_hz is None else f"{base.rate_hz:.1f}"
        gap = "–" if whole.gap is None else f"{100 * whole.gap:.1f} %"
        rows.append([name, base_rate, *(ratio(outcomes[f], base) for f in FREEDOMS[1:]), gap])
    return table(["platform", "base, requests/s", *FREEDOMS[1:], "proven gap"], rows)


def rivals(by_cluster: dict[str, dict[str, Outcome]], seconds: float) -> list[str]:
    """Rules of today on the same problems."""
    rows = []
    for name, outcomes in by_cluster.items():
        ours = outcomes["all together"]
        row = [name, f"{ours.rate_hz:.1f}" if ours.rate_hz else "–"]
        for rule in RULES:
            theirs = solved(ours.problem, rule, seconds)
            row.append("none in time" if theirs.rate_hz is None else f"{theirs.rate_hz:.1f} ({ratio(ours, theirs)})")
        rows.append(row)
    return table(["platform", "ours, requests/s", *RULES], rows)


def choices(by_cluster: dict[str, dict[str, Outcome]]) -> list[str]:
    """Batches and places of the whole plans."""
    rows = []
    for name, outcomes in by_cluster.items():
        plan = outcomes["all together"].plan
        if plan is None:
            continue
        for service in plan.services:
            places: dict[str, int] = {}
            for instance in service.instances:
                c = instance.segments[0].configuration
                label = f"{c.processor}" + (f" ({c.threads} threads)" if c.threads > 1 else "")
                places[label] = places.get(label, 0) + 1
            where = ", ".join(f"{n} × {p}" for p, n in places.items())
            row = [name, service.model, str(service.max_batch), f"{service.window_us / 1e3:.0f}"]
            rows.append([*row, where, f"{service.rate_hz:.1f}"])
    return table(["platform", "model", "batch", "window, ms", "instances", "requests/s"], rows)


def scaled(plan: ServicePlan, factor: float) -> ServicePlan:
    """The same plan with fewer requests."""
    services = tuple(
        s.model_copy(
            update={
                "rate_hz": s.rate_hz * factor,
                "instances": tuple(i.model_copy(update={"rate_hz": i.rate_hz * factor}) for i in s.instances),
            }
        )
        for s in plan.services
    )
    return plan.model_copy(update={"services": services})


def errors(outcomes: Sequence[Outcome], requests: int) -> list[str]:
    """Prediction against simulation at several shares of capacity."""
    rows = []
    for share in (0.5, 0.8, 0.9, 1.0):
        means, p95, late = [], [], []
        for outcome in outcomes:
            if outcome.plan is None:
                continue
            plan = scaled(outcome.plan, share)
            found = evaluate_service(outcome.problem, plan)
            total = sum(m.rate_hz for m in found.models)
            played = simulate_service(outcome.problem, plan, 1e6 * requests / total, seed=1)
            for i, m in enumerate(found.models):
                seen = played.models[m.model]
                means.append(m.mean_response_us / seen.response_us.mean() - 1)
                p95.append(m.percentile_us(0.95) / seen.percentile_us(0.95) - 1)
                if outcome.problem.deadline_us[i] < np.inf:
                    late.append(float(np.mean(seen.response_us > outcome.problem.deadline_us[i])))
        cells = [
            f"{100 * v:+.1f} %" for v in (*np.quantile(means, (0.05, 0.5, 0.95)), *np.quantile(p95, (0.05, 0.5, 0.95)))
        ]
        worst = f"{100 * np.median(late):.1f} %, {100 * max(late):.1f} %" if late else "–"
        rows.append([f"{share:.0%}", *cells, worst])
    head = [
        "load, of capacity",
        "mean: 5 %",
        "median",
        "95 %",
        "p95: 5 %",
        "median",
        "95 %",
        "late in simulation: median, largest",
    ]
    return table(head, rows)


def main() -> None:
    """Run everything and print markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--seconds", type=float, default=2.5, help="for each setting; four times that for all together")
    parser.add_argument("--requests", type=int, default=8000, help="simulated, for each plan")
    parser.add_argument("--platforms", type=int, default=len(CLUSTERS), help="how many of the platforms")
    arguments = parser.parse_args()
    began = time.perf_counter()
    lines = [
        "# Batching, concurrent instances and placement",
        "",
        f"`{COMMAND}`",
        "",
        f"EdgePlan {version('edgeplan')}, OR-Tools {version('ortools')}, Python {machine.python_version()}, "
        f"{os.cpu_count()} CPU cores, {arguments.seconds:g} s for each setting, {4 * arguments.seconds:g} s for all "
        f"together, {arguments.requests} simulated requests a plan. Simulated: no device here has these processors.",
        "",
        "Costs. CPU: measured one-thread times of ONNX Runtime on an x86-64 core; 1.8 and 3.2 times faster on 2 and 4 "
        "threads (the first measured, the second estimated); batches cost as many times a request. Edge TPU: the "
        f"catalogue's times, batch 1. GPU, **estimated**: {GPU_OPERATOR_US:g} µs an operator and run, and a "
        f"{GPU_SAMPLES:g}th of the CPU's time a request; two runs at once, each then {1 + GPU_BESIDE:g} times as long. "
        f"CPU cores, estimated: {100 * CPU_BESIDE:g} % longer for each other core at work. Mix: equal CPU work of "
        f"{', '.join(NETWORKS)}.",
        "",
        "Base: one instance of each model, a request at a time, all on the fastest kind of processor, which runs one "
        "of them at a time (a CPU on up to 4 threads). `batching`, `instances` and `placement` each add one freedom to "
        "the base; `all together` has the three. Published for such devices (Reaching for the Sky, doi "
        "10.1145/3546192): batching more than 2.4×; concurrent instances and placement up to 3× on GPU devices and 10× "
        "on Edge TPU. Those are other models on other devices, so the ratios stand beside each other, not against.",
        "",
    ]
    everything: list[Outcome] = []
    for deadlines in (False, True):
        by_cluster: dict[str, dict[str, Outcome]] = {}
        for name in list(CLUSTERS)[: arguments.platforms]:
            by_cluster[name] = {
                freedom: solved(
                    problem_for(CLUSTERS[name], freedom, deadlines),
                    "cp_sat" if freedom == "all together" else "greedy",
                    arguments.seconds * (4 if freedom == "all together" else 1),
                )
                for freedom in FREEDOMS
            }
        limits = "95 % of each model's requests in time" if deadlines else "no deadlines: throughput alone"
        lines += [f"## Gains, {limits}", "", *gains(by_cluster), ""]
        lines += ["What users do today, on the same problems (ours over theirs in brackets):", ""]
        lines += [*rivals(by_cluster, arguments.seconds), ""]
        if deadlines:
            lines += ["Chosen by the planner, with deadlines:", "", *choices(by_cluster), ""]
            everything = [outcome for each in by_cluster.values() for outcome in each.values()]
    lines += ["## Prediction against simulation", "", "Predicted over simulated, less 1, over models of all plans:", ""]
    lines += [*errors(everything, arguments.requests), ""]
    lines += [f"Took {time.perf_counter() - began:.0f} s."]
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
