"""Plots drawn by plotly, and the keys to them, which the page sets itself: they wrap, whatever the names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import log10
from typing import Any

import plotly.graph_objects as go

from .chart import figure, logarithmic
from .colours import BAD_COLOUR, GOOD_COLOUR, Look, shortened
from .plots import Axis, BarsPlot, Form, GanttPlot, Mark, Plot, Series, XYPlot, values_along

GAP_COLOUR = "rgba(255,255,255,0.45)"
MANY_POINTS = 300
"""Points of all series together above which they are drawn small."""
WIDTHS = {"line": 1.5, "steps": 1.75}
_STROKES = {
    "/": "M6 11L20 1",
    "x": "M6 11L20 1M6 1L20 11",
    ".": "M9 6h1M13 6h1M17 6h1",
    "\\": "M6 1L20 11",
    "-": "M5 4H21M5 8H21",
    "|": "M9 0V12M13 0V12M17 0V12",
    "+": "M5 6H21M13 0V12",
}
_STROKE_DASHES = {
    "solid": "",
    "dash": "6 3",
    "dot": "2 3",
    "dashdot": "7 3 2 3",
    "longdash": "10 3",
    "longdashdot": "10 3 2 3",
}
"""How the key draws patterns and dashes."""


def draw(plot: Plot) -> go.Figure:
    """Draw a plot."""
    if isinstance(plot, XYPlot):
        return _xy(plot)
    return _gantt(plot) if isinstance(plot, GanttPlot) else _bars(plot)


def key_of(plot: Plot) -> list[tuple[str, Look, Form | None]]:
    """What each kind of mark stands for: a name, its look, and its form, none for an area. Empty where there is one."""
    if isinstance(plot, XYPlot):
        keys: list[tuple[str, Look, Form | None]] = [(s.name, s.look, s.form) for s in plot.series]
    elif isinstance(plot, GanttPlot):
        drawn = {bar.kind for bar in plot.bars}
        keys = [(kind, look, None) for kind, look in plot.looks.items() if kind in drawn]
    else:
        keys = [(kind, plot.looks[kind], None) for kind, values in plot.parts.items() if any(values)]
    return keys if len(keys) > 1 else []


def _xy(plot: XYPlot) -> go.Figure:
    drawn = figure(plot.x.title, plot.y.title, plot.height, showlegend=False, dragmode=False, hovermode="closest")
    x_axis = _axis(plot.x, values_along(plot, "x"))
    y_axis = _axis(plot.y, values_along(plot, "y"))
    drawn.update_xaxes(**x_axis)
    drawn.update_yaxes(**y_axis)
    for series in plot.series:
        drawn.add_trace(_scatter(series, plot))
    for mark in plot.marks:
        _draw_mark(drawn, mark, x_axis if mark.axis == "x" else y_axis, values_along(plot, mark.axis))
    return drawn


def _scatter(series: Series, plot: XYPlot) -> go.Scatter:
    name, look = escape(shortened(series.name)), series.look
    many = sum(len(s.x) for s in plot.series) > MANY_POINTS
    shape: dict[str, Any] = {"color": look.colour, "dash": look.dash, "width": WIDTHS.get(series.form, 1.5)}
    shape["shape"] = "hv" if series.form == "steps" else "linear"
    shown = f"%{{y:{'.2%' if plot.y.percent else '.4~g'}}} at %{{x:.4~g}}"
    units = f"{escape(plot.y.title)} at {escape(plot.x.title)}"
    if series.form == "star":
        marker = {"size": 14, "symbol": "star", "color": look.colour, "line": {"width": 1, "color": "white"}}
    else:
        symbols = ["circle-open" if hollow else "circle" for hollow in series.hollow] or "circle"
        size = 4 if many else 7
        marker = {"size": size, "symbol": symbols, "color": look.colour, "line": {"width": 1.2, "color": look.colour}}
    lines = "lines+markers" if len(series.hollow) else "lines"
    return go.Scatter(
        x=list(series.x),
        y=list(series.y),
        name=name,
        mode="markers" if series.form in ("points", "star") else lines,
        line=shape,
        marker=marker,
        opacity=0.75 if many and series.form == "points" else 1.0,
        text=[escape(label) for label in series.labels] or None,
        hoverinfo="skip" if series.is_quiet else None,
        hovertemplate=None
        if series.is_quiet
        else f"{'%{text}<br>' if series.labels else ''}{shown}<br>{units}<extra>{name}</extra>",
    )


def _draw_mark(drawn: go.Figure, mark: Mark, axis: dict[str, Any], values: Sequence[float]) -> None:
    line = {"color": mark.colour, "width": 1.5, "dash": mark.dash}
    # On a logarithmic axis shapes are placed by value, annotations by exponent.
    at = _placed(mark.at, axis)
    low, high = axis.get("range") or (min(values), max(values))
    beyond_most = at > low + 0.75 * (high - low)
    label: dict[str, Any] = {"text": mark.label, "showarrow": False, "font": {"color": mark.colour, "size": 11}}
    if mark.axis == "x":
        drawn.add_vline(x=mark.at, line=line)
        label |= {"x": at, "y": 1.0, "yref": "paper", "yanchor": "top", "xanchor": "right" if beyond_most else "left"}
    else:
        drawn.add_hline(y=mark.at, line=line)
        label |= {"y": at, "x": 1.0, "xref": "paper", "xanchor": "right", "yanchor": "bottom"}
        if beyond_most and at > low + 0.92 * (high - low):
            label["yanchor"] = "top"
    drawn.add_annotation(**label)


def _placed(value: float, axis: dict[str, Any]) -> float:
    return log10(value) if axis.get("type") == "log" and value > 0 else value


def _axis(axis: Axis, values: Sequence[float]) -> dict[str, Any]:
    if axis.logarithmic:
        return logarithmic(axis.span or values)
    settings: dict[str, Any] = {"tickformat": ".0%"} if axis.percent else {}
    if axis.span is not None:
        settings["range"] = list(axis.span)
    return settings


def _gantt(plot: GanttPlot) -> go.Figure:
    n = len(plot.rows)
    row_height = 52 if n <= 4 else 26
    drawn = figure(
        plot.x.title,
        "",
        90 + row_height * n,
        barmode="overlay",
        bargap=0.25,
        dragmode="pan",
        hovermode="closest",
        showlegend=False,
    )
    for kind, look in plot.looks.items():
        mine = [bar for bar in plot.bars if bar.kind == kind]
        if not mine:
            continue
        drawn.add_trace(
            go.Bar(
                orientation="h",
                name=escape(shortened(kind)),
                base=[round(bar.start, 6) for bar in mine],
                x=[round(bar.length, 6) for bar in mine],
                y=[bar.row for bar in mine],
                marker={
                    "color": look.colour,
                    "pattern": _pattern(look),
                    "line": {
                        "width": [1.5 if bar.is_bad else 0.4 for bar in mine],
                        "color": [BAD_COLOUR if bar.is_bad else GAP_COLOUR for bar in mine],
                    },
                },
                text=[escape(bar.label) for bar in mine],
                textposition="none",
                hovertemplate="%{text}<br>from %{base:.5~g} for %{x:.4~g}, " + escape(plot.x.title) + "<extra></extra>",
            )
        )
    drawn.update_yaxes(
        tickvals=list(range(n)),
        ticktext=[escape(shortened(row)) for row in plot.rows],
        showgrid=False,
        fixedrange=True,
        range=[n - 0.5, -0.5],  # the first row on top
    )
    drawn.update_xaxes(range=list(plot.shown))
    return drawn


def _bars(plot: BarsPlot) -> go.Figure:
    n = len(plot.rows)
    drawn = figure(
        plot.x.title,
        "",
        90 + (52 if n <= 4 else 24) * n,
        barmode="stack",
        bargap=0.35,
        dragmode=False,
        hovermode="closest",
        showlegend=False,
    )
    for kind, values in plot.parts.items():
        look = plot.looks[kind]
        drawn.add_trace(
            go.Bar(
                orientation="h",
                y=list(range(n)),
                x=list(values),
                name=escape(shortened(kind)),
                marker={"color": look.colour, "pattern": _pattern(look)},
                text=[escape(f"{row}: {kind}") for row in plot.rows],
                textposition="none",
                hovertemplate="%{text}<br>%{x:.4~g}, " + escape(plot.x.title) + "<extra></extra>",
            )
        )
    for row, limit in plot.limits.items():
        line = {"color": BAD_COLOUR, "width": 2}
        drawn.add_shape(type="line", x0=limit, x1=limit, y0=row - 0.4, y1=row + 0.4, line=line)
        drawn.add_annotation(
            x=limit,
            y=row - 0.42,
            text="limit",
            showarrow=False,
            yanchor="bottom",
            xanchor="right",
            font={"color": BAD_COLOUR, "size": 11},
        )
    drawn.update_yaxes(
        tickvals=list(range(n)),
        ticktext=[escape(shortened(row)) for row in plot.rows],
        showgrid=False,
        range=[n - 0.4, -0.75],
    )
    drawn.update_xaxes(rangemode="tozero")
    return drawn


def _pattern(look: Look) -> dict[str, Any]:
    """White over the bar's colour."""
    return {"shape": look.pattern, "size": 7, "solidity": 0.25, "fillmode": "overlay", "fgcolor": "white"}


def key_html(plot: Plot) -> str:
    """The key to a plot as a list; empty where there is nothing to tell apart."""
    items = "".join(f"<li>{_swatch(look, form)}{escape(name)}</li>" for name, look, form in key_of(plot))
    return f'<ul class="key">{items}</ul>' if items else ""


def _swatch(look: Look, form: Form | None) -> str:
    return f'<svg width="26" height="12" aria-hidden="true">{"".join(_marks(look, form))}</svg>'


def _marks(look: Look, form: Form | None) -> Iterator[str]:
    colour = look.colour
    if form is None:
        yield f'<rect x="5" width="16" height="12" rx="2" fill="{colour}"/>'
        if look.pattern:
            yield f'<path d="{_STROKES[look.pattern]}" stroke="#fff" stroke-width="2"/>'
    elif form == "points":
        yield f'<circle cx="13" cy="6" r="4.5" fill="{colour}"/>'
    elif form == "star":
        yield f'<path d="M13 0l1.9 4 4.1.5-3 2.9.8 4.4L13 9.6l-3.8 2.2.8-4.4-3-2.9L11.1 4z" fill="{GOOD_COLOUR}"/>'
    else:
        yield f'<path d="M0 6H26" stroke="{colour}" stroke-width="2.5" stroke-dasharray="{_STROKE_DASHES[look.dash]}"/>'
