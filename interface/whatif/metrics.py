"""What a sweep shows of each point: the same figures in tables, files and charts."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..table import Cell, Table, Tone
from ..units import MIB, count, mebibytes, milliseconds, percent
from .knobs import rounded
from .points import Point
from .sweeps import Sweep
from .tables import reply_data

MAX_ROWS = 60
"""Most points in a table for people; files hold all."""


@dataclass(frozen=True)
class Metric:
    """A figure of a point.

    Attributes
    ----------
    name : str
    title : str
        With its unit, for an axis.
    of : callable
        The figure in that unit; NaN where there is none.
    """

    name: str
    title: str
    of: Callable[[Point], float]

    def known(self, points: Sequence[Point]) -> bool:
        """Whether any point has it."""
        return any(math.isfinite(self.of(point)) for point in points)


def _objective_ms(point: Point) -> float:
    return math.nan if point.reply.objective_us is None else point.reply.objective_us / 1e3


def _p99_ms(point: Point) -> float:
    return math.nan if point.reply.played is None else point.reply.played.p99_us / 1e3


def _missed_percent(point: Point) -> float:
    return math.nan if point.reply.played is None else 100 * point.reply.played.miss_ratio


def _memory_mib(point: Point) -> float:
    return point.total_memory_bytes / MIB


METRICS = (
    Metric("objective", "objective (ms)", _objective_ms),
    Metric("p99", "simulated p99 (ms)", _p99_ms),
    Metric("missed", "simulated misses (%)", _missed_percent),
    Metric("memory", "memory used (MiB)", _memory_mib),
)


def state(point: Point) -> str:
    """What is known of a point, in a few words."""
    reply = point.reply
    if reply.status == "feasible":
        said = "not proven" if reply.gap is None else f"gap {percent(reply.gap)}"
        return f"{said}, plan of a neighbour" if point.taken_from else said
    return {"optimal": "optimal", "infeasible": "no plan", "timeout": "no answer in time"}[reply.status]


def sweep_table(sweep: Sweep) -> Table:
    """Every point of a sweep; of a large grid those spread evenly over it."""
    points = sweep.points
    shown = list(points)
    if len(points) > MAX_ROWS:
        shown = [points[round(i * (len(points) - 1) / (MAX_ROWS - 1))] for i in range(MAX_ROWS)]
    rows = [
        (
            *(setting.label for setting in point.settings),
            "–" if point.reply.objective_us is None else milliseconds(point.reply.objective_us),
            "–" if point.reply.played is None else milliseconds(point.reply.played.p99_us),
            "–" if point.reply.played is None else percent(point.reply.played.miss_ratio),
            mebibytes(point.total_memory_bytes),
            percent(point.utilisation),
            Cell(state(point), _tone(point)),
        )
        for point in shown
    ]
    columns = (
        *(f">{axis.name}" for axis in sweep.axes),
        ">objective ms",
        ">p99 ms",
        ">misses",
        ">memory MiB",
        ">busiest core",
        "what is known",
    )
    left_out = ""
    if len(shown) < len(points):
        left_out = f" {len(shown)} of {len(points):,} points are shown; the files hold all."
    return Table("Points", columns, tuple(rows), note=verdict(sweep) + left_out)


def _tone(point: Point) -> Tone:
    status = point.reply.status
    return "good" if status == "optimal" else "" if status == "feasible" else "bad"


def verdict(sweep: Sweep) -> str:
    """What came of a sweep in two sentences."""
    points = sweep.points
    known = ("optimal", "feasible", "infeasible")
    by_status = {status: sum(p.reply.status == status for p in points) for status in known}
    late = len(points) - sum(by_status.values())
    parts = [f"{by_status['optimal']} proven optimal", f"{by_status['feasible']} with a plan and a gap"]
    parts += [f"{by_status['infeasible']} without a plan"] if by_status["infeasible"] else []
    parts += [f"{late} without an answer in time"] if late else []
    text = f"{count(len(points), 'point')}: {', '.join(parts)}."
    taken = [point for point in points if point.taken_from]
    if taken:
        text += (
            f" At {count(len(taken), 'point')} the solver found less in its time than at a neighbour, whose plan keeps "
            "the limits there too and was taken."
        )
    return text


def sweep_data(sweep: Sweep) -> dict[str, Any]:
    """A sweep as plain data, without plans: those are kept by digest in the folder."""
    return {
        "axes": [
            {
                "name": axis.name,
                "unit": axis.unit,
                "turns": [knob.name for knob in axis.knobs],
                "settings": [{"number": s.number, "label": s.label, "values": list(s.values)} for s in axis.settings],
            }
            for axis in sweep.axes
        ],
        "method": sweep.asker.method,
        "time_limit_s": sweep.asker.time_limit_s,
        "seed": sweep.asker.seed,
        "policies": sweep.policies,
        "points": [
            {
                "at": {axis.name: s.number for axis, s in zip(sweep.axes, point.settings, strict=True)},
                **reply_data(point.reply),
                "memory_bytes": dict(point.memory_bytes),
                "busiest_core": point.utilisation,
                "taken_from": {axis.name: s.number for axis, s in zip(sweep.axes, point.taken_from, strict=False)},
                "kept": point.is_kept,
                "question": point.digest,
            }
            for point in sweep.points
        ],
    }


def sweep_csv(sweep: Sweep) -> str:
    """A sweep as CSV: one row a point, empty where there is no figure."""
    memories = sorted({name for point in sweep.points for name in point.memory_bytes})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *(axis.title for axis in sweep.axes),
            "status",
            "objective_us",
            "bound_us",
            "gap",
            "p99_us",
            "miss_ratio",
            *(f"memory_bytes.{name}" for name in memories),
            "busiest_core",
            "taken_from_neighbour",
        ]
    )
    for point in sweep.points:
        reply, played = point.reply, point.reply.played
        figures = (
            reply.objective_us,
            reply.bound_us,
            reply.gap,
            None if played is None else played.p99_us,
            None if played is None else played.miss_ratio,
            *(point.memory_bytes.get(name) for name in memories),
            point.utilisation,
        )
        writer.writerow(
            [
                *(f"{setting.number:.10g}" for setting in point.settings),
                reply.status,
                *("" if figure is None or math.isnan(figure) else f"{figure:.10g}" for figure in figures),
                int(bool(point.taken_from)),
            ]
        )
    return text.getvalue()


def caption(points: Sequence[Point], metric: Metric) -> str:
    """What a chart of one figure shows, in words."""
    known = [(metric.of(p), p) for p in points if math.isfinite(metric.of(p))]
    if not known:
        return "No point has it."
    (low, at_low), (high, at_high) = min(known, key=lambda k: k[0]), max(known, key=lambda k: k[0])
    text = f"From {rounded(low)} at {at_low.label} to {rounded(high)} at {at_high.label}."
    if low == high:
        text = f"{rounded(low)} wherever there is a plan."
    open_ = [p for p in points if p.reply.status == "feasible"]
    if open_:
        gaps = [p.reply.gap for p in open_ if p.reply.gap is not None]
        text += f" {count(len(open_), 'point')} not proven optimal"
        text += f", by {percent(max(gaps))} at most." if len(gaps) == len(open_) else "."
    for status, said in (("infeasible", "without a plan"), ("timeout", "without an answer in time")):
        if missing := sum(p.reply.status == status for p in points):
            text += f" {count(missing, 'point')} {said}."
    return text
