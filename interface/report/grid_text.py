"""Grids made of characters: figures with a shade behind them, or shades alone where figures find no room."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.text import Text

from .colours import shortened
from .grid import INK, SCALE, Grid
from .plots import spread
from .text_plots import WIDEST

MOST_ROWS = 40
"""Rows that are printed; of more, those evenly spread."""
SIGNS = {"cross": "×", "clock": "?", "ring": "○", "frame": "■"}
_SHADES = "·░▒▓█"


class TextGrid:
    """A grid for rich to print, as wide as the console lets it be."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _grid(self._grid, min(options.max_width, WIDEST))


def _grid(grid: Grid, width: int) -> Iterator[RenderableType]:
    rows = spread(len(grid.rows), MOST_ROWS)
    if grid.is_map:
        rows.reverse()
    names = {row: shortened(grid.rows[row], max(8, width // 3)) for row in rows}
    margin = max(map(len, names.values()), default=0)
    room = max(width - margin - 2, 10)
    signs = {cell: (SIGNS[mark.form], mark.colour) for mark in grid.marks for cell in mark.cells}
    heads = [shortened(column, 14) for column in grid.columns]
    cells = {(r, c): _figure(grid.values[r, c]) for r in rows for c in range(len(heads))}
    widths = [2 + max([len(head), *(1 + len(cells[r, c]) for r in rows)]) for c, head in enumerate(heads)]
    fits = sum(widths) <= room
    columns = list(range(len(heads))) if fits else spread(len(heads), room)
    if not grid.heading.startswith(grid.title):
        yield Text(grid.title, "dim")
    if fits:
        head = "".join(f"{heads[c]:>{widths[c]}}" for c in columns)
        yield Text(f"{'':>{margin}}  {head}", "dim")
    for r in rows:
        line = Text.assemble((f"{names[r]:>{margin}} │", "dim"))
        for c in columns:
            sign, colour = signs.get((r, c), (" ", ""))
            share = _share(grid, r, c)
            if fits:
                shade = "" if share is None else f"{INK} on {_colour(share)}"
                line.append(f"{cells[r, c]:>{widths[c] - 1}}", shade)
                line.append(sign, f"bold {colour}" if colour else "")
            elif sign != " " and share is None:
                line.append(sign, colour)
            else:
                line.append(" " if share is None else _SHADES[min(4, int(5 * share))], colour)
        yield line
    yield from _foot(grid, margin, rows, columns, fits)


def _foot(grid: Grid, margin: int, rows: Sequence[int], columns: Sequence[int], fits: bool) -> Iterator[RenderableType]:
    said = []
    if grid.column_title:
        between = "" if fits else f" from {grid.columns[0]} to {grid.columns[-1]}"
        said.append(f"across: {grid.column_title}{between}")
    if grid.row_title:
        said.append(f"{'up' if grid.is_map else 'down'}: {grid.row_title}")
    for what, shown, there in (("rows", rows, grid.rows), ("columns", columns, grid.columns)):
        if len(shown) < len(there):
            said.append(f"{len(shown)} of {len(there):,} {what}")
    if said:
        yield Text(f"{'':>{margin + 2}}{'; '.join(said)}", "dim")
    keys = [Text.assemble((SIGNS[mark.form], f"bold {mark.colour}"), f" {mark.name}") for mark in grid.marks]
    if not fits:
        low, high = grid.ends
        keys += [Text(f"{_SHADES[0]} {_figure(low)}"), Text(f"{_SHADES[-1]} {_figure(high)}")]
    if keys:
        yield Padding(Columns(keys, padding=(0, 3)), (0, 0, 0, 2))


def _figure(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _share(grid: Grid, row: int, column: int) -> float | None:
    """Where a figure lies between palest and darkest, in [0, 1]; None where there is none."""
    value = float(grid.values[row, column])
    if not math.isfinite(value):
        return None
    low, high = grid.ends
    return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.0


def _colour(share: float) -> str:
    """Colour of the scale at a share of it."""
    for (a, pale), (b, dark) in pairwise(SCALE):
        if share <= b:
            along = (share - a) / (b - a)
            parts = [
                round(int(pale[k : k + 2], 16) * (1 - along) + int(dark[k : k + 2], 16) * along) for k in (1, 3, 5)
            ]
            return "#" + "".join(f"{part:02x}" for part in parts)
    return SCALE[-1][1]
