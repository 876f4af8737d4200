"""Fronts of single models: latency against memory, as solvers find them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..formulation import Evaluation, Limits, Model, Platform, Problem
from .report import Front, FrontSeries
from .table import Cell, Table
from .units import count, mebibytes, milliseconds

if TYPE_CHECKING:
    from ..solvers import OnProgress, Solution


def front_problem(model: Model, platform: Platform, limits: Limits) -> Problem:
    """The question for one model's front: alone on the device, under the same memory limits."""
    return Problem((model,), platform, (), limits, "front")


def solve_front(
    problem: Problem, method: str, time_limit_s: float, seed: int, on_progress: OnProgress | None = None
) -> Solution:
    """Ask one solver for the front of one model."""
    from ..solvers import solve

    return solve(problem, method=method, time_limit_s=time_limit_s, seed=seed, on_progress=on_progress)


def front_of_solutions(model: str, solutions: Sequence[Solution], chosen: Evaluation | None = None) -> Front:
    """Front for the report; `chosen` is the score of a plan whose point shall be marked."""
    return Front(
        model,
        tuple(
            FrontSeries(
                solution.method,
                tuple((point.latency_us, point.memory_bytes) for point in solution.front),
                solution.status == "optimal",
            )
            for solution in solutions
        ),
        point_of(chosen, model) if chosen is not None and model in chosen.models else None,
    )


def point_of(evaluation: Evaluation, model: str) -> tuple[float, float]:
    """Latency and memory of one model within a plan, in the terms of its front: as if it had the device to itself."""
    score = evaluation.models[model]
    transient: dict[str, float] = {}
    for segment in score.segments:
        transient[segment.memory] = max(transient.get(segment.memory, 0.0), segment.transient_bytes)
    return score.latency_us, sum(s.resident_bytes for s in score.segments) + sum(transient.values())


def front_table(model: str, solution: Solution, max_rows: int = 20) -> Table:
    """Points of a front; of a long one those spread evenly along it."""
    points = solution.front
    kept = range(len(points))
    if len(points) > max_rows:
        kept = sorted({round(i * (len(points) - 1) / (max_rows - 1)) for i in range(max_rows)})
    left_out = f", {len(kept)} of them shown" if len(kept) < len(points) else ""
    proven = "complete: no plan dominates any of them" if solution.status == "optimal" else "not proven complete"
    return Table(
        f"Front of {model}",
        (">latency ms", ">memory MiB", "segments"),
        tuple(
            (
                Cell(milliseconds(points[i].latency_us, 4), "strong"),
                mebibytes(points[i].memory_bytes),
                _segments(points[i].plan.models[0].segments),
            )
            for i in kept
        ),
        note=f"{count(len(points), 'point')}{left_out}; {solution.method}, {proven}, {solution.runtime_s:.2f} s.",
    )


def _segments(segments: Sequence) -> str:
    """Layer ranges with their configurations, neighbours under the same one named once."""
    parts: list[str] = []
    previous = None
    for segment in segments:
        name = segment.configuration.name if segment.configuration.name != previous else "same"
        parts.append(f"{segment.start}–{segment.stop - 1} {name}")
        previous = segment.configuration.name
    return " · ".join(parts)
