"""Searches for fronts against exact ones, at equal numbers of evaluations.

python benchmarks/front_searches.py --output docs/results/front_searches.md
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from edgeplan.formulation import (
    Configuration,
    CostTable,
    LayerGraph,
    Memory,
    Model,
    Platform,
    Problem,
    Processor,
    cut_chain,
)
from edgeplan.profiles import import_onnx, resolve_model
from edgeplan.solvers import TimeLimit, hypervolume, solve
from edgeplan.solvers.fronts.archive import Search
from edgeplan.solvers.fronts.hlps import Hlps
from edgeplan.solvers.fronts.lazy_front import LazyFront
from edgeplan.solvers.fronts.spea2 import Spea2
from edgeplan.solvers.genomes import Genomes
from edgeplan.solvers.label_space import LabelSpace
from edgeplan.solvers.nsga2 import Nsga2

COMMAND = "python benchmarks/front_searches.py --output docs/results/front_searches.md"
EVALUATIONS = {50: 10_000, 200: 10_000, 1000: 5_000}
LIGHT_MODELS = ("squeezenet", "densenet121")
COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#8d5a97", "#bc8a00", "#444444", "#c77dff")


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Shortest of some runs."""
    found = []
    for _ in range(repeats):
        began_s = time.perf_counter()
        work()
        found.append(time.perf_counter() - began_s)
    return min(found)


def table(head: Sequence[str], rows: Iterator[Sequence[object]]) -> list[str]:
    """Lines of a markdown table; rows are printed as they are made."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for line in lines:
        print(line)
    for row in rows:
        lines.append(f"| {' | '.join(str(cell) for cell in row)} |")
        print(lines[-1], flush=True)
    return lines


def problem_of(n: int, width: int, seed: int = 1) -> Problem:
    """A planning problem: a chain under backends that keep weights in different forms."""
    rng = np.random.default_rng(seed)
    us = rng.lognormal(6, 1, n)[:, None] * rng.uniform(0.3, 1.7, (n, width))
    layers = [(f"l{i}", "Op", 1024 * int(rng.lognormal(5, 1)), int(rng.integers(1, 10**6))) for i in range(n)]
    return of_graph(LayerGraph.chain(f"chain{n}", layers, 6), us)


def light_problem(name: str, width: int = 4) -> Problem:
    """The graph of a light model under synthetic costs that grow with what each layer reads and writes."""
    graph = import_onnx(resolve_model(name), name=name)
    rng = np.random.default_rng(1)
    size = np.array([layer.weight_bytes + sum(b for _, b in layer.outputs) for layer in graph.layers])
    return of_graph(graph, (size / 1e4 + 5)[:, None] * rng.uniform(0.3, 1.7, (graph.n_layers, width)))


def of_graph(graph: LayerGraph, us: np.ndarray) -> Problem:
    """One model on a device with one memory."""
    width = us.shape[1]
    table_ = CostTable.create(
        [Configuration(backend=f"b{c}") for c in range(width)],
        us,
        fixed_us=np.linspace(60, 120, width),
        weight_scale=[1.0, 2.0, 1.5, 1.25][:width],
        session_bytes=100 * 1024,
    )
    device = Platform(
        name="bench",
        processors=(Processor(name="cpu", cores=(0,), memory="host"),),
        memories=(Memory.model_validate({"name": "host", "capacity_bytes": 1 << 44}),),
    )
    return Problem((Model(graph.name, graph, table_, cuts=cut_chain(graph)),), device, objective="front")


def searches(evaluations: int) -> dict[str, Callable[[Genomes, int], Search]]:
    """Searches by name, all with the same number of evaluations."""
    limit, generations = TimeLimit(600), evaluations // 100
    return {
        "NSGA-II, pymoo's operators": lambda g, s: Nsga2("none", 100, generations, "stock").search_genomes(g, limit, s),
        "NSGA-II, segments": lambda g, s: Nsga2("none", 100, generations).search_genomes(g, limit, s),
        "SPEA2, segments": lambda g, s: Spea2("none", 100, generations).search_genomes(g, limit, s),
        "HLPS, a digit a size": lambda g, s: Hlps("index", evaluations).search_genomes(g, limit, s),
        "HLPS, a digit an operator": lambda g, s: Hlps("name", evaluations).search_genomes(g, limit, s),
        "NSGA-II, seeded by shortest paths": lambda g, s: Nsga2("greedy", 100, generations).search_genomes(g, limit, s),
        "NSGA-II, seeded by supported points": lambda g, s: Nsga2("exact", 100, generations).search_genomes(
            g, limit, s
        ),
    }


def against_exact(problems: Sequence[Problem], curves: dict[str, dict[str, Search]]) -> Iterator[Sequence[object]]:
    """A row for each problem and search; curves are kept for the pictures."""
    for problem in problems:
        (model,) = problem.models
        front_s = seconds(lambda p=problem: solve(p), 2)
        exact = exact_points(problem)
        genomes = Genomes(LabelSpace.of(problem, model))
        n = genomes.n_units
        evaluations = next(count for size, count in EVALUATIONS.items() if n <= size)
        for name, search in searches(evaluations).items():
            began_s = time.perf_counter()
            found = search(genomes, 1)
            spent_s = time.perf_counter() - began_s
            best = hypervolume(exact, found.reference)
            shares = [value / best for value in found.hypervolumes]
            curves.setdefault(model.name, {})[name] = found
            middle = shares[int(np.searchsorted(found.evaluations_after, found.evaluations / 10))]
            yield (
                f"{model.name}: {n} units, {len(exact):,} points",
                name,
                f"{found.evaluations:,}",
                f"{shares[0]:.4f}",
                f"{middle:.4f}",
                f"{shares[-1]:.4f}",
                f"{spent_s:.1f}",
                f"{spent_s / front_s:.0f}",
            )


def exact_points(problem: Problem) -> np.ndarray:
    """Figures of the exact front, which is proven complete, shape (points, 2)."""
    solution = solve(problem)
    assert solution.status == "optimal"
    assert isinstance(solution.front, LazyFront)
    return solution.front.figures


def picture(curves: dict[str, dict[str, Search]], problems: Sequence[Problem]) -> str:
    """Fronts on the left, hypervolume over evaluations on the right; a row for each problem."""
    parts, height = [], 300
    for row, problem in enumerate(problems):
        (model,) = problem.models
        found, top = curves[model.name], row * height
        exact = exact_points(problem)
        fronts = {"exact": exact} | {name: search.figures for name, search in found.items()}
        # Ends that no search reaches and none needs would flatten the rest.
        low, high = exact.min(axis=0), exact.max(axis=0)
        shown = {name: (points - low) / (high - low) for name, points in fronts.items()}
        parts += axes(60, top, f"{model.name}: latency", "memory", "least … most on the exact front")
        for k, (name, points) in enumerate(shown.items()):
            inside = points[np.all(points <= 1.3, axis=1)] / 1.3
            colour = "#000000" if name == "exact" else COLOURS[k - 1]
            parts.append(line(inside[:, 0], inside[:, 1], 60, top, colour, "2" if name == "exact" else "1.2"))
        parts += axes(480, top, f"{model.name}: evaluations", "hypervolume, share of exact", "0 … all; 0.4 … 1")
        for k, search in enumerate(found.values()):
            best = hypervolume(exact, search.reference)
            share = (np.array(search.hypervolumes) / best - 0.4) / 0.6
            x = np.array(search.evaluations_after) / search.evaluations
            visible = share >= 0
            parts.append(line(x[visible], share[visible], 480, top, COLOURS[k], "1.5"))
    top = len(problems) * height
    for k, name in enumerate(["exact front", *next(iter(curves.values()))]):
        x, y = 60 + (k % 3) * 270, top + 16 + (k // 3) * 18
        colour = "#000000" if k == 0 else COLOURS[k - 1]
        parts.append(f'<rect x="{x}" y="{y - 8}" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 20}" y="{y - 2}">{name}</text>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 {top + 66}" font-family="sans-serif" font-size="11">'
        f'\n<rect width="880" height="{top + 66}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def axes(x: int, top: int, below: str, beside: str, note: str) -> list[str]:
    """Two axes 360 × 220 with their names."""
    return [
        f'<path d="M{x} {top + 20}V{top + 240}H{x + 360}" fill="none" stroke="#888888"/>',
        f'<text x="{x + 180}" y="{top + 258}" text-anchor="middle">{below}</text>',
        f'<text x="{x - 12}" y="{top + 130}" text-anchor="middle" transform="rotate(-90 {x - 12} {top + 130})">'
        f"{beside}</text>",
        f'<text x="{x + 180}" y="{top + 272}" text-anchor="middle" fill="#888888">{note}</text>',
    ]


def line(xs: np.ndarray, ys: np.ndarray, x: int, top: int, colour: str, width: str) -> str:
    """A line through points in the unit square, at most 400 of them."""
    kept = np.unique(np.linspace(0, len(xs) - 1, min(len(xs), 400)).astype(int)) if len(xs) else []
    points = " ".join(f"{x + 360 * xs[k]:.1f},{top + 240 - 220 * ys[k]:.1f}" for k in kept)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def machine() -> str:
    """Processor, cores and versions."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [text.split(":", 1)[1].strip() for text in lines if text.startswith("model name")]
    versions = ", ".join(f"{name} {version(name)}" for name in ("ortools", "pymoo", "numpy", "numba"))
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {versions}"


def main() -> None:
    """Run everything, print it, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results/front_searches.md"))
    given = parser.parse_args()
    problems = [*(problem_of(n, 4) for n in EVALUATIONS), *(light_problem(name) for name in LIGHT_MODELS)]
    curves: dict[str, dict[str, Search]] = {}
    drawn = given.output.with_suffix(".svg")
    lines = [
        "# Searches against exact fronts",
        "",
        f"`{COMMAND}` on {machine()}. Loops were compiled before the clock started; one core.",
        "",
        "Share of the exact front's hypervolume, after the first generation (HLPS: after its first point was "
        "explored), after a tenth of the evaluations, and in the end; the archive of everything seen. Each search has "
        "the same number of evaluations and seed 1. The last column is its time over that of "
        "`solve` with the exact front, every point scored again. Light models have their own graphs and weights under "
        "synthetic times.",
        "",
        *table(
            ("problem", "search", "evaluations", "first", "a tenth", "end", "seconds", "over exact"),
            against_exact(problems, curves),
        ),
        "",
        f"![Fronts, and hypervolume over evaluations]({drawn.name})",
    ]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text("\n".join(lines) + "\n")
    drawn.write_text(picture(curves, problems))


if __name__ == "__main__":
    main()
