"""Figures over two axes, as data: cells whose colour says how large they are, and a surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .colours import DASHES, MODEL_COLOURS, Look
from .plots import Axis, Series, XYPlot, spread

MarkForm = Literal["cross", "clock", "ring", "frame"]

SCALE = ((0.0, "#d9efe3"), (0.5, "#8fc1d9"), (1.0, "#3b82c4"))
"""Colours of cells: they darken evenly and leave dark letters legible at both ends."""
INK = "#1d2126"
MOST_SECTIONS = 6
"""Lines that a surface is told by where nothing can be drawn in depth."""


@dataclass(frozen=True)
class GridMark:
    """Cells that stand out: what they have in common, how they are marked, and where they are, by row and column."""

    name: str
    form: MarkForm
    colour: str
    cells: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Grid:
    """Figures in rows and columns.

    Attributes
    ----------
    title : str
        What the figures are, with their unit.
    columns, rows : tuple of str
    values : ndarray, shape (rows, columns)
        NaN where there is none.
    caption : str
        What there is to see, in words.
    heading : str
        Where several stand together.
    column_title, row_title : str
        What columns and rows differ by; empty where their names say it.
    details : tuple of tuple of str
        What a pointer shows of each cell beside its figure; empty for nothing.
    marks : tuple of GridMark
    span : (float, float), optional
        Figures of the palest and of the darkest colour; by default the least and the largest.
    is_map : bool
        Rows are places on an axis that grows upwards, and contours join what is equal; else a list from the top.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: NDArray[np.float64]
    caption: str
    heading: str = ""
    column_title: str = ""
    row_title: str = ""
    details: tuple[tuple[str, ...], ...] = ()
    marks: tuple[GridMark, ...] = ()
    span: tuple[float, float] | None = None
    is_map: bool = False

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Figures of the palest and of the darkest colour."""
        if self.span is not None:
            return self.span
        known = self.values[np.isfinite(self.values)]
        return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Surface:
    """One figure over two axes, in depth where that can be drawn, elsewhere as the lines that cut through it.

    Attributes
    ----------
    x, y, z : Axis
    x_values, y_values : tuple of float
        Ascending.
    y_labels : tuple of str
        Of the places on the second axis.
    values : ndarray, shape (y_values, x_values)
        NaN where there is none.
    caption, heading : str
    """

    x: Axis
    y: Axis
    z: Axis
    x_values: tuple[float, ...]
    y_values: tuple[float, ...]
    y_labels: tuple[str, ...]
    values: NDArray[np.float64]
    caption: str
    heading: str = ""

    def sections(self) -> XYPlot:
        """Lines over the first axis, one for each place on the second; of many those evenly spread."""
        kept = spread(len(self.y_values), MOST_SECTIONS)
        series = []
        for k, row in enumerate(kept):
            known = np.flatnonzero(np.isfinite(self.values[row]))
            n = len(MODEL_COLOURS)
            look = Look(MODEL_COLOURS[k % n], DASHES[k // n % len(DASHES)])
            along = [self.x_values[int(i)] for i in known]
            name = f"{self.y.title}: {self.y_labels[row]}"
            series.append(Series(name, along, self.values[row, known].tolist(), look))
        return XYPlot(self.x, self.z, tuple(series))
