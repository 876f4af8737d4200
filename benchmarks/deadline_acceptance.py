"""Deadline misses and acceptance against utilisation, for every method that plans jobs with deadlines.

python benchmarks/deadline_acceptance.py --output docs/results/deadline_acceptance.md
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
from edgeplan.formulation import Job, JobNetwork, JobProblem
from edgeplan.solvers import solve
from edgeplan.solvers.deadlines.policies import best_cut
from edgeplan.solvers.deadlines.random_search import RandomSearch
from edgeplan.solvers.deadlines.schedulability import SporadicTask, TaskSegment, schedulability

COMMAND = "python benchmarks/deadline_acceptance.py"
COSTS = Path(__file__).parent / "data" / "light_model_costs.json"
UTILISATIONS = (0.2, 0.6, 1.0, 1.4, 1.8, 2.2)
METHODS = (
    "cpu_edf",
    "gpu_edf",
    "fifo",
    "least_slack",
    "latency_optimal_cut",
    "heft",
    "random_search",
    "best_whole_model",
    "dynamic_program",
    "cp_sat",
)
CP_LIMIT_S = 0.4
RANDOM_SCHEDULES = 100
DENSE_SPEED_UP, OTHER_SPEED_UP = 2.0, 0.5
"""The second processor, which is estimated: convolutions and matrix products twice as fast, the rest half as fast."""
BYTES_PER_US, LINK_US = 4000.0, 20.0
"""Transfers, estimated: 4 GB/s after 20 µs."""
PERIODS_US = (10_000.0, 100_000.0)
VERDICT = "verdict on latency_optimal_cut"


def networks(costs: dict, factors: dict[str, float] | None = None) -> list[JobNetwork]:
    """Networks of the cost file, their times scaled and rounded up to whole microseconds."""
    made = []
    for model in costs["models"]:
        scale = 1.0 if factors is None else factors[model["name"]]
        dense = np.array([s["dense_us"] for s in model["segments"]])
        other = np.array([s["other_us"] for s in model["segments"]])
        moved_us = LINK_US + np.array([s["output_bytes"] for s in model["segments"]]) / BYTES_PER_US
        duration = np.column_stack([dense + other, dense / DENSE_SPEED_UP + other / OTHER_SPEED_UP])
        transfer = np.broadcast_to(moved_us[:, None, None], (len(dense), 2, 2))
        made.append(JobNetwork.build(model["name"], np.ceil(duration * scale), transfer_us=np.ceil(transfer * scale)))
    return made


def uunifast(tasks: int, utilisation: float, rng: np.random.Generator) -> list[float]:
    """Utilisations of tasks that add up, uniform over all such: Bini and Buttazzo 2005, 10.1007/s11241-005-0507-9."""
    shares, left = [], utilisation
    for k in range(tasks - 1, 0, -1):
        rest = left * rng.random() ** (1 / k)
        shares.append(left - rest)
        left = rest
    return [*shares, left]


def task_set(costs: dict, utilisation: float, seed: int) -> tuple[JobProblem, list[list[SporadicTask]]]:
    """Jobs released in one longest period, and the same tasks cut where each alone is fastest.

    A task's utilisation is the time of its whole network on the processor that runs it fastest, over its period: at 1
    that processor, alone, would be full.
    """
    rng = np.random.default_rng(seed)
    plain = networks(costs)
    factors, periods = {}, {}
    for network, share in zip(plain, uunifast(len(plain), utilisation, rng), strict=True):
        period = float(np.round(np.exp(rng.uniform(*np.log(PERIODS_US))) / 1000) * 1000)
        periods[network.name] = period
        factors[network.name] = share * period / float(network.duration_us.sum(axis=0).min())
    scaled = networks(costs, factors)
    jobs = [
        Job(f"{name}#{k}", name, k * period, (k + 1) * period, droppable=True)
        for name, period in periods.items()
        for k in range(math.ceil(PERIODS_US[1] / period))
    ]
    fine, coarse = [], []
    for network in scaled:
        cut = best_cut(network)
        assert cut is not None
        after = [*cut[1:], cut[-1]]
        parts = tuple(
            TaskSegment(str(p), network.duration_us[i, p], network.transfer_us[i, p, after[i]])
            for i, p in enumerate(cut)
        )
        period = periods[network.name]
        fine.append(SporadicTask(network.name, parts, period, period))
        coarse.append(SporadicTask(network.name, joined(parts), period, period))
    return JobProblem.build(["cpu", "gpu"], scaled, jobs), [fine, coarse]


def joined(parts: tuple[TaskSegment, ...]) -> tuple[TaskSegment, ...]:
    """Neighbouring segments of one processor as one."""
    made = [parts[0]]
    for part in parts[1:]:
        if part.processor == made[-1].processor:
            made[-1] = TaskSegment(part.processor, made[-1].wcet_us + part.wcet_us, part.transfer_us)
        else:
            made.append(part)
    return tuple(made)


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of n: Wilson 1927, 10.1080/01621459.1927.10502953."""
    z = 1.96
    centre, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def measure(sets: int) -> dict[tuple[str, float], dict[str, list[float]]]:
    """Miss ratio, acceptance and seconds of every set, by method and utilisation; the bound is a method."""
    costs = json.loads(COSTS.read_text())
    found: dict[tuple[str, float], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for utilisation in UTILISATIONS:
        for seed in range(sets):
            problem, cuts = task_set(costs, utilisation, seed)
            n = len(problem.jobs)
            for method in METHODS:
                chosen = RandomSearch(RANDOM_SCHEDULES) if method == "random_search" else method
                solution = solve(problem, chosen, time_limit_s=CP_LIMIT_S if method == "cp_sat" else 30, seed=seed)
                assert solution.objective is not None
                cell = found[method, utilisation]
                cell["missed"].append(solution.objective / n)
                cell["seconds"].append(solution.runtime_s)
                cell["proven"].append(float(solution.status == "optimal"))
                if method == "cp_sat":
                    found["cp_sat's bound", utilisation]["missed"].append(math.ceil((solution.bound or 0) - 1e-3) / n)
            began_s = time.perf_counter()
            accepted = any(schedulability(tasks).schedulable for tasks in cuts)
            found[VERDICT, utilisation]["missed"].append(float(not accepted))
            found[VERDICT, utilisation]["seconds"].append(time.perf_counter() - began_s)
        print(f"utilisation {utilisation} done", flush=True)
    return found


def tables(found: dict[tuple[str, float], dict[str, list[float]]], names: list[str]) -> list[str]:
    """Markdown tables of acceptance and of misses, in per cent with 95 % intervals."""
    head = [f"| method | {' | '.join(f'U = {u}' for u in UTILISATIONS)} |", "|---" * (len(UTILISATIONS) + 1) + "|"]
    accepted, missed = [], []
    for name in names:
        cells, ratios = [], []
        for u in UTILISATIONS:
            values = np.array(found[name, u]["missed"])
            low, high = wilson(float(np.mean(values == 0)), len(values))
            cells.append(f"{np.mean(values == 0):.0%} ({low:.0%}–{high:.0%})")
            half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
            ratios.append(f"{values.mean():.1%} ± {half:.1%}")
        accepted.append(f"| {name} | {' | '.join(cells)} |")
        missed += [] if name == VERDICT else [f"| {name} | {' | '.join(ratios)} |"]
    return [
        "## Acceptance: sets without a miss",
        "",
        *head,
        *accepted,
        "",
        "## Deadline-miss ratio: mean over sets",
        "",
        *head,
        *missed,
    ]


def plot(found: dict[tuple[str, float], dict[str, list[float]]], names: list[str], path: Path) -> None:
    """Both figures side by side."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "deadline_acceptance"
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.8), layout="constrained")
    colours = pyplot.get_cmap("tab20")
    for k, name in enumerate(names):
        values = [np.array(found[name, u]["missed"]) for u in UTILISATIONS]
        style = {"color": colours(k % 20), "marker": "osv^D<>pX*hP"[k % 12], "markersize": 4, "label": name}
        shares = [float(np.mean(v == 0)) for v in values]
        spans = [wilson(s, len(v)) for s, v in zip(shares, values, strict=True)]
        bars = [
            [max(0.0, s - a) for s, (a, _) in zip(shares, spans, strict=True)],
            [max(0.0, b - s) for s, (_, b) in zip(shares, spans, strict=True)],
        ]
        left.errorbar(UTILISATIONS, shares, yerr=bars, capsize=2, linewidth=1.2, **style)
        if name != VERDICT:
            half = [1.96 * v.std(ddof=1) / math.sqrt(len(v)) for v in values]
            right.errorbar(UTILISATIONS, [v.mean() for v in values], yerr=half, capsize=2, linewidth=1.2, **style)
    left.set(xlabel="utilisation of the fastest processor", ylabel="sets without a miss", ylim=(-0.03, 1.03))
    right.set(xlabel="utilisation of the fastest processor", ylabel="deadline-miss ratio")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Run everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results/deadline_acceptance.md"))
    parser.add_argument("--sets", type=int, default=100, help="task sets at each utilisation")
    parser.add_argument("--quick", action="store_true", help="5 sets")
    given = parser.parse_args()
    sets = 5 if given.quick else given.sets
    began_s = time.perf_counter()
    found = measure(sets)
    names = [*METHODS, "cp_sat's bound", VERDICT]
    seconds = [
        f"| {name} | {np.median([s for u in UTILISATIONS for s in found[name, u]['seconds']]) * 1e3:.2f} | "
        + (f"{np.mean([s for u in UTILISATIONS for s in found[name, u]['proven']]):.0%} |" if name != VERDICT else "|")
        for name in names
        if name != "cp_sat's bound"
    ]
    picture = given.output.with_suffix(".svg")
    lines = [
        "# Deadlines against utilisation",
        "",
        f"`{COMMAND}{' --quick' if given.quick else f' --sets {sets}'}` on {platform.machine()}, {os.cpu_count()} "
        f"cores, Python {platform.python_version()}, ortools {version('ortools')}; "
        f"{time.perf_counter() - began_s:.0f} s.",
        "",
        f"{sets} sets at each utilisation: UUniFast, four networks, periods log-uniform, 10 to 100 ms, "
        "deadline = period, every job may be dropped, jobs released within 100 ms. Utilisation counts each whole "
        "network on the processor that runs it fastest; two processors can carry more than 1. Costs are measured "
        "(`benchmarks/data/light_model_costs.json`, one thread of a CPU) and are scaled to the utilisation, transfers "
        "too. The second processor and transfers are **estimated**: convolutions and matrix products twice as fast, "
        f"the rest half as fast, 4 GB/s after 20 µs. `cp_sat` may take {CP_LIMIT_S} s a set, its heuristic start "
        "included. 95 % intervals: Wilson for shares, normal for means. The verdict holds for ever and for sporadic "
        "requests, the other rows only for these jobs; it accepts where layers, or pieces of them, pass the test. "
        f"`random_search` tries {RANDOM_SCHEDULES} schedules.",
        "",
        f"![Acceptance and miss ratio against utilisation]({picture.name})",
        "",
        *tables(found, names),
        "",
        "## Time to solve, all sets",
        "",
        "| method | median, ms | proven optimal |",
        "|---|---|---|",
        *seconds,
    ]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text("\n".join(lines) + "\n")
    plot(found, names, picture)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
