"""Plots drawn with characters: curves in braille dots, bars and rows in letters that the key explains.

Written here because it must take its width from rich's console and do without colour, and hold no state between plots;
the libraries for it print by themselves or keep one figure for the whole process.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from string import ascii_letters

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.text import Text

from .colours import Look, shortened
from .plots import Axis, Bar, BarsPlot, GanttPlot, Plot, Series, XYPlot, logarithmic_span, values_along

WIDEST = 110
"""Columns of a plot at most: wider ones are harder to read, not easier."""
LINES = 13
STAR = "★"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character by row and column of its dots."""


class TextPlot:
    """A plot for rich to print, as wide as the console lets it be."""

    def __init__(self, plot: Plot) -> None:
        self._plot = plot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDEST)
        if isinstance(self._plot, XYPlot):
            yield from _xy(self._plot, width)
        elif isinstance(self._plot, GanttPlot):
            yield from _gantt(self._plot, width)
        else:
            yield from _bars(self._plot, width)


class _Scale:
    """Places values of an axis among so many dots."""

    def __init__(self, axis: Axis, values: Iterable[float], dots: int) -> None:
        finite = [value for value in values if math.isfinite(value)]
        if axis.logarithmic:
            self.low, self.high = logarithmic_span(axis.span or finite)
        else:
            self.low, self.high = axis.span or (min(finite, default=0.0), max(finite, default=1.0))
            if self.low == self.high:
                self.low, self.high = self.low - 0.5, self.high + 0.5
        self._dots = dots
        self._axis = axis

    def dot(self, value: float) -> int:
        """Index of the dot; beyond the ends where the value is."""
        return round((self._linear(value) - self._linear(self.low)) / self._span * (self._dots - 1))

    def at(self, share: float) -> str:
        """Label of the value at a share of the axis."""
        value = self._linear(self.low) + share * self._span
        value = 10**value if self._axis.logarithmic else value
        if self._axis.percent:
            return f"{value:.0%}"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

    @property
    def _span(self) -> float:
        return self._linear(self.high) - self._linear(self.low)

    def _linear(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self._axis.logarithmic else value


class _Canvas:
    """Characters in a grid; the later of two that meet stays, and letters stay above dots."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self._dots: dict[tuple[int, int], int] = {}
        self._style: dict[tuple[int, int], str] = {}
        self._letters: dict[tuple[int, int], str] = {}

    def dot(self, x: int, y: int, style: str) -> None:
        """Set one dot, counted from the left and from below, two a column and four a line."""
        if 0 <= x < 2 * self.columns and 0 <= y < 4 * self.lines:
            down = 4 * self.lines - 1 - y
            cell = (down // 4, x // 2)
            self._dots[cell] = self._dots.get(cell, 0) | _DOTS[down % 4][x % 2]
            self._style[cell] = style

    def letter(self, x: int, y: int, letter: str, style: str) -> None:
        """Put a character where a dot would be."""
        cell = ((4 * self.lines - 1 - y) // 4, x // 2)
        if 0 <= cell[0] < self.lines and 0 <= cell[1] < self.columns:
            self._letters[cell] = letter
            self._style[cell] = style

    def line(self, number: int) -> Text:
        text = Text()
        for column in range(self.columns):
            cell = (number, column)
            dots = self._dots.get(cell, 0)
            text.append(self._letters.get(cell) or (chr(0x2800 + dots) if dots else " "), self._style.get(cell, ""))
        return text


def _xy(plot: XYPlot, width: int) -> Iterator[RenderableType]:
    y = _Scale(plot.y, values_along(plot, "y"), 4 * LINES)
    labels = {line: y.at(1 - line / (LINES - 1)) for line in (0, LINES // 2, LINES - 1)}
    margin = max(map(len, labels.values()))
    canvas = _Canvas(max(width - margin - 2, 10), LINES)
    x = _Scale(plot.x, values_along(plot, "x"), 2 * canvas.columns)
    for mark in plot.marks:
        if mark.axis == "x":
            column = x.dot(mark.at)
            for row in range(0, 4 * LINES, 2):
                canvas.dot(column, row, mark.colour)
            _write(canvas, column, 4 * LINES - 1, mark.label, mark.colour)
        else:
            row = y.dot(mark.at)
            for column in range(0, 2 * canvas.columns, 3):
                canvas.dot(column, row, mark.colour)
            _write(canvas, 2 * canvas.columns, row, mark.label, mark.colour)
    keys = _letters([series.name for series in plot.series if series.form != "star"])
    for series in plot.series:
        _draw(canvas, series, keys.get(series.name, STAR), x, y)
    yield Text(plot.y.title, "dim")
    for line in range(LINES):
        yield Text.assemble((f"{labels.get(line, ''):>{margin}} │", "dim"), canvas.line(line))
    yield from _foot(margin, canvas.columns, x.at(0), x.at(0.5), x.at(1), plot.x.title)
    if len(plot.series) > 1:
        yield _key({keys.get(s.name, STAR): (s.name, s.look) for s in plot.series})


def _draw(canvas: _Canvas, series: Series, letter: str, x: _Scale, y: _Scale) -> None:
    points = [(x.dot(a), y.dot(b)) for a, b in zip(series.x, series.y, strict=True)]
    style = series.look.colour
    if series.form in ("points", "star") and len(points) <= 60:
        for place in points:
            canvas.letter(*place, letter, style)
        return
    if series.form == "points":
        for place in points:
            canvas.dot(*place, style)
        return
    for (a, b), (c, d) in pairwise(points):
        corner = (c, b) if series.form == "steps" else (c, d)
        _stroke(canvas, (a, b), corner, style)
        _stroke(canvas, corner, (c, d), style)
    if points and not series.is_quiet:
        canvas.letter(*points[-1], letter, style)
        canvas.letter(*points[len(points) // 2], letter, style)


def _stroke(canvas: _Canvas, start: tuple[int, int], end: tuple[int, int], style: str) -> None:
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    for k in range(steps + 1):
        canvas.dot(
            start[0] + round((end[0] - start[0]) * k / steps), start[1] + round((end[1] - start[1]) * k / steps), style
        )


def _write(canvas: _Canvas, x: int, y: int, word: str, style: str) -> None:
    """A word beside a dot, to its left where there is no room on the right."""
    first = x // 2 + 1 if x // 2 + 1 + len(word) <= canvas.columns else x // 2 - len(word)
    for k, letter in enumerate(word):
        canvas.letter(2 * (first + k), min(y, 4 * canvas.lines - 1), letter, style)


def _gantt(plot: GanttPlot, width: int) -> Iterator[RenderableType]:
    margin = max(len(shortened(row)) for row in plot.rows)
    columns = max(width - margin - 2, 10)
    begin, end = plot.shown
    step = (end - begin) / columns or 1.0
    keys = _letters([kind for kind in plot.looks if any(bar.kind == kind for bar in plot.bars)])
    of_row: dict[int, list[Bar]] = {}
    for bar in plot.bars:
        if bar.start < end and bar.start + bar.length > begin:
            of_row.setdefault(bar.row, []).append(bar)
    for number, row in enumerate(plot.rows):
        text = Text.assemble((f"{shortened(row):>{margin}} │", "dim"))
        most = _most_of_each(of_row.get(number, ()), begin, step, columns)
        for kind in most:
            text.append(keys[kind] if kind else "·", plot.looks[kind].colour if kind else "dim")
        yield text
    yield from _foot(margin, columns, f"{begin:.4g}", f"{(begin + end) / 2:.4g}", f"{end:.4g}", plot.x.title)
    yield _key({keys[kind]: (kind, plot.looks[kind]) for kind in keys})


def _most_of_each(bars: Iterable[Bar], begin: float, step: float, columns: int) -> list[str]:
    """By column the kind that takes most of it; empty where more than half of it is idle.

    Where nothing else is to be seen, a short bar has the column that most of it lies in.
    """
    taken: list[dict[str, float]] = [{} for _ in range(columns)]
    short: dict[int, str] = {}
    for bar in bars:
        first = max(0, int((bar.start - begin) / step))
        last = min(columns - 1, int((bar.start + bar.length - begin) / step))
        shares: dict[int, float] = {}
        for column in range(first, last + 1):
            left = begin + column * step
            shares[column] = min(bar.start + bar.length, left + step) - max(bar.start, left)
            taken[column][bar.kind] = taken[column].get(bar.kind, 0.0) + shares[column]
        if bar.length < step and shares:
            short.setdefault(max(shares, key=lambda column: shares[column]), bar.kind)
    return [
        max(kinds, key=lambda kind: kinds[kind]) if sum(kinds.values()) >= step / 2 else short.get(column, "")
        for column, kinds in enumerate(taken)
    ]


def _bars(plot: BarsPlot, width: int) -> Iterator[RenderableType]:
    margin = max(len(shortened(row)) for row in plot.rows)
    columns = max(width - margin - 2, 10)
    totals = [sum(values[row] for values in plot.parts.values()) for row in range(len(plot.rows))]
    most = max([*totals, *plot.limits.values()]) or 1.0
    keys = _letters([kind for kind, values in plot.parts.items() if any(values)])
    for number, row in enumerate(plot.rows):
        cells: list[tuple[str, str]] = []
        reached = 0.0
        for kind in keys:
            reached += plot.parts[kind][number]
            length = round(reached / most * (columns - 1)) - len(cells)
            cells += [("█" if len(keys) == 1 else keys[kind], plot.looks[kind].colour)] * length
        value = f" {totals[number]:.3g}" if len(keys) == 1 and number not in plot.limits else ""
        if len(cells) + len(value) <= columns:
            cells += [(letter, "") for letter in value]
        cells += [(" ", "")] * (columns - len(cells))
        if number in plot.limits:
            cells[round(plot.limits[number] / most * (columns - 1))] = ("┃", "bold red")
        text = Text.assemble((f"{shortened(row):>{margin}} │", "dim"))
        for letter, style in cells:
            text.append(letter, style)
        yield text
    yield from _foot(margin, columns, "0", f"{most / 2:.4g}", f"{most:.4g}", plot.x.title)
    limit = {"┃": ("limit", Look("red"))} if plot.limits else {}
    if len(keys) > 1 or limit:
        yield _key({**{keys[kind]: (kind, plot.looks[kind]) for kind in keys if len(keys) > 1}, **limit})


def _letters(names: Sequence[str]) -> dict[str, str]:
    """A letter for each name; beyond 52 they repeat."""
    return {name: ascii_letters[k % len(ascii_letters)] for k, name in enumerate(dict.fromkeys(names))}


def _foot(margin: int, columns: int, low: str, middle: str, high: str, title: str) -> Iterator[Text]:
    yield Text(f"{'':>{margin}} └{'─' * columns}", "dim")
    left = columns // 2 - len(low) - len(middle) // 2
    right = columns - len(low) - left - len(middle) - len(high)
    yield Text(f"{'':>{margin + 2}}{low}{' ' * max(left, 1)}{middle}{' ' * max(right, 1)}{high}", "dim", no_wrap=True)
    yield Text(f"{'':>{margin + 2}}{title:^{columns}}".rstrip(), "dim")


def _key(entries: Mapping[str, tuple[str, Look]]) -> RenderableType:
    """Letters with what they stand for, none parted from its name."""
    texts = [
        Text.assemble((letter, f"bold {look.colour}"), f" {shortened(name)}")
        for letter, (name, look) in entries.items()
    ]
    return Padding(Columns(texts, padding=(0, 3)), (0, 0, 0, 2))
