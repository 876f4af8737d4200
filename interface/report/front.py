"""Latency against memory: what is possible, and where the plan stands."""

from __future__ import annotations

import plotly.graph_objects as go

from ..units import MIB, count, mebibytes, milliseconds
from .chart import BASELINE_COLOURS, DASHES, GOOD_COLOUR, PLAN_COLOUR, Chart, figure
from .contents import Front


def front_chart(front: Front) -> Chart:
    """Draw every method's points as a staircase: between two points nothing better is known."""
    drawn = figure("memory (MiB)", "latency (ms)")
    inexact = 0
    for series in front.series:
        if series.is_exact:
            colour, dash, symbol = PLAN_COLOUR, "solid", "circle"
        else:
            colour, dash, symbol = BASELINE_COLOURS[1 + inexact % 3], DASHES[1 + inexact % 3], "diamond-open"
            inexact += 1
        points = sorted(series.points, key=lambda point: point[1])
        drawn.add_trace(
            go.Scatter(
                x=[n_bytes / MIB for _, n_bytes in points],
                y=[latency_us / 1e3 for latency_us, _ in points],
                mode="lines+markers",
                name=f"{series.method} ({'exact' if series.is_exact else 'heuristic'})",
                line={"shape": "hv", "color": colour, "dash": dash, "width": 1.5},
                marker={"size": 7, "symbol": symbol},
                hovertemplate="%{x:.1f} MiB, %{y:.2f} ms",
            )
        )
    if front.chosen:
        latency_us, n_bytes = front.chosen
        drawn.add_trace(
            go.Scatter(
                x=[n_bytes / MIB],
                y=[latency_us / 1e3],
                mode="markers",
                name="the plan",
                marker={"size": 14, "symbol": "star", "color": GOOD_COLOUR, "line": {"width": 1, "color": "white"}},
                hovertemplate="the plan: %{x:.1f} MiB, %{y:.2f} ms",
            )
        )
    return Chart(drawn, _caption(front), front.model)


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
