"""A fleet's report: the same on a page and in a terminal, small or large, with and without plans."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from edgeplan.interface.exits import ExitCode
from edgeplan.interface.fleet.clusters import WorkloadClusters, cluster
from edgeplan.interface.fleet.document import curve_picture, fleet_document, jobs_picture, loss_grid
from edgeplan.interface.fleet.engine import InProcess
from edgeplan.interface.fleet.jobs import load_fleet
from edgeplan.interface.fleet.run import FleetRun, run_fleet
from edgeplan.interface.fleet.store import Store
from edgeplan.interface.report import write_report
from edgeplan.interface.report.plots import BarsPlot, XYPlot
from edgeplan.profiles import Profile

from ..browsing import LOOKS, looked_at, needs_browser
from ..test_cli import edgeplan
from ..two_forms import printed, refuse_difference
from .test_command import SPEC, STREAMS

Planned = tuple[FleetRun, tuple[WorkloadClusters, ...]]
HEADINGS = ["Plans", "Loss by number of plans", "Who shares a plan", "Assignment", "Jobs", "Provenance"]


@pytest.fixture(autouse=True)
def without_the_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without plotly's own megabytes, where nobody draws them."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "/* plotly */")


def planned(folder: Path, profile: Profile, limits: dict[str, Any], **changes: Any) -> Planned:
    profile.save(folder / "profile.json")
    path = folder / "fleet.yaml"
    path.write_text(yaml.safe_dump(SPEC | changes))
    fleet = load_fleet(path)
    run = run_fleet(fleet, Store(folder / "out"), InProcess(), lambda done, total, label: None)
    asked = {"most_plans": None, "max_loss": None, **limits}
    return run, cluster(fleet, run.results, InProcess(), **asked, time_limit_s=5)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, profile: Profile) -> Planned:
    return planned(tmp_path_factory.mktemp("few"), profile, {"max_loss": 0.02})


def test_page_and_terminal_say_the_same(few: Planned) -> None:
    document = fleet_document(*few, "in process, 1 at a time")
    assert [section.heading for section in document.sections] == HEADINGS
    refuse_difference(document)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_of_any_width_is_enough(few: Planned, width: int) -> None:
    text = printed(fleet_document(*few, "in process"), width)
    assert max(map(len, text.splitlines())) <= width


def test_without_any_plan_there_are_jobs_and_provenance(tmp_path: Path, profile: Profile) -> None:
    hopeless = {"name": "<hopeless>", "models": [{"name": "small"}], "streams": [STREAMS[0] | {"deadline_us": 500}]}
    run, found = planned(tmp_path, profile, {"max_loss": 0.02}, workloads=[hopeless], exclude=[])
    assert found == ()
    document = fleet_document(run, found, "in process")
    assert [section.heading for section in document.sections] == ["Jobs", "Provenance"]
    refuse_difference(document)


def test_pictures_show_what_was_found(few: Planned) -> None:
    run, found = few
    bars = jobs_picture(run).plot
    assert isinstance(bars, BarsPlot)
    assert sum(sum(values) for values in bars.parts.values()) == len(run.fleet.jobs)
    drawn = 0
    for clusters in found:
        grid, curve = loss_grid(clusters), curve_picture(clusters)
        if grid is None or curve is None:
            assert len(clusters.candidates) == 1
            continue
        drawn += 1
        (frame, *_) = grid.marks
        # Each row is framed once, at the loss that it is said to have.
        assert sorted(row for row, _ in frame.cells) == list(range(len(clusters.rows)))
        framed = sorted(float(grid.values[cell]) for cell in frame.cells)
        assert framed == pytest.approx(sorted(100 * clusters.loss_of(i) for i in range(len(clusters.rows))))
        assert isinstance(curve.plot, XYPlot)
        worst, mean = curve.plot.series
        steps = [step for step in clusters.curve if step.mean_loss is not None]
        assert list(mean.y) == pytest.approx([100 * (step.mean_loss or 0.0) for step in steps])
        assert np.all(np.array(worst.y) >= np.array(mean.y))
    assert drawn


def test_the_whole_report_is_printed_on_request(few: Planned, tmp_path: Path, profile: Profile) -> None:
    profile.save(tmp_path / "profile.json")
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(SPEC | {"devices": SPEC["devices"][:1], "exclude": []}))
    asked = ["fleet", tmp_path / "fleet.yaml", "-o", tmp_path / "out", "--workers", 1]
    tables, whole = edgeplan(*asked), edgeplan(*asked, "--terminal")
    assert tables.exit_code == whole.exit_code == ExitCode.DONE, tables.output + whole.output
    assert "Provenance" not in tables.stdout
    assert "Provenance" in whole.stdout


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_picture_of_the_page_is_drawn(few: Planned, tmp_path: Path, width: int, scheme: str) -> None:
    pytest.importorskip("playwright", reason="a browser is driven through playwright")
    seen = looked_at(write_report(fleet_document(*few, "any"), tmp_path / "report.html"), width, scheme)
    assert seen.pictures > 2
    assert (seen.undrawn, seen.overflowing, seen.asked, seen.errors) == ([], [], [], [])
