"""What was read from files of other tools, as data and as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .table import Cell, Table
from .units import mebibytes, milliseconds

if TYPE_CHECKING:
    from ..formulation import PartitionProblem
    from ..profiles.imports import OnertFront


def instance_data(problem: PartitionProblem) -> dict[str, Any]:
    """Sizes of an instance, and bounds that follow without a search; times in the instance's own unit.

    ``load_bound``: no device is busy for less than the costliest node's cheapest time, nor for less than an even share
    of all cheapest times. ``latency_bound``: the longest path of cheapest times, where the CPU is as wide as the graph
    whatever the file says. ``one_cpu``: everything on one core.
    """
    on_accelerator = problem.accelerator_time if problem.n_accelerators else np.full(problem.n_nodes, np.inf)
    fastest = np.minimum(problem.cpu_time if problem.n_cpus else np.inf, on_accelerator)
    devices = problem.n_accelerators + problem.n_cpus
    needed = float(problem.size_bytes.sum())
    return {
        "name": problem.name,
        "nodes": problem.n_nodes,
        "edges": len(problem.edges),
        "backward_nodes": int(problem.backward.sum()),
        "colours_shared": problem.n_nodes - problem.n_colours,
        "cpu_only_nodes": int(np.isinf(problem.accelerator_time).sum()),
        "accelerators": problem.n_accelerators,
        "cpus": problem.n_cpus,
        "accelerator_bytes": problem.accelerator_bytes,
        "size_bytes": needed,
        "bounds": {
            "load_bound": _or_none(max(float(fastest.max()), float(fastest.sum()) / devices)),
            "latency_bound": _or_none(_longest_path(problem, np.minimum(problem.cpu_time, on_accelerator))),
            "one_cpu": float(problem.cpu_time.sum()) if problem.n_cpus else None,
        },
    }


def instance_table(data: dict[str, Any]) -> Table:
    """The data of an instance for people."""
    bounds = data["bounds"]
    rows = [
        ("nodes", f"{data['nodes']:,}"),
        ("edges", f"{data['edges']:,}"),
        ("nodes of a backward pass", f"{data['backward_nodes']:,}"),
        ("nodes bound to another by colour", f"{data['colours_shared']:,}"),
        ("nodes that only a CPU can run", f"{data['cpu_only_nodes']:,}"),
        ("accelerators", f"{data['accelerators']}, {mebibytes(data['accelerator_bytes'])} MiB each"),
        ("CPU cores", f"{data['cpus']}"),
        ("memory of all nodes", f"{mebibytes(data['size_bytes'])} MiB"),
        ("largest load, at least", _figure(bounds["load_bound"])),
        ("latency of one sample, at least", _figure(bounds["latency_bound"])),
        ("everything on one CPU core", _figure(bounds["one_cpu"])),
    ]
    return Table(
        f"Partition instance {data['name']}",
        ("", ">value"),
        tuple((Cell(label), value) for label, value in rows),
        note="Times in the unit of the file, which does not say it.",
    )


def front_data(front: OnertFront) -> dict[str, Any]:
    """Points of a front as plain data."""
    return {
        "mode": front.mode,
        "sample_count": front.sample_count,
        "operators": list(front.operators),
        "points": [
            {
                "id": str(point.id),
                "latency_us": point.latency_us,
                "rss_bytes": point.rss_bytes,
                "dominated": point.dominated,
                "backends": list(point.settings.backends),
                "everywhere": point.settings.everywhere,
                "by_type": dict(point.settings.by_type),
                "by_index": {str(index): backend for index, backend in point.settings.by_index.items()},
            }
            for point in front.points
        ],
    }


def front_table(front: OnertFront) -> Table:
    """Points of a front for people, the fastest first."""
    points = sorted(front.points, key=lambda p: (p.latency_us, p.rss_bytes))
    return Table(
        f"Front by operator {'type' if front.mode == 'name' else 'index'}",
        (">latency ms", ">memory MiB", "dominated", "backends"),
        tuple(
            (
                milliseconds(point.latency_us),
                mebibytes(point.rss_bytes),
                Cell("yes", "bad") if point.dominated else "",
                _shares(point.settings.by_type or point.settings.by_index, point.settings.everywhere),
            )
            for point in points
        ),
        note=f"{len(front.front)} of {len(points)} points are not dominated.",
    )


def _shares(assigned: Any, everywhere: str) -> str:
    counts: dict[str, int] = {}
    for backend in assigned.values():
        counts[backend] = counts.get(backend, 0) + 1
    texts = [f"{backend} {count}" for backend, count in sorted(counts.items())]
    return ", ".join([*texts, *([f"{everywhere} for the others"] if everywhere else [])])


def _longest_path(problem: PartitionProblem, time: np.ndarray) -> float:
    n = problem.n_nodes
    waiting = np.bincount(problem.edges[:, 1], minlength=n)
    followers: list[list[int]] = [[] for _ in range(n)]
    for u, v in problem.edges.tolist():
        followers[u].append(v)
    start = np.zeros(n)
    ready = [int(i) for i in np.flatnonzero(waiting == 0)]
    while ready:
        u = ready.pop()
        for v in followers[u]:
            start[v] = max(start[v], start[u] + time[u])
            waiting[v] -= 1
            if waiting[v] == 0:
                ready.append(v)
    return float((start + time).max())


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _figure(value: float | None) -> str:
    return "none: a node that no device can run" if value is None else f"{value:,.6g}"
