"""Maps of a sweep over two axes: cells with contours, marks where nothing is proven or planned, and a surface."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from ..report.chart import BAD_COLOUR, BASELINE_COLOURS, QUIET_COLOUR, Chart, figure
from .axes import Axis, Setting
from .metrics import Metric, caption, state
from .sweeps import Point, Sweep

SCALE = [[0.0, "#d9efe3"], [0.5, "#8fc1d9"], [1.0, "#3b82c4"]]
"""Colours of figures: one hue that darkens evenly and leaves dark labels legible at both ends."""
_INK = "#1d2126"


@dataclass(frozen=True)
class Mark:
    """How points of a status are marked."""

    name: str
    symbol: str
    colour: str

    @property
    def marker(self) -> dict[str, Any]:
        """As plotly takes it."""
        return {
            "symbol": self.symbol,
            "size": 11,
            "color": self.colour,
            "line": {"width": 2, "color": self.colour},
        }


MISSING = {
    "infeasible": Mark("no plan", "x-thin", BAD_COLOUR),
    "timeout": Mark("no answer in time", "hourglass-open", QUIET_COLOUR),
}
"""Points without a plan, by status."""


def map_chart(sweep: Sweep, slice_: tuple[Setting, ...], metric: Metric) -> Chart:
    """One figure over two axes: cells with contours; crosses where there is no plan, rings where nothing is proven."""
    across, up = sweep.axes[0], sweep.axes[1]
    points = [point for point in sweep.points if point.settings[2:] == slice_]
    values = _grid(points, across, up, metric)
    x, y = [s.label for s in across.settings], [s.label for s in up.settings]
    height = max(300, min(520, 110 + 34 * len(y)))
    # Cells are even and labelled: axes are categories, whatever their settings' distances.
    drawn = figure(across.name, up.name, height=height)
    drawn.update_xaxes(type="category", showgrid=False)
    drawn.update_yaxes(type="category", showgrid=False)
    hover = _grid_text(points, across, up)
    drawn.add_trace(
        go.Heatmap(
            x=x,
            y=y,
            z=values,
            text=hover,
            colorscale=SCALE,
            xgap=1,
            ygap=1,
            colorbar={"thickness": 10, "outlinewidth": 0, "title": {"text": metric.title, "side": "right"}},
            hovertemplate="%{x}, %{y}: %{z:.4g}<br>%{text}<extra></extra>",
            hoverongaps=False,
        )
    )
    if min(values.shape) > 1 and np.isfinite(values).sum() > 3 and np.nanmin(values) < np.nanmax(values):
        drawn.add_trace(
            go.Contour(
                x=x,
                y=y,
                z=values,
                contours={"coloring": "none", "showlabels": True, "labelfont": {"size": 10, "color": _INK}},
                line={"color": "rgba(29,33,38,0.5)", "width": 1},
                showscale=False,
                showlegend=False,
                hoverinfo="skip",
                connectgaps=False,
            )
        )
    for status, mark in {**MISSING, "feasible": Mark("not proven optimal", "circle-open", BASELINE_COLOURS[1])}.items():
        _draw_marks(drawn, [p for p in points if p.reply.status == status], mark)
    return Chart(drawn, caption(points, metric), metric.title)


def _draw_marks(drawn: go.Figure, points: Sequence[Point], mark: Mark) -> None:
    if not points:
        return
    drawn.add_trace(
        go.Scatter(
            x=[p.settings[0].label for p in points],
            y=[p.settings[1].label for p in points],
            mode="markers",
            name=mark.name,
            text=[state(p) for p in points],
            marker=mark.marker,
            hovertemplate="%{x}, %{y}<br>%{text}<extra></extra>",
        )
    )


def _grid(points: Sequence[Point], across: Axis, up: Axis, metric: Metric) -> NDArray[np.float64]:
    """Figures as rows of the second axis and columns of the first."""
    of = {point.settings[:2]: metric.of(point) for point in points}
    return np.array([[of.get((a, b), math.nan) for a in across.settings] for b in up.settings])


def _grid_text(points: Sequence[Point], across: Axis, up: Axis) -> list[list[str]]:
    of = {point.settings[:2]: state(point) for point in points}
    return [[of.get((a, b), "") for a in across.settings] for b in up.settings]


def surface_chart(sweep: Sweep, metric: Metric) -> Chart:
    across, up = sweep.axes
    values = _grid(sweep.points, across, up, metric)
    side = {"backgroundcolor": "rgba(0,0,0,0)", "gridcolor": "rgba(138,143,152,0.4)", "color": QUIET_COLOUR}
    drawn = go.Figure(
        go.Surface(
            x=[s.number for s in across.settings],
            y=[s.number for s in up.settings],
            z=values,
            colorscale=SCALE,
            showscale=False,
            contours={"z": {"show": True, "width": 1, "color": "rgba(29,33,38,0.5)"}},
            hovertemplate=f"{across.name} %{{x:.4g}}<br>{up.name} %{{y:.4g}}<br>%{{z:.4g}}<extra></extra>",
        ),
        layout=go.Layout(
            template="none",
            height=460,
            margin={"l": 0, "r": 0, "t": 0, "b": 0},
            paper_bgcolor="rgba(0,0,0,0)",
            scene={
                "camera": {"eye": {"x": 1.6, "y": 1.6, "z": 0.9}, "center": {"x": 0, "y": 0, "z": -0.15}},
                "aspectmode": "cube",
                "xaxis": {**side, "title": {"text": across.title}},
                "yaxis": {**side, "title": {"text": up.title}},
                "zaxis": {**side, "title": {"text": metric.title}},
            },
        ),
    )
    return Chart(drawn, f"{metric.title} over both axes; drag to turn it. Gaps: no plan.", metric.title)
