"""Grids stand in the same cells on a page and in a terminal, and marks where they belong."""

import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from edgeplan.interface.report.grid import Grid, GridMark, Surface
from edgeplan.interface.report.grid_page import draw_grid, draw_surface, grid_key
from edgeplan.interface.report.grid_text import MOST_ROWS, SIGNS, TextGrid
from edgeplan.interface.report.plots import Axis
from rich.console import Console

CROSS = GridMark("no plan", "cross", "#d64545", ((0, 1),))


def grid(rows: int, columns: int, **changes: Any) -> Grid:
    values = 100.0 + np.arange(rows * columns, dtype=np.float64).reshape(rows, columns)
    names = tuple(f"r{k}" for k in range(rows)), tuple(f"c{k}" for k in range(columns))
    return Grid("figure (ms)", names[1], names[0], values, "What there is to see.", **changes)


def drawn(shown: Grid, width: int = 80) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(TextGrid(shown))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return lines


def test_figures_stand_in_their_row_and_column() -> None:
    shown = grid(3, 4)
    title, head, *lines = drawn(shown)
    assert title == shown.title
    assert head.split() == list(shown.columns)
    for k, line in enumerate(lines):
        name, figures = line.split("│")
        assert name.strip() == shown.rows[k]
        assert [float(figure) for figure in figures.split()] == shown.values[k].tolist()
    places = [head.index(column) for column in shown.columns]
    assert all(abs(lines[0].index(f"{100 + k:.0f}") - place) <= 3 for k, place in enumerate(places))


def test_a_map_grows_upwards_and_a_list_downwards() -> None:
    first = [line.split("│")[0].strip() for line in drawn(grid(3, 2)) if "│" in line]
    assert first == ["r0", "r1", "r2"]
    first = [line.split("│")[0].strip() for line in drawn(grid(3, 2, is_map=True)) if "│" in line]
    assert first == ["r2", "r1", "r0"]
    assert list(draw_grid(grid(3, 2)).layout.yaxis.range) == [2.5, -0.5]
    assert list(draw_grid(grid(3, 2, is_map=True)).layout.yaxis.range) == [-0.5, 2.5]


def test_what_is_missing_is_blank_and_marked() -> None:
    shown = grid(2, 3, marks=(CROSS,))
    shown.values[0, 1] = np.nan
    first, second = (line.split("│")[1] for line in drawn(shown) if "│" in line)
    assert first.split() == ["100", SIGNS["cross"], "102"]
    assert SIGNS["cross"] not in second
    assert "no plan" in drawn(shown)[-1]
    figure = draw_grid(shown)
    assert figure.data[0].z[0][1] is None
    (crosses,) = figure.data[1:]
    assert (list(crosses.x), list(crosses.y)) == ([1], [0])
    assert "no plan" in grid_key(shown)


def test_many_columns_become_shades_and_many_rows_are_spread() -> None:
    shown = grid(100, 60)
    lines = drawn(shown, 80)
    rows = [line.split("│")[1] for line in lines if "│" in line]
    assert len(rows) == MOST_ROWS
    assert {len(row) for row in rows} == {60}
    order = " ·░▒▓█"
    shades = [order.index(row[0]) for row in rows]
    assert all(later >= earlier for earlier, later in pairwise(shades))
    assert (shades[0], shades[-1]) == (1, 5)
    assert f"{MOST_ROWS} of 100 rows" in "\n".join(lines)


def test_nothing_but_gaps_can_be_drawn() -> None:
    shown = grid(2, 2)
    shown.values[:] = np.nan
    assert drawn(shown)
    assert shown.ends == (0.0, 1.0)
    draw_grid(shown)


def test_frames_cover_their_cells_and_no_others() -> None:
    cells = ((0, 0), (1, 0), (2, 1), (4, 0), (3, 1))
    figure = draw_grid(grid(5, 2, marks=(GridMark("taken", "frame", "#e08e0b", cells),)))
    covered = {
        (row, int(shape.x0 + 0.5))
        for shape in figure.layout.shapes
        for row in range(int(shape.y0 + 0.5), int(shape.y1 + 0.5))
    }
    assert covered == set(cells)
    assert len(figure.layout.shapes) == 3


def test_names_from_outside_are_no_markup() -> None:
    odd = "<b>bold</b>"
    shown = Grid(odd, (odd,), (odd,), np.ones((1, 1)), "caption", column_title=odd, row_title=odd, details=((odd,),))
    assert "<b>" not in draw_grid(shown).to_json().replace("\\u003c", "<").replace("<br>", "")


@pytest.mark.parametrize("rows", [2, 9])
def test_a_surface_is_cut_where_its_figures_are(rows: int) -> None:
    values = np.arange(rows * 3, dtype=np.float64).reshape(rows, 3)
    values[0, 0] = np.nan
    labels = tuple(f"{k} Hz" for k in range(rows))
    axes = Axis("memory (MiB)"), Axis("rate (Hz)"), Axis("objective (ms)")
    surface = Surface(*axes, (1.0, 2.0, 4.0), tuple(map(float, range(rows))), labels, values, "caption")
    for line in surface.sections().series:
        row = labels.index(line.name.removeprefix("rate (Hz): "))
        known = np.isfinite(values[row])
        assert list(line.y) == values[row][known].tolist()
        assert list(line.x) == np.array(surface.x_values)[known].tolist()
    assert draw_surface(surface).data[0].z[0][0] is None
