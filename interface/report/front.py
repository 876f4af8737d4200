"""Latency against memory: what is possible, and where the plan stands."""

from __future__ import annotations

from collections.abc import Sequence

from ..table import Cell, Table
from ..units import MIB, count, mebibytes, milliseconds
from .colours import BASELINE_COLOURS, DASHES, GOOD_COLOUR, PLAN_COLOUR, Look
from .contents import Front
from .plots import Axis, Picture, Series, XYPlot, spread

MAX_POINTS = 400
"""Points of one front that are drawn."""


def front_picture(front: Front) -> Picture:
    """Draw every method's points as a staircase: between two points nothing better is known."""
    drawn: list[Series] = []
    inexact = 0
    thinned = False
    for series in front.series:
        if series.is_exact:
            look = Look(PLAN_COLOUR)
        else:
            look = Look(BASELINE_COLOURS[1 + inexact % 3], DASHES[1 + inexact % 3])
            inexact += 1
        points = sorted(series.points, key=lambda point: point[1])
        kept = [points[i] for i in spread(len(points), MAX_POINTS)]
        thinned |= len(kept) < len(points)
        drawn.append(
            Series(
                f"{series.method} ({'exact' if series.is_exact else 'heuristic'})",
                [n_bytes / MIB for _, n_bytes in kept],
                [latency_us / 1e3 for latency_us, _ in kept],
                look,
                "steps",
                hollow=[not series.is_exact] * len(kept),
            )
        )
    if front.chosen:
        latency_us, n_bytes = front.chosen
        drawn.append(Series("the plan", [n_bytes / MIB], [latency_us / 1e3], Look(GOOD_COLOUR), "star"))
    caption = _caption(front) + (f" Drawn: {MAX_POINTS} points of each, evenly spread." if thinned else "")
    return Picture(XYPlot(Axis("memory (MiB)"), Axis("latency (ms)"), tuple(drawn)), caption, front.model)


def fronts_table(fronts: Sequence[Front]) -> Table:
    """The ends of every front, and the plan's own point."""
    rows: list[tuple[str | Cell, ...]] = []
    groups = []
    for front in fronts:
        groups.append(len(rows))
        for k, series in enumerate(front.series):
            ends = [min(series.points), min(series.points, key=lambda p: (p[1], p[0]))] if series.points else []
            chosen = front.chosen if k == 0 else None
            rows.append(
                (
                    Cell(front.model, "strong") if k == 0 else "",
                    f"{series.method} ({'exact' if series.is_exact else 'heuristic'})",
                    f"{len(series.points):,}",
                    *(_point(ends[0]) if ends else ("–", "–")),
                    *(_point(ends[1]) if ends else ("–", "–")),
                    *(_point(chosen) if chosen else ("", "")),
                )
            )
    return Table(
        "Fronts",
        (
            "model",
            "method",
            ">points",
            ">fastest ms",
            ">in MiB",
            ">leanest ms",
            ">in MiB",
            ">the plan ms",
            ">in MiB",
        ),
        tuple(rows),
        note="Each model alone on the device, under the same memory limits: one request's latency, and what its "
        "segments keep resident with the most that one of them needs while it runs.",
        groups=tuple(groups[1:]),
    )


def _point(point: tuple[float, float]) -> tuple[str, str]:
    return milliseconds(point[0]), mebibytes(point[1])


def _caption(front: Front) -> str:
    every = [point for series in front.series for point in series.points]
    if not every:
        return "No point was found."
    fastest, leanest = min(every), min(every, key=lambda point: point[1])
    text = (
        f"{count(len(front.series[0].points), 'point')} by {front.series[0].method}, from "
        f"{milliseconds(fastest[0])} ms in {mebibytes(fastest[1])} MiB to "
        f"{milliseconds(leanest[0])} ms in {mebibytes(leanest[1])} MiB."
    )
    if front.chosen:
        text += (
            f" The plan: {milliseconds(front.chosen[0])} ms in {mebibytes(front.chosen[1])} MiB; "
            "it may stand off the front, because it is chosen for all models together."
        )
    return text
