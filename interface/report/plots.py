"""What pictures show, as data: drawn by plotly on a page and with characters in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .colours import Look

Form = Literal["line", "steps", "points", "star"]
"""A line through the points, one that keeps each value until the next, the points alone, or a point that stands out."""


@dataclass(frozen=True)
class Axis:
    """An axis: its title with the unit, and how it is divided."""

    title: str
    logarithmic: bool = False
    percent: bool = False
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class Series:
    """Points of one kind.

    Attributes
    ----------
    name : str
    x, y : sequence of float
    look : Look
    form : Form
    labels : sequence of str
        What a pointer shows beside the figures, a point; empty for nothing.
    hollow : sequence of bool
        Which points are drawn hollow; empty for none.
    is_quiet : bool
        An aid to reading, not data: thin, and without figures under the pointer.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    look: Look
    form: Form = "line"
    labels: Sequence[str] = ()
    hollow: Sequence[bool] = ()
    is_quiet: bool = False


@dataclass(frozen=True)
class Mark:
    """A straight line across the plot at a value of one axis, with a word at its end."""

    axis: Literal["x", "y"]
    at: float
    label: str
    colour: str
    dash: str = "dot"


@dataclass(frozen=True)
class XYPlot:
    """Series over two axes."""

    x: Axis
    y: Axis
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
    height: int = 300


@dataclass(frozen=True)
class Bar:
    """Something that takes a row of a Gantt chart for a while: start and length in the unit of the axis."""

    row: int
    start: float
    length: float
    kind: str
    label: str
    is_bad: bool = False


@dataclass(frozen=True)
class GanttPlot:
    """Rows over time with bars of several kinds; `shown` is the part to be seen at first."""

    x: Axis
    rows: tuple[str, ...]
    bars: tuple[Bar, ...]
    looks: dict[str, Look]
    shown: tuple[float, float]


@dataclass(frozen=True)
class BarsPlot:
    """Rows with a bar each, which is made of parts; `limits` draws a line in some rows.

    Attributes
    ----------
    x : Axis
    rows : tuple of str
    parts : dict of str to sequence of float
        By kind of part, one value a row.
    looks : dict of str to Look
    limits : dict of int to float
    """

    x: Axis
    rows: tuple[str, ...]
    parts: dict[str, Sequence[float]]
    looks: dict[str, Look]
    limits: dict[int, float] = field(default_factory=dict)


Plot = XYPlot | GanttPlot | BarsPlot


@dataclass(frozen=True)
class Picture:
    """A plot with its caption, which says in words what there is to see, and a heading where several stand together."""

    plot: Plot
    caption: str
    heading: str = ""


def logarithmic_span(values: Iterable[float]) -> tuple[float, float]:
    """Ends of a logarithmic axis over the positive ones of these values."""
    kept = [value for value in values if value > 0]
    return (min(kept) / 1.15, max(kept) * 1.15) if kept else (0.1, 10.0)


def values_along(plot: XYPlot, axis: Literal["x", "y"]) -> list[float]:
    """All values that an axis has to reach."""
    return [
        *(value for series in plot.series for value in getattr(series, axis)),
        *(mark.at for mark in plot.marks if mark.axis == axis),
    ]


def spread(indices: int, most: int) -> list[int]:
    """At most so many indices, evenly spread, both ends among them."""
    if indices <= most:
        return list(range(indices))
    return sorted({round(k * (indices - 1) / (most - 1)) for k in range(most)})
