"""Grids and surfaces drawn by plotly, and the keys to their marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Any

import numpy as np
import plotly.graph_objects as go

from .chart import figure
from .colours import QUIET_COLOUR, shortened
from .grid import INK, SCALE, Grid, GridMark, Surface
from .plots import spread

MOST_NAMES = 40
"""Rows up to which every one has its name beside it, and a height to be read at."""
_MOST_COLUMN_NAMES = 12
_SYMBOLS = {"cross": "x-thin", "clock": "hourglass-open", "ring": "circle-open"}
_SWATCHES = {
    "cross": '<path d="M8 1L18 11M8 11L18 1" stroke="{colour}" stroke-width="2"/>',
    "clock": '<path d="M8 1H18L8 11H18Z" fill="none" stroke="{colour}" stroke-width="1.5"/>',
    "ring": '<circle cx="13" cy="6" r="4.5" fill="none" stroke="{colour}" stroke-width="2"/>',
    "frame": '<rect x="6" y="1" width="14" height="10" fill="none" stroke="{colour}" stroke-width="2"/>',
}
_SEE_THROUGH = "rgba(29,33,38,0.5)"


def draw_grid(grid: Grid) -> go.Figure:
    """Draw cells, contours where rows and columns are places on axes, and marks."""
    n, m = grid.values.shape
    low, high = grid.ends
    drawn = figure(
        escape(grid.column_title),
        escape(grid.row_title),
        max(240, min(620, 110 + 24 * n)),
        showlegend=False,
        dragmode=False,
    )
    at = {"x": list(range(m)), "y": list(range(n)), "z": [[_plain(value) for value in row] for row in grid.values]}
    drawn.add_trace(
        go.Heatmap(
            **at,
            text=_hover(grid),
            colorscale=[list(stop) for stop in SCALE],
            zmin=low,
            zmax=high if high > low else low + 1.0,
            xgap=1,
            ygap=1 if n <= MOST_NAMES else 0,
            colorbar={"thickness": 10, "outlinewidth": 0, "title": {"text": escape(grid.title), "side": "right"}},
            hovertemplate="%{text}<extra></extra>",
            hoverongaps=True,
        )
    )
    known = grid.values[np.isfinite(grid.values)]
    if grid.is_map and min(n, m) > 1 and len(known) > 3 and known.min() < known.max():
        drawn.add_trace(
            go.Contour(
                **at,
                contours={"coloring": "none", "showlabels": True, "labelfont": {"size": 10, "color": INK}},
                line={"color": _SEE_THROUGH, "width": 1},
                showscale=False,
                hoverinfo="skip",
                connectgaps=False,
            )
        )
    for mark in grid.marks:
        _draw_mark(drawn, mark)
    rows = range(n) if n <= MOST_NAMES else []
    columns = spread(m, _MOST_COLUMN_NAMES)
    common = {"showgrid": False, "ticks": "", "fixedrange": True}
    ends = [-0.5, n - 0.5]
    drawn.update_xaxes(**_named(grid.columns, columns), **common, range=[-0.5, m - 0.5])
    drawn.update_yaxes(**_named(grid.rows, rows), **common, range=ends if grid.is_map else ends[::-1])
    return drawn


def _named(names: Sequence[str], shown: Sequence[int]) -> dict[str, Any]:
    """Cells stand at whole numbers, for names may be alike once they are shortened."""
    return {"tickvals": list(shown), "ticktext": [escape(shortened(names[k])) for k in shown]}


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _hover(grid: Grid) -> list[list[str]]:
    """Where a cell is, its figure, and what else there is to say of it."""
    said = []
    for i, row in enumerate(grid.rows):
        line = []
        for j, column in enumerate(grid.columns):
            value = grid.values[i, j]
            parts = [f"{row}, {column}", f"{value:.4g}" if np.isfinite(value) else ""]
            parts.append(grid.details[i][j] if grid.details else "")
            line.append("<br>".join(escape(part) for part in parts if part))
        said.append(line)
    return said


def _draw_mark(drawn: go.Figure, mark: GridMark) -> None:
    line = {"color": mark.colour, "width": 2}
    if mark.form == "frame":
        for column, first, last in _runs(mark.cells):
            drawn.add_shape(
                type="rect", x0=column - 0.5, x1=column + 0.5, y0=first - 0.5, y1=last + 0.5, line=line, layer="above"
            )
        return
    if mark.cells:
        drawn.add_trace(
            go.Scatter(
                x=[column for _, column in mark.cells],
                y=[row for row, _ in mark.cells],
                mode="markers",
                name=escape(mark.name),
                marker={"symbol": _SYMBOLS[mark.form], "size": 11, "color": mark.colour, "line": line},
                hoverinfo="skip",
            )
        )


def _runs(cells: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Cells one above the other as one frame: column, first and last row."""
    ordered = sorted((column, row) for row, column in cells)
    for _, run in groupby(enumerate(ordered), key=lambda place: (place[1][0], place[1][1] - place[0])):
        places = [place for _, place in run]
        yield places[0][0], places[0][1], places[-1][1]


def grid_key(grid: Grid) -> str:
    """What the marks stand for, as a list; empty where there are none."""
    items = "".join(
        f'<li><svg width="26" height="12" aria-hidden="true">{_SWATCHES[mark.form].format(colour=mark.colour)}</svg>'
        f"{escape(mark.name)}</li>"
        for mark in grid.marks
    )
    return f'<ul class="key">{items}</ul>' if items else ""


def draw_surface(surface: Surface) -> go.Figure:
    """Draw it in depth; it can be turned."""
    side = {"backgroundcolor": "rgba(0,0,0,0)", "gridcolor": "rgba(138,143,152,0.4)", "color": QUIET_COLOUR}
    x, y, z = (escape(axis.title) for axis in (surface.x, surface.y, surface.z))
    return go.Figure(
        go.Surface(
            x=list(surface.x_values),
            y=list(surface.y_values),
            z=[[_plain(value) for value in row] for row in surface.values],
            colorscale=[list(stop) for stop in SCALE],
            showscale=False,
            contours={"z": {"show": True, "width": 1, "color": _SEE_THROUGH}},
            hovertemplate=f"{x} %{{x:.4g}}<br>{y} %{{y:.4g}}<br>{z} %{{z:.4g}}<extra></extra>",
        ),
        layout=go.Layout(
            template="none",
            height=460,
            margin={"l": 0, "r": 0, "t": 0, "b": 0},
            paper_bgcolor="rgba(0,0,0,0)",
            scene={
                "camera": {"eye": {"x": 2.1, "y": 2.1, "z": 1.2}, "center": {"x": 0, "y": 0, "z": -0.15}},
                "aspectmode": "cube",
                "xaxis": {**side, "title": {"text": x}},
                "yaxis": {**side, "title": {"text": y}},
                "zaxis": {**side, "title": {"text": ""}},  # it stands in the heading; beside it a phone has no room
            },
        ),
    )
