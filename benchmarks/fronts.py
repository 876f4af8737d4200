"""Fronts of long chains: exact and within a factor, against plain CP-SAT, and plans scored at once.

python benchmarks/fronts.py --output docs/results/fronts.md
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
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
from edgeplan.solvers import chain_front
from edgeplan.solvers.fronts.layered import LayeredModel
from edgeplan.solvers.genomes import Genomes
from edgeplan.solvers.label_space import LabelSpace

COMMAND = "python benchmarks/fronts.py --output docs/results/fronts.md"
SIZES = ((50, 4), (200, 4), (1000, 2), (1000, 4))


def costs(n: int, width: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latency and memory of n layers under some backends, and what a change of backend costs; memory in whole KiB."""
    rng = np.random.default_rng(seed)
    us = rng.lognormal(6, 1, n)[:, None] * rng.uniform(0.3, 1.7, (n, width))
    kib = np.round(rng.lognormal(5, 1, n)[:, None] * rng.uniform(0.5, 2.5, (n, width)))
    return us, kib * 1024, rng.uniform(50, 200, (width, width))


def digest(*arrays: np.ndarray) -> str:
    """First digits of the SHA-256 of an instance."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:12]


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


def factor_of(points: np.ndarray, exact: np.ndarray) -> float:
    """Largest share by which the nearest point is worse than a point of the exact front, in its worse figure."""
    worst = 0.0
    for row in exact:
        worst = max(worst, float(np.min(np.max(points / row, axis=1))) - 1)
    return worst


def exact_fronts() -> Iterator[Sequence[object]]:
    """A row for each size of chain."""
    chain_front(*costs(5, 2)[:2]).choices()
    for n, width in SIZES:
        us, held, switch_us = costs(n, width)
        exact = chain_front(us, held, switch_us=switch_us)
        near = chain_front(us, held, switch_us=switch_us, epsilon=0.01)
        yield (
            f"{n} × {width}",
            digest(us, held, switch_us),
            f"{len(exact):,}",
            f"{exact.n_labels:,}",
            f"{seconds(partial(chain_front, us, held, switch_us=switch_us)):.3f}",
            f"{seconds(exact.choices, 1):.3f}",
            len(near),
            f"{seconds(partial(chain_front, us, held, switch_us=switch_us, epsilon=0.01)):.4f}",
            f"{factor_of(near.figures, exact.figures[:: max(1, len(exact) // 2000)]):.2%}",
        )


def with_choices(us: np.ndarray, held: np.ndarray, switch_us: np.ndarray) -> np.ndarray:
    """Choices of all points of the exact front."""
    return chain_front(us, held, switch_us=switch_us).choices()


def cp_sat_front(us: np.ndarray, held: np.ndarray, switch_us: np.ndarray) -> list[tuple[int, int]]:
    """The front of a chain by CP-SAT under one memory limit after another, the plain way; whole numbers only."""
    from ortools.sat.python import cp_model

    n, width = us.shape
    points: list[tuple[int, int]] = []
    limit = int(held.max(axis=1).sum())
    while True:
        model = cp_model.CpModel()
        x = [[model.new_bool_var("") for _ in range(width)] for _ in range(n)]
        terms = []
        for i in range(n):
            model.add_exactly_one(x[i])
            terms += [int(us[i, c]) * x[i][c] for c in range(width)]
            for s in range(width if i else 0):
                for c in range(width):
                    if s != c:
                        moved = model.new_bool_var("")
                        model.add_bool_or(x[i - 1][s].negated(), x[i][c].negated(), moved)
                        terms.append(int(switch_us[s, c]) * moved)
        memory = sum(int(held[i, c]) * x[i][c] for i in range(n) for c in range(width))
        model.add(memory <= limit)
        latency = sum(terms)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        model.minimize(latency)
        if solver.solve(model) != cp_model.OPTIMAL:
            return points
        fastest = round(solver.objective_value)
        model.add(latency == fastest)
        model.minimize(memory)
        solver.solve(model)
        least = round(solver.objective_value)
        points.append((fastest, least))
        limit = least - 1


def against_cp_sat() -> Iterator[Sequence[object]]:
    """A row for each size that plain CP-SAT manages within a minute."""
    for n, width in ((10, 3), (15, 3), (20, 3)):
        us, held, switch_us = (
            np.round(values / scale) for values, scale in zip(costs(n, width), (10, 4096, 10), strict=True)
        )
        began_s = time.perf_counter()
        theirs = cp_sat_front(us, held, switch_us)
        spent_s = time.perf_counter() - began_s
        ours = chain_front(us, held, switch_us=switch_us)
        own_s = seconds(partial(with_choices, us, held, switch_us))
        same = np.array_equal(np.array(theirs, dtype=float), ours.figures)
        yield f"{n} × {width}", len(ours), "the same" if same else "OTHER", f"{spent_s:.1f}", f"{spent_s / own_s:,.0f}"


def scoring() -> Iterator[Sequence[object]]:
    """A row for each way to score 1000 plans of a chain of 200 layers under 4 configurations."""
    problem = problem_of(200, 4)
    (model,) = problem.models
    genomes, layered = Genomes(LabelSpace.of(problem, model)), LayeredModel.of(problem, model)
    assert layered is not None
    rows = genomes.random(1000, np.random.default_rng(1))
    choices = rows[:, :200].astype(np.int16)
    genomes.labels(rows[:2])
    layered.figures(choices[:2])
    yield "genomes, any costs", f"{1e3 * seconds(lambda: genomes.labels(rows), 9):.2f}"
    yield "rows of configurations, costs that add up", f"{1e3 * seconds(lambda: layered.figures(choices), 9):.2f}"


def problem_of(n: int, width: int, seed: int = 1) -> Problem:
    """A planning problem: a chain under backends that keep weights in different forms."""
    rng = np.random.default_rng(seed)
    us, _, _ = costs(n, width, seed)
    layers = [(f"l{i}", "Op", 1024 * int(rng.lognormal(5, 1)), int(rng.integers(1, 10**6))) for i in range(n)]
    return of_graph(LayerGraph.chain(f"chain{n}", layers, 6), us)


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
    parser.add_argument("--output", type=Path, default=Path("docs/results/fronts.md"))
    given = parser.parse_args()
    lines = [
        "# Fronts of long chains",
        "",
        f"`{COMMAND}` on {machine()}. Loops were compiled before the clock started; one core.",
        "",
        "## Chains from plain arrays",
        "",
        "Synthetic chains (layers × configurations; `costs` in the script, seed 1, SHA-256 of the arrays). Memory is "
        "the sum of resident weights in whole KiB. Within 1 %: `epsilon=0.01`; the last column is the largest factor "
        "found against (up to 2000 points of) the exact front.",
        "",
        *table(
            (
                "chain",
                "digest",
                "points",
                "labels",
                "front, s",
                "all choices, s",
                "points within 1 %",
                "within 1 %, s",
                "found factor",
            ),
            exact_fronts(),
        ),
        "",
        "## Plain CP-SAT",
        "",
        "The same front by CP-SAT under one memory limit after another, two solves a point, one worker.",
        "",
        *table(("chain", "points", "fronts", "CP-SAT, s", "over ours"), against_cp_sat()),
        "",
        "## Scoring 1000 plans of 200 layers",
        "",
        *table(("by", "milliseconds"), scoring()),
    ]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
