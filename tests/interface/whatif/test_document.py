"""The report of a sweep: the same on a page and in a terminal, over one axis, two, or more."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgeplan.formulation import Problem
from edgeplan.interface.report import write_report
from edgeplan.interface.report.document import Gallery
from edgeplan.interface.report.grid import Grid, Surface
from edgeplan.interface.report.plots import XYPlot
from edgeplan.interface.whatif import Asker, Reply, Sweep, parse_axes, sweep
from edgeplan.interface.whatif.document import sweep_document
from edgeplan.interface.whatif.metrics import METRICS, caption
from edgeplan.interface.whatif.pictures import curve_picture, sweep_grid, trade_off_picture

from ..browsing import LOOKS, looked_at, needs_browser
from ..two_forms import printed, refuse_difference

ASKER = Asker(time_limit_s=10, requests=200)
MEMORY = "memory.ram=8MiB..40MiB:5"
AXES = {
    "line": [MEMORY],
    "grid": [MEMORY, "cores=1,2"],
    "one row": [MEMORY, "cores=1"],
    "three": ["memory.ram=8MiB,64MiB", "cores=1,2", "rate.*=0.5x,1x"],
    "nothing": ["memory.ram=1MiB,2MiB"],
}


@pytest.fixture(autouse=True)
def without_the_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without plotly's own megabytes, where nobody draws them."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "/* plotly */")


@pytest.fixture(scope="module")
def swept(problem: Problem) -> dict[str, Sweep]:
    return {name: sweep(problem, parse_axes(problem, axes), asker=ASKER) for name, axes in AXES.items()}


@pytest.mark.parametrize("name", AXES)
def test_page_and_terminal_say_the_same(swept: dict[str, Sweep], name: str) -> None:
    document = sweep_document(swept[name], 'two <models> & "quotes"')
    assert document.sections[-2].heading == "Points"
    refuse_difference(document)


def test_two_axes_have_maps_and_a_surface_and_one_has_curves(swept: dict[str, Sweep]) -> None:
    headings = {name: [s.heading for s in sweep_document(done, "any").sections] for name, done in swept.items()}
    traded = "What is traded for what"
    rest = ["Points", "How it was made"]
    assert headings["line"] == ["Curves", traded, *rest]
    assert headings["grid"] == ["Maps", "Surface", traded, *rest]
    assert headings["one row"] == ["Maps", traded, *rest]
    assert headings["three"] == ["Maps", traded, *rest]
    assert headings["nothing"] == rest


@pytest.mark.parametrize("name", ["line", "grid", "three"])
@pytest.mark.parametrize("width", [60, 100])
def test_a_terminal_of_any_width_is_enough(swept: dict[str, Sweep], name: str, width: int) -> None:
    text = printed(sweep_document(swept[name], "any"), width)
    assert max(map(len, text.splitlines())) <= width


def test_maps_hold_every_point_and_mark_what_has_no_plan(swept: dict[str, Sweep]) -> None:
    done = swept["grid"]
    grid = sweep_grid(done, (), METRICS[0])
    across, up = done.axes
    for point in done.points:
        cell = up.settings.index(point.settings[1]), across.settings.index(point.settings[0])
        figure = float(grid.values[cell])
        assert math.isnan(figure) == (point.reply.plan is None)
        marked = {mark.name for mark in grid.marks if cell in mark.cells}
        assert ("no plan" in marked) == (point.reply.status == "infeasible")
        if point.reply.objective_us is not None:
            assert figure == pytest.approx(point.reply.objective_us / 1e3)
    (surface,) = (b for s in sweep_document(done, "any").sections for b in s.blocks if isinstance(b, Surface))
    assert np.array_equal(surface.values, grid.values, equal_nan=True)


def test_a_map_for_each_setting_of_the_third_axis(swept: dict[str, Sweep]) -> None:
    (maps,) = (s.blocks[0] for s in sweep_document(swept["three"], "any").sections if s.heading == "Maps")
    assert isinstance(maps, Gallery)
    headings = [picture.heading for picture in maps.pictures if isinstance(picture, Grid)]
    assert len(headings) == len(set(headings)) == len(maps.pictures)
    assert any("rate.* 0.5×" in heading for heading in headings)
    assert any("rate.* 1×" in heading for heading in headings)


def test_no_line_leads_through_a_point_without_a_plan(swept: dict[str, Sweep]) -> None:
    done = swept["line"]
    whole = curve_picture(done, METRICS[0]).plot
    assert isinstance(whole, XYPlot)
    assert next(one for one in whole.series if one.name == "best plan found").form == "line"
    points = list(done.points)
    middle = points[-2]
    points[-2] = replace(middle, reply=Reply("infeasible"), memory_bytes={})
    holed = curve_picture(replace(done, points=tuple(points)), METRICS[0]).plot
    assert isinstance(holed, XYPlot)
    assert next(one for one in holed.series if one.name == "best plan found").form == "points"
    (missing,) = (one for one in holed.series if one.name == "no plan")
    assert middle.settings[0].number in missing.x


def test_a_gap_is_only_said_to_be_the_largest_where_all_are_known(swept: dict[str, Sweep]) -> None:
    planned = [point for point in swept["line"].points if point.reply.objective_us is not None]
    assert len(planned) > 1
    objective = planned[0].reply.objective_us
    assert objective is not None
    half = replace(planned[0], reply=replace(planned[0].reply, status="feasible", bound_us=objective / 2))
    open_ = replace(planned[1], reply=replace(planned[1].reply, status="feasible", bound_us=None))
    assert "by 50.0 % at most" in caption([half], METRICS[0])
    assert "at most" not in caption([half, open_], METRICS[0])


@pytest.mark.parametrize("name", ["line", "grid", "three"])
def test_the_staircase_is_beaten_by_no_point(swept: dict[str, Sweep], name: str) -> None:
    picture = trade_off_picture(swept[name])
    assert picture is not None
    assert isinstance(picture.plot, XYPlot)
    points = [(x, y) for one in picture.plot.series if one.form == "points" for x, y in zip(one.x, one.y, strict=True)]
    assert len(points) == sum(point.reply.plan is not None for point in swept[name].points)
    best = {(a, b) for a, b in points if not any(x <= a and y <= b and (x, y) != (a, b) for x, y in points)}
    stairs = [one for one in picture.plot.series if one.form == "steps"]
    assert len(stairs) == (len(best) > 1)
    for one in stairs:
        assert set(zip(one.x, one.y, strict=True)) == best
    assert f"{len(best)} of which" in picture.caption


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("name", ["line", "grid", "three"])
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_picture_of_the_page_is_drawn(
    swept: dict[str, Sweep], tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    pytest.importorskip("playwright", reason="a browser is driven through playwright")
    seen = looked_at(write_report(sweep_document(swept[name], "any"), tmp_path / "sweep.html"), width, scheme)
    assert seen.pictures > 2
    assert (seen.undrawn, seen.overflowing, seen.asked, seen.errors) == ([], [], [], [])


def test_models_and_all_of_them_look_different(swept: dict[str, Sweep]) -> None:
    plot = curve_picture(swept["line"], METRICS[1]).plot
    assert isinstance(plot, XYPlot)
    assert {one.name for one in plot.series} >= {"small", "large", "all models"}
    assert len({(one.look.colour, one.look.dash) for one in plot.series}) == len(plot.series)
