"""What a report says at its edges: few requests, runs that never end, fifty models, headings of any kind."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import numpy as np
import pytest
from edgeplan.interface.cli import app
from edgeplan.interface.report import Document, Sensitivity, render
from edgeplan.interface.report.colours import model_looks
from edgeplan.interface.report.document import Remark, Section
from edgeplan.interface.report.forecast import KEPT_BARS, LEAST_BEYOND, ModelForecast
from edgeplan.interface.report.plotly_plots import draw, key_html
from edgeplan.interface.report.plots import Axis, Bar, BarsPlot, GanttPlot, Series, XYPlot
from edgeplan.interface.report.responses import forecast_picture
from edgeplan.interface.report.sensitivity import sensitivity_picture
from edgeplan.interface.report.timeline import timeline_picture
from edgeplan.interface.run_record import Request, SegmentRun, Setup
from edgeplan.interface.table import Table
from typer.testing import CliRunner

if TYPE_CHECKING:
    from .conftest import Files


@pytest.mark.parametrize("requests", [1, 2 * LEAST_BEYOND - 1, 2 * LEAST_BEYOND, 400])
@pytest.mark.parametrize("deadline_us", [5_000.0, np.inf])
def test_captions_are_sentences_however_few_requests_there_are(requests: int, deadline_us: float) -> None:
    model = ModelForecast((np.linspace(1_000.0, 9_000.0, requests),), deadline_us)
    caption = forecast_picture("rare", model, model_looks(["rare"])["rare"]).caption
    assert caption.endswith(".")
    assert all(re.match(r"\w", sentence) for sentence in re.split(r"(?<=\D)\. ", caption)), caption
    assert ("p50" in caption) == (requests >= 2 * LEAST_BEYOND)
    assert ("Deadline" in caption) == np.isfinite(deadline_us)


def served(runs: list[tuple[float, float]]) -> Setup:
    """A set-up that ran one segment a request, from start to end in microseconds, on one core."""
    requests = tuple(
        Request(model="m", arrival_us=start, response_us=end - start, segments=(SegmentRun(0, (0,), start, end),))
        for start, end in runs
    )
    return Setup(name="the plan", duration_s=60.0, requests=requests)


@pytest.mark.parametrize("number", [1, 20, KEPT_BARS, KEPT_BARS + 1, 4 * KEPT_BARS])
def test_a_timeline_has_all_runs_of_its_window_and_no_more_than_it_says(number: int) -> None:
    # The first request hangs for as long as the run lasts.
    runs = [(0.0, 60e6), *((1000.0 * k, 1000.0 * k + 500.0) for k in range(1, number))]
    picture = timeline_picture(served(runs), ("m",))
    assert picture is not None
    assert isinstance(picture.plot, GanttPlot)
    starts = sorted(bar.start for bar in picture.plot.bars)
    assert len(starts) == min(number, KEPT_BARS)
    assert starts == sorted(start / 1e6 for start, _ in runs)[: len(starts)]
    assert picture.plot.shown[1] > picture.plot.shown[0]


def test_fifty_models_look_different_and_their_key_can_be_drawn() -> None:
    looks = model_looks([f"model {k}" for k in range(50)])
    assert len({(look.colour, look.pattern) for look in looks.values()}) == len(looks)
    bars = tuple(Bar(0, float(k), 1.0, name, name) for k, name in enumerate(looks))
    schedule = GanttPlot(Axis("time (ms)"), ("core 0",), bars, looks, (0.0, 50.0))
    curves = XYPlot(Axis("x"), Axis("y"), tuple(Series(name, [0, 1], [0, 1], look) for name, look in looks.items()))
    for plot in (schedule, curves):
        drawn = draw(plot)
        assert len(drawn.to_dict()["data"]) == len(looks)
        assert key_html(plot).count("<li>") == len(looks)


def test_a_heading_of_any_kind_has_an_anchor_that_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "/* plotly */")
    headings = ['"quoted" <device> & more', "Gerät 1", "Front of  camera/v1.2"]
    sections = tuple(Section(heading, (Remark("something"),)) for heading in headings)
    page = render(Document("title", "today", "0", (), sections))
    ids = re.findall(r'<section id="([^"]*)" aria', page)
    assert ids == ["quoted-device-more", "gerät-1", "front-of-camera-v1-2"]
    assert re.findall(r'<a href="#([^"]*)">', page) == ids


def test_the_command_in_a_report_makes_the_same_report(files: Files) -> None:
    asked = ["--no-fronts", "--requests", "300", "--time-limit", "1.5", "--sensitivity"]
    arguments = ["report", str(files.scenario()), "--plan", str(files.plan)]

    def made(*options: str) -> tuple[list[str], str]:
        result = CliRunner().invoke(app, [*arguments, *options, "--format", "json"])
        assert result.exit_code == 0, result.output
        sections = json.loads(result.stdout)["report"]["sections"]
        return [section["heading"] for section in sections], sections[-1]["blocks"][0]["facts"]["report made by"]

    headings, command = made(*asked)
    assert "Fronts" not in headings
    again = shlex.split(command)
    assert again[1:5] == arguments
    assert made(*again[5:]) == (headings, command)
    assert "--time-limit 1.5" in command
    fast = shlex.split(made("--no-fronts", "--requests", "0")[1])
    assert "--time-limit" not in fast, "it bounds nothing where nothing is solved"


def test_steps_that_are_not_drawn_are_told_by_what_they_do() -> None:
    steps = (("memory → 9 MiB", 2.0), ("rate → 3 Hz", -1e-12), ("deadline → 5 ms", -19.0), ("cores → 3", 4.0))
    picture = sensitivity_picture(Sensitivity(Table("Prices", ("limit",), ()), steps))
    assert picture is not None
    assert isinstance(picture.plot, BarsPlot)
    assert picture.plot.rows == ("cores → 3", "memory → 9 MiB")
    assert "1 step by which nothing is gained, 1 step by which something is lost" in picture.caption
    assert sensitivity_picture(Sensitivity(Table("Prices", ("limit",), ()), steps[1:3])) is None
