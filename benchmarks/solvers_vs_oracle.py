"""Solvers against oracles: agreement with brute force, hypervolume against exact fronts, gaps on larger problems.

python benchmarks/solvers_vs_oracle.py --output docs/results/solvers_vs_oracle.md
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median

from edgeplan.formulation import Limits, Problem
from edgeplan.solvers import Solution, TimeLimit, hypervolume, limits_of, solve
from edgeplan.solvers.cp_model_builder import CpProblem
from edgeplan.solvers.cp_run import run_cp_sat
from edgeplan.solvers.cp_setting import Setting
from edgeplan.solvers.nsga2 import Nsga2, Seeding
from edgeplan.solvers.plan_count import plan_count
from edgeplan.solvers.testing import ProblemKind, random_problem

COMMAND = "python benchmarks/solvers_vs_oracle.py"

ONE = ProblemKind(layers=4)
TWO = ProblemKind(objective="response", models=2, layers=2, streams=True)
TINY = {
    "latency, one model": (ONE, "dynamic_program"),
    "latency, deadline and rate": (replace(ONE, layers=3, streams=True, deadline_slack=0.9), "dynamic_program"),
    "latency, two memories": (replace(ONE, layers=3, two_memories=True), "dynamic_program"),
    "front, one model": (replace(ONE, objective="front"), "dynamic_program"),
    "front, two memories": (replace(ONE, objective="front", layers=3, two_memories=True), "dynamic_program"),
    "response, two models": (TWO, "cp_sat"),
    "response, two models, tight": (replace(TWO, deadline_slack=0.8, memory_slack=0.9), "cp_sat"),
    "response, two models, two memories": (replace(TWO, layers=1, two_memories=True), "cp_sat"),
    "response, three models": (replace(TWO, models=3, layers=1, deadline_slack=1.0), "cp_sat"),
    "response, three cores": (replace(TWO, layers=1, cores=3), "cp_sat"),
    "latency, two models, memory tight": (
        replace(TWO, objective="latency", streams=False, layers=3, memory_slack=0.8),
        "cp_sat",
    ),
}
FRONT_LAYERS = (20, 40, 80)
SEEDINGS: tuple[Seeding, ...] = ("none", "greedy", "exact")
TOGETHER = ((3, 20, 2), (4, 40, 2), (4, 80, 2), (4, 40, 4))
TOGETHER_LIMIT_S = 10.0


def table(head: Sequence[str], rows: Iterator[Sequence[object]]) -> list[str]:
    """Lines of a markdown table; rows are printed as they are made."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for line in lines:
        print(line)
    for row in rows:
        lines.append(f"| {' | '.join(str(cell) for cell in row)} |")
        print(lines[-1], flush=True)
    return lines


def same_answer(oracle: Solution, found: Solution) -> bool:
    """Whether status, objective and front agree; CP-SAT's integers may lose a billionth."""
    if oracle.status != found.status or len(oracle.front) != len(found.front):
        return False
    figures = [[(point.latency_us, point.memory_bytes) for point in s.front] for s in (oracle, found)]
    if oracle.objective is None or found.objective is None:
        return oracle.objective == found.objective
    return figures[0] == figures[1] and abs(oracle.objective - found.objective) <= 1e-9 * oracle.objective


def against_brute_force(instances: int) -> Iterator[Sequence[object]]:
    """A row for each kind of tiny problem."""
    for label, (kind, method) in TINY.items():
        outcomes: Counter[str] = Counter()
        agreed, ratios, counts = 0, [], []
        for seed in range(instances):
            problem = random_problem(kind, seed)
            counts.append(plan_count(problem))
            oracle, found = solve(problem, "brute_force"), solve(problem, method)
            outcomes[oracle.status] += 1
            agreed += same_answer(oracle, found)
            ratios.append(oracle.runtime_s / found.runtime_s)
        yield (
            label,
            method,
            f"{agreed} of {instances}",
            outcomes["infeasible"],
            f"{median(counts):,.0f}",
            f"{median(ratios):.1f}",
        )


def against_exact_fronts(instances: int, generations: int) -> Iterator[Sequence[object]]:
    """A row for each size and seeding: NSGA-II's hypervolume over that of the exact front, at equal evaluations."""
    for layers in FRONT_LAYERS:
        kind = ProblemKind(objective="front", layers=layers, memory_slack=None)
        exact = [(seed, solve(random_problem(kind, seed), "dynamic_program")) for seed in range(instances)]
        exact = [(seed, solution) for seed, solution in exact if solution.status == "optimal"]
        for seeding in SEEDINGS:
            first, last, seconds, evaluations = [], [], [], []
            for seed, solution in exact:
                problem, began_s = random_problem(kind, seed), time.perf_counter()
                search = Nsga2(seeding, generations=generations).search(problem, TimeLimit(600), seed)
                seconds.append((time.perf_counter() - began_s) / solution.runtime_s)
                points = [(point.latency_us, point.memory_bytes) for point in solution.front]
                best = hypervolume(points, search.reference)
                first.append(search.hypervolumes[0] / best)
                last.append(search.hypervolumes[-1] / best)
                evaluations.append(search.evaluations)
            points_of = median(len(solution.front) for _, solution in exact)
            yield (
                f"{layers} layers, {points_of:.0f} points",
                seeding,
                f"{median(evaluations):,.0f}",
                f"{median(first):.4f}",
                f"{median(last):.4f}",
                f"{min(last):.4f}",
                f"{median(seconds):.1f}",
            )


def with_tight_memory(problem: Problem) -> Problem | None:
    """The problem with memory halfway between what its best plan takes and the least; None where it has no plan."""
    best = solve(problem, "cp_sat", time_limit_s=TOGETHER_LIMIT_S)
    if best.evaluation is None:
        return None
    nothing = Limits.model_validate({"memory_bytes": {"host": 1}})
    (clash,) = solve(problem.replace(limits=nothing), "cp_sat", time_limit_s=TOGETHER_LIMIT_S).clashes
    least = clash.best_achievable or best.evaluation.memory_bytes["host"]
    halfway = int((least + best.evaluation.memory_bytes["host"]) / 2)
    return problem.replace(limits=Limits.model_validate({"memory_bytes": {"host": halfway}}))


def plain_cp_sat(problem: Problem) -> tuple[float | None, float]:
    """Objective and bound of CP-SAT on the bare model, without bounds by placement and without a start."""
    limits = limits_of(problem)
    setting = Setting.of(problem, limits.keys())
    model = CpProblem(problem, setting.choices, setting.parts)
    model.keep(limits.keys(), limits)
    model.cp.minimize(model.objective(setting.weights))
    solver, status = run_cp_sat(model, TimeLimit(TOGETHER_LIMIT_S), 0)
    found = solver.objective_value * setting.unit if status in ("OPTIMAL", "FEASIBLE") else None
    return found, solver.best_objective_bound * setting.unit


def together(instances: int) -> Iterator[Sequence[object]]:
    """A row for each size of problem with several models, under deadlines and a memory limit that binds."""
    for models, layers, cores in TOGETHER:
        kind = ProblemKind("response", models, layers, cores, streams=True, memory_slack=None, deadline_slack=1.5)
        ours, plain, greedy, seconds, proven, feasible = [], [], [], [], 0, 0
        for seed in range(instances):
            problem = with_tight_memory(random_problem(kind, seed))
            if problem is None:
                continue
            solution = solve(problem, "cp_sat", time_limit_s=TOGETHER_LIMIT_S)
            if solution.plan is None or solution.objective is None or solution.bound is None:
                continue
            feasible += 1
            proven += solution.status == "optimal"
            seconds.append(solution.runtime_s)
            ours.append(1 - solution.bound / solution.objective)
            found, bound = plain_cp_sat(problem)
            plain.append(1 - bound / found if found else 1.0)
            quick = solve(problem, "greedy", time_limit_s=TOGETHER_LIMIT_S)
            greedy.append(quick.objective / solution.objective - 1 if quick.objective is not None else float("inf"))
        if not feasible:
            continue
        yield (
            f"{models} × {layers} layers, {cores} cores",
            f"{proven} of {feasible}",
            f"{median(seconds):.1f}",
            f"{max(ours):.2%}",
            f"{median(plain):.2%}",
            f"{max(plain):.2%}",
            f"{median(greedy):+.1%}",
        )


def machine() -> str:
    """Processor, cores and versions."""
    names = [line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    versions = ", ".join(f"{name} {version(name)}" for name in ("ortools", "pymoo", "numpy"))
    processor = names[0] if names else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def main() -> None:
    """Run everything, print it, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results/solvers_vs_oracle.md"))
    parser.add_argument("--instances", type=int, default=20, help="tiny problems of each kind")
    parser.add_argument("--large-instances", type=int, default=3, help="fronts and larger problems of each size")
    parser.add_argument("--generations", type=int, default=100, help="of NSGA-II, 100 plans each")
    given = parser.parse_args()
    lines = [
        "# Solvers against oracles",
        "",
        f"`{COMMAND}` on {machine()}. Random problems by seed (`edgeplan.solvers.testing`).",
        "",
        "## Brute force on tiny problems",
        "",
        "Agreement: status, objective and, for fronts, every point. The last column is brute force's time over the "
        "solver's.",
        "",
        *table(
            ("problem", "solver", "agreement", "infeasible", "plans (median)", "time ratio (median)"),
            against_brute_force(given.instances),
        ),
        "",
        "## NSGA-II against exact fronts",
        "",
        f"Hypervolume over that of the dynamic program's front, {given.large_instances} problems of each size; the "
        "last column is NSGA-II's time over the dynamic program's.",
        "",
        *table(
            ("problem", "seeds", "evaluations", "first generation", "last", "last, worst", "time ratio"),
            against_exact_fronts(given.large_instances, given.generations),
        ),
        "",
        "## Several models together",
        "",
        f"Response under deadlines and a memory limit halfway between what the best plan would take and the least, "
        f"{given.large_instances} problems of each size, {TOGETHER_LIMIT_S:.0f} s each; those without a plan are left "
        "out. Gap: share of the objective not proven necessary. Plain: CP-SAT on the same model without bounds by "
        "placement. Greedy: its objective over ours.",
        "",
        *table(
            ("problem", "proven", "seconds (median)", "gap, worst", "plain gap (median)", "plain gap, worst", "greedy"),
            together(given.large_instances),
        ),
    ]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
