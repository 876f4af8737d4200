"""Charts of a sweep: curves over one axis, maps over two, and what is traded for what over all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import plotly.graph_objects as go

from ...solvers.pareto import non_dominated
from ..report.chart import GOOD_COLOUR, MODEL_COLOURS, PLAN_COLOUR, QUIET_COLOUR, Chart, figure
from ..units import count
from .axes import Setting
from .maps import MISSING, SCALE, Mark, map_chart, surface_chart
from .metrics import METRICS, Metric, caption, state
from .sweeps import Point, Sweep

SLICES = 12
"""Most maps of one figure; of more axes than two each further setting needs a map of its own."""
_BAND = "rgba(59, 130, 196, 0.18)"


def sweep_charts(sweep: Sweep) -> Iterator[tuple[str, tuple[Chart, ...]]]:
    """Charts by heading, in reading order."""
    shown = [metric for metric in METRICS if metric.known(sweep.points)]
    if len(sweep.axes) == 1:
        yield "Curves", tuple(_curve(sweep, metric) for metric in shown)
    else:
        for heading, slice_ in _slices(sweep):
            yield heading, tuple(map_chart(sweep, slice_, metric) for metric in shown)
        if len(sweep.axes) == 2 and min(sweep.shape) > 1 and shown:
            yield "Surface", (surface_chart(sweep, shown[0]),)
    trade_off = _trade_off(sweep)
    if trade_off is not None:
        yield "What is traded for what", (trade_off,)


def _curve(sweep: Sweep, metric: Metric) -> Chart:
    """One figure over one axis: filled where proven, open where not, crosses on the floor where there is no plan."""
    (axis,) = sweep.axes
    drawn = figure(axis.title, metric.title)
    numbers = [point.settings[0].number for point in sweep.points]
    values = [metric.of(point) for point in sweep.points]
    if metric.name == "objective":
        _draw_bounds(drawn, sweep.points)
    if metric.name == "p99":
        _draw_models(drawn, sweep.points)
    if metric.name == "memory" and all(knob.kind == "memory" for knob in axis.knobs) and axis.unit != "×":
        drawn.add_trace(
            go.Scatter(
                x=numbers, y=numbers, mode="lines", name="the limit", line={"color": QUIET_COLOUR, "dash": "dot"}
            )
        )
    drawn.add_trace(
        go.Scatter(
            x=numbers,
            y=[None if math.isnan(value) else value for value in values],
            mode="lines+markers",
            name="all models" if metric.name == "p99" else "best plan found",
            line={"color": PLAN_COLOUR, "width": 2},
            marker={
                "size": 8,
                "symbol": ["circle" if p.reply.status == "optimal" else "circle-open" for p in sweep.points],
            },
            text=[state(point) for point in sweep.points],
            hovertemplate="%{x:.4g}: %{y:.4g}<br>%{text}<extra></extra>",
        )
    )
    for status, mark in MISSING.items():
        _draw_missing(drawn, [p for p in sweep.points if p.reply.status == status], mark)
    drawn.update_yaxes(rangemode="tozero")
    return Chart(drawn, caption(sweep.points, metric), metric.title)


def _draw_bounds(drawn: go.Figure, points: Sequence[Point]) -> None:
    """The band between bound and objective, where something was not proven."""
    known = [p for p in points if p.reply.bound_us is not None and p.reply.objective_us is not None]
    if not any(p.reply.status == "feasible" for p in known):
        return
    numbers = [p.settings[0].number for p in known]
    for values, fill, name in (
        ([(p.reply.bound_us or 0.0) / 1e3 for p in known], None, "proven lower bound"),
        ([(p.reply.objective_us or 0.0) / 1e3 for p in known], "tonexty", "not proven"),
    ):
        drawn.add_trace(
            go.Scatter(
                x=numbers,
                y=values,
                mode="lines",
                name=name,
                line={"width": 1 if fill is None else 0, "color": QUIET_COLOUR},
                fill=fill,
                fillcolor=_BAND,
                hoverinfo="skip",
            )
        )


def _draw_models(drawn: go.Figure, points: Sequence[Point]) -> None:
    models = list(dict.fromkeys(name for p in points if p.reply.played for name in p.reply.played.model_p99_us))
    if len(models) < 2:
        return
    for k, model in enumerate(models):
        of = [None if p.reply.played is None else p.reply.played.model_p99_us.get(model) for p in points]
        drawn.add_trace(
            go.Scatter(
                x=[p.settings[0].number for p in points],
                y=[None if us is None else us / 1e3 for us in of],
                mode="lines",
                name=model,
                line={"width": 1.2, "color": MODEL_COLOURS[(k + 1) % len(MODEL_COLOURS)]},
                hovertemplate=f"{model}: %{{y:.4g}}<extra></extra>",
            )
        )


def _draw_missing(drawn: go.Figure, points: Sequence[Point], mark: Mark) -> None:
    if not points:
        return
    drawn.add_trace(
        go.Scatter(
            x=[p.settings[0].number for p in points],
            y=[0.0] * len(points),
            mode="markers",
            name=mark.name,
            marker=mark.marker,
            cliponaxis=False,
            hovertemplate=f"%{{x:.4g}}: {mark.name}<extra></extra>",
        )
    )


def _slices(sweep: Sweep) -> Iterator[tuple[str, tuple[Setting, ...]]]:
    """Settings of the axes beyond the second, each a map of its own."""
    rest = sweep.axes[2:]
    for place in list(product(*(axis.settings for axis in rest)))[:SLICES]:
        named = ", ".join(f"{axis.name} {setting.label}" for axis, setting in zip(rest, place, strict=True))
        yield named or "Maps", place


def _trade_off(sweep: Sweep) -> Chart | None:
    """Memory against the response that it buys; the staircase joins the points that no other beats in both."""
    second = METRICS[1] if METRICS[1].known(sweep.points) else METRICS[0]
    memory = METRICS[3]
    points = [p for p in sweep.points if math.isfinite(second.of(p)) and math.isfinite(memory.of(p))]
    if len(points) < 2:
        return None
    figures = np.array([(memory.of(p), second.of(p)) for p in points])
    best = figures[np.sort(non_dominated(figures))]
    best = best[np.argsort(best[:, 0])]
    drawn = figure(memory.title, second.title)
    first = sweep.axes[0]
    drawn.add_trace(
        go.Scatter(
            x=best[:, 0].tolist(),
            y=best[:, 1].tolist(),
            mode="lines",
            name="no point beats these in both",
            line={"shape": "hv", "color": GOOD_COLOUR, "width": 1.5},
            hoverinfo="skip",
        )
    )
    drawn.add_trace(
        go.Scatter(
            x=figures[:, 0].tolist(),
            y=figures[:, 1].tolist(),
            mode="markers",
            name="points",
            marker={
                "size": 9,
                "color": [p.settings[0].number for p in points],
                "colorscale": SCALE,
                "showscale": True,
                "colorbar": {"thickness": 10, "outlinewidth": 0, "title": {"text": first.title, "side": "right"}},
                "line": {"width": 1, "color": QUIET_COLOUR},
            },
            text=[f"{p.label}<br>{state(p)}" for p in points],
            hovertemplate="%{text}<br>%{x:.4g} MiB, %{y:.4g} ms<extra></extra>",
            showlegend=False,
        )
    )
    text = f"{count(len(points), 'point')} with a plan, {len(best)} of which no other beats in both."
    return Chart(drawn, text)
