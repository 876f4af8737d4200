"""Pictures of a sweep: curves over one axis, maps and a surface over two, and what is traded for what over all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice, product

import numpy as np

from ...solvers.pareto import non_dominated
from ..report.colours import BAD_COLOUR, GOOD_COLOUR, MODEL_COLOURS, PLAN_COLOUR, QUIET_COLOUR, Look, model_looks
from ..report.grid import Grid, GridMark, MarkForm, Surface
from ..report.plots import Axis, Form, Picture, Series, XYPlot
from ..units import count
from .axes import Setting
from .metrics import METRICS, Metric, caption, state
from .points import Point
from .sweeps import Sweep

SLICES = 12
"""Most maps of one figure; of more axes than two each further setting needs a map of its own."""

_ALL = "all models"
_MARKS: dict[str, tuple[str, MarkForm, str]] = {
    "infeasible": ("no plan", "cross", BAD_COLOUR),
    "timeout": ("no answer in time", "clock", QUIET_COLOUR),
    "feasible": ("not proven optimal", "ring", MODEL_COLOURS[1]),
}
"""How points are marked, by status: name, form, colour."""


def curve_picture(sweep: Sweep, metric: Metric) -> Picture:
    """One figure over the one axis: filled where proven, hollow where not, at 0 where there is no plan."""
    (axis,) = sweep.axes
    points = sweep.points
    known = [point for point in points if math.isfinite(metric.of(point))]
    numbers, values = [p.settings[0].number for p in known], [metric.of(p) for p in known]
    series: list[Series] = []
    if metric.name == "objective":
        series += _bounds(known)
    if metric.name == "p99":
        series += _models(known)
    if metric.name == "memory" and axis.unit == "MiB" and all(len(p.memory_bytes) == 1 for p in known):
        series.append(Series("the limit", numbers, numbers, Look(QUIET_COLOUR, "dot"), is_quiet=True))
    series.append(
        Series(
            _ALL if metric.name == "p99" else "best plan found",
            numbers,
            values,
            Look(PLAN_COLOUR),
            _form(points, metric),
            [state(point) for point in known],
            [point.reply.status != "optimal" for point in known],
        )
    )
    for status in ("infeasible", "timeout"):
        missing = [p.settings[0].number for p in points if p.reply.status == status]
        if missing:
            name, _, colour = _MARKS[status]
            series.append(Series(name, missing, [0.0] * len(missing), Look(colour), "points"))
    most = max((value for one in series for value in one.y), default=0.0)
    y = Axis(metric.title, span=(0.0, 1.05 * most if most > 0 else 1.0))
    return Picture(XYPlot(Axis(axis.title), y, tuple(series)), caption(points, metric), metric.title)


def _form(points: Sequence[Point], metric: Metric) -> Form:
    """A line, but for points on both sides of one without a plan, which nothing joins."""
    places = [k for k, point in enumerate(points) if math.isfinite(metric.of(point))]
    return "line" if places and places[-1] - places[0] + 1 == len(places) else "points"


def _bounds(known: list[Point]) -> Iterator[Series]:
    """The bound below which no plan can be, where something was not proven."""
    bounded = [(p.settings[0].number, p.reply.bound_us / 1e3) for p in known if p.reply.bound_us is not None]
    if bounded and any(p.reply.status == "feasible" for p in known):
        numbers, bounds = zip(*bounded, strict=True)
        yield Series("proven lower bound", numbers, bounds, Look(QUIET_COLOUR, "dash"))


def _models(known: list[Point]) -> Iterator[Series]:
    models = list(dict.fromkeys(name for p in known if p.reply.played for name in p.reply.played.model_p99_us))
    if len(models) < 2:
        return
    looks = list(model_looks(["", *models]).values())[1:]  # the first is that of all together
    for model, look in zip(models, looks, strict=True):
        found = [
            (p.settings[0].number, p.reply.played.model_p99_us[model] / 1e3)
            for p in known
            if p.reply.played is not None and model in p.reply.played.model_p99_us
        ]
        numbers, values = zip(*found, strict=True)
        yield Series(model, numbers, values, look)


def slices_of(sweep: Sweep) -> list[tuple[Setting, ...]]:
    """Settings of the axes beyond the second, each a map of its own; the first of them."""
    return list(islice(product(*(axis.settings for axis in sweep.axes[2:])), SLICES))


def sweep_grid(sweep: Sweep, slice_: tuple[Setting, ...], metric: Metric) -> Grid:
    """One figure over the first two axes: a cell a point, marked where there is no plan or nothing is proven."""
    across, up = sweep.axes[:2]
    points = {point.settings[:2]: point for point in sweep.points if point.settings[2:] == slice_}
    cells = [[points[a, b] for a in across.settings] for b in up.settings]
    marks = []
    for status, (name, form, colour) in _MARKS.items():
        found = [(i, j) for i, row in enumerate(cells) for j, p in enumerate(row) if p.reply.status == status]
        marks += [GridMark(name, form, colour, tuple(found))] if found else []
    here = [f"{axis.name} {setting.label}" for axis, setting in zip(sweep.axes[2:], slice_, strict=True)]
    return Grid(
        metric.title,
        tuple(setting.label for setting in across.settings),
        tuple(setting.label for setting in up.settings),
        np.array([[metric.of(point) for point in row] for row in cells]),
        caption(list(points.values()), metric),
        ", ".join([metric.title, *here]),
        across.name,
        up.name,
        tuple(tuple(state(point) for point in row) for row in cells),
        tuple(marks),
        is_map=True,
    )


def surface_of(sweep: Sweep, metric: Metric) -> Surface:
    """One figure over both axes, at their true distances."""
    across, up = sweep.axes
    of = {point.settings: metric.of(point) for point in sweep.points}
    return Surface(
        Axis(across.title),
        Axis(up.title),
        Axis(metric.title),
        tuple(setting.number for setting in across.settings),
        tuple(setting.number for setting in up.settings),
        tuple(setting.label for setting in up.settings),
        np.array([[of[a, b] for a in across.settings] for b in up.settings]),
        f"{metric.title} over both axes; on a page it can be turned, in a terminal it is cut along the first axis. "
        "Gaps: no plan.",
        metric.title,
    )


def trade_off_picture(sweep: Sweep) -> Picture | None:
    """Memory against the response that it buys; the staircase joins the points that no other beats in both."""
    second = METRICS[1] if METRICS[1].known(sweep.points) else METRICS[0]
    memory = METRICS[3]
    points = [p for p in sweep.points if math.isfinite(second.of(p)) and math.isfinite(memory.of(p))]
    if len(points) < 2:
        return None
    figures = np.array([(memory.of(p), second.of(p)) for p in points])
    best = figures[np.sort(non_dominated(figures))]
    best = best[np.argsort(best[:, 0])]
    stairs = Series(
        "no point beats these in both", best[:, 0].tolist(), best[:, 1].tolist(), Look(GOOD_COLOUR), "steps"
    )
    series = [stairs] if len(best) > 1 else []
    first = sweep.axes[0]
    told_apart = 1 < len(first.settings) <= len(MODEL_COLOURS)
    for k, setting in enumerate(first.settings if told_apart else (None,)):
        mine = [p for p in points if setting is None or p.settings[0] == setting]
        if mine:
            name = "points" if setting is None else f"{first.name} {setting.label}"
            x, y = [memory.of(p) for p in mine], [second.of(p) for p in mine]
            look = Look(MODEL_COLOURS[k] if told_apart else PLAN_COLOUR)
            series.append(Series(name, x, y, look, "points", [f"{p.label}, {state(p)}" for p in mine]))
    text = f"{count(len(points), 'point')} with a plan, {len(best)} of which no other beats in both."
    return Picture(XYPlot(Axis(memory.title), Axis(second.title), tuple(series)), text)
