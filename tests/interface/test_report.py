"""A report says the same on a page and in a terminal, shows what it was given, and asks the network for nothing."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from edgeplan.formulation import Plan, Problem, evaluate
from edgeplan.interface.cli import app
from edgeplan.interface.identity import plan_digest
from edgeplan.interface.report import (
    Contents,
    Front,
    FrontSeries,
    ScoredPlan,
    Sensitivity,
    document_data,
    document_of,
    render,
    write_report,
)
from edgeplan.interface.report.forecast import forecast, schedule
from edgeplan.interface.report.responses import MAX_SCATTERED
from edgeplan.interface.report.text_plots import WIDEST
from edgeplan.interface.run_record import RunRecord, RunRecordError
from edgeplan.interface.summaries import comparison_table, core_ranges
from edgeplan.interface.table import Cell, Table
from typer.testing import CliRunner

from . import report_cases as cases
from .two_forms import Page, printed, refuse_difference, sections_of, told

if TYPE_CHECKING:
    from .conftest import Files

HEADINGS = [
    "Outcome",
    "Responses",
    "Core timeline",
    "Drift and re-planning",
    "Predicted against observed",
    "Plan",
    "Schedule",
    "Predicted responses",
    "Memory",
    "Fronts",
    "Sensitivity",
    "Provenance",
]


@pytest.fixture(autouse=True)
def without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without plotly's own megabytes, which take long to read and say nothing of the report."""
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "/* plotly */")


@pytest.fixture
def contents(problem: Problem, plan: Plan, run_record: RunRecord) -> Contents:
    exact = FrontSeries("dp", ((8000.0, 64e6), (9000.0, 50e6), (12000.0, 31e6)), is_exact=True)
    heuristic = FrontSeries("nsga2", ((8100.0, 64e6), (9900.0, 48e6), (12500.0, 33e6)))
    evaluation = evaluate(problem, plan)
    prices = Table("What each limit costs", ("limit", ">gain ms"), (("memory.ram", "1.25"), ("cores.cpu", "0.00")))
    return Contents(
        title="Two <models> & one device",
        created="2026-01-01 12:00",
        planned=ScoredPlan(problem, plan, evaluation),
        fronts=(Front("small", (exact, heuristic), (9400.0, 52e6)), Front("large", (exact,))),
        run=run_record,
        forecast=forecast(problem, plan, 1000),
        schedule=schedule(problem, plan, evaluation),
        sensitivity=Sensitivity(prices, (("memory.ram + 10 %", 1.25), ("cores.cpu + 1", 0.0))),
        provenance={"processor": "some </script> processor", "seed": "7"},
    )


def test_page_and_terminal_have_the_same_sections_and_figures(contents: Contents) -> None:
    assert [section.heading for section in document_of(contents).sections] == HEADINGS
    refuse_difference(document_of(contents))


def test_a_plan_alone_makes_a_rich_report(contents: Contents) -> None:
    alone = replace(contents, run=None)
    headings = [section.heading for section in document_of(alone).sections]
    assert headings == HEADINGS[HEADINGS.index("Plan") :]
    refuse_difference(document_of(alone))


@pytest.mark.parametrize(
    "edge",
    [
        lambda: cases.contents(wide := cases.problem([f"model {k}" for k in range(12)], 16), cases.plan(wide)),
        lambda: cases.contents(one := cases.problem([cases.LONG_NAME], 1, streams=False), cases.plan(one)),
        lambda: cases.contents(busy := cases.problem(["a", "b"], 1, 400.0), cases.plan(busy)),
        lambda: cases.contents(two := cases.problem(["a", "b"], 2), cases.broken(cases.plan(two))),
    ],
    ids=["twelve models on sixteen cores", "one long name without a stream", "overload", "broken segments"],
)
def test_both_forms_agree_at_the_edges(edge) -> None:
    refuse_difference(document_of(edge()))


def test_what_keeps_no_limit_says_so() -> None:
    busy = cases.problem(["a", "b"], 1, 400.0)
    section = next(s for s in document_of(cases.contents(busy, cases.plan(busy))).sections if s.heading == "Plan")
    assert "asked for" in " ".join(told(section.blocks))
    two = cases.problem(["a", "b"], 2)
    (only, *_) = document_of(cases.contents(two, cases.broken(cases.plan(two)))).sections
    assert only.heading == "Plan"
    assert "coverage" in " ".join(told(only.blocks))


def test_the_same_as_plain_data(contents: Contents) -> None:
    document = document_of(contents)
    data = json.loads(json.dumps(document_data(document), allow_nan=False))
    assert [section["heading"] for section in data["sections"]] == HEADINGS
    said = json.dumps(data, ensure_ascii=False)
    for section in document.sections:
        for part in told(section.blocks):
            assert json.dumps(part, ensure_ascii=False)[1:-1] in said


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_terminal_of_any_width_is_enough(contents: Contents, width: int) -> None:
    text = printed(document_of(contents), width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    drawn = [line for line in text.splitlines() if "│" in line]
    assert drawn
    assert max(map(len, drawn)) <= WIDEST


def test_a_page_asks_for_nothing_and_is_written_whole(contents: Contents, tmp_path: Path) -> None:
    path = write_report(contents, tmp_path / "report.html")
    page = Page(path.read_text(encoding="utf-8"))
    assert all(link.startswith("#") for link in page.asked)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_text_from_outside_is_escaped(contents: Contents) -> None:
    page = render(contents)
    assert "<models>" not in page
    assert "Two &lt;models&gt; &amp; one device" in page
    assert "some &lt;/script&gt; processor" in page
    assert len(re.findall("</script>", page)) == len(re.findall("<script", page))


def test_empty_parts_leave_no_section() -> None:
    nothing = Contents("nothing yet", "2026-01-01")
    assert Page(render(nothing)).headings == []
    assert "nothing yet" in printed(document_of(nothing))


def test_huge_runs_are_thinned_and_say_so(contents: Contents, run_record: RunRecord) -> None:
    drifting = run_record.setups[-1]
    many = drifting.model_copy(update={"requests": drifting.requests * 60})
    small = len(render(contents))
    huge = replace(contents, run=run_record.model_copy(update={"setups": (*run_record.setups[:-1], many)}))
    assert len(many.requests) > 5 * MAX_SCATTERED
    assert len(render(huge)) - small < 1_000_000
    said = re.search(rf"Drawn: ([0-9,]+) of {len(many.requests):,} requests", printed(document_of(huge)))
    assert said
    assert 0.9 * MAX_SCATTERED < int(said[1].replace(",", "")) <= MAX_SCATTERED


@pytest.mark.parametrize(
    ("cores", "text"),
    [((0,), "0"), ((1, 0), "0, 1"), ((0, 1, 2, 3, 6, 7), "0–3, 6, 7"), ((5, 9, 10, 11), "5, 9–11"), ((), "")],
)
def test_cores_in_a_row_are_a_range(cores: tuple[int, ...], text: str) -> None:
    assert core_ranges(cores) == text


def test_run_record_survives_the_file_and_refuses_a_truncated_one(run_record: RunRecord, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    run_record.save(path)
    assert RunRecord.load(path) == run_record
    path.write_text(path.read_text()[:200])
    with pytest.raises(RunRecordError, match="edgeplan run"):
        RunRecord.load(path)


def test_comparison_marks_the_best_of_each_column_only(run_record: RunRecord) -> None:
    table = comparison_table(run_record)
    p99 = next(i for i, column in enumerate(table.columns) if "p99" in column)
    for group in range(3):
        rows = table.rows[3 * group : 3 * group + 3]
        marked = [row[1] for row in rows if isinstance(row[p99], Cell)]
        assert marked == ["the plan"]


def test_a_failed_request_counts_as_missed(run_record: RunRecord) -> None:
    setup = run_record.setups[2]
    failed = setup.requests[0].model_copy(update={"response_us": None, "error": "segment 0: broke"})
    worse = setup.model_copy(update={"requests": (failed, *setup.requests[1:])})
    assert worse.miss_ratio() == pytest.approx(setup.miss_ratio() + 1 / len(setup.requests))
    assert worse.throughput_hz() < setup.throughput_hz()


def test_the_command_prints_the_report_where_it_writes_none(files: "Files") -> None:
    arguments = ["report", str(files.scenario()), "--plan", str(files.plan), "--requests", "500"]
    shown = CliRunner().invoke(app, [*arguments, "--run", str(files.run)])
    assert shown.exit_code == 0, shown.output
    data = json.loads(CliRunner().invoke(app, [*arguments, "--format", "json"]).stdout)
    assert data["output"] is None
    headings = [section["heading"] for section in data["report"]["sections"]]
    assert headings == ["Plan", "Schedule", "Predicted responses", "Memory", "Fronts", "Profile", "Provenance"]
    sections_of(shown.stdout, ["Outcome", "Responses", *headings])
    facts = data["report"]["sections"][-1]["blocks"][0]["facts"]
    assert facts["plan digest"].endswith(plan_digest(Plan.load(files.plan)))
    assert shlex.split(facts["report made by"])[1:3] == arguments[:2]


def test_what_is_written_is_printed_on_request_only(files: "Files") -> None:
    target = files.folder / "r.html"
    arguments = ["report", str(files.scenario()), "--plan", str(files.plan), "--requests", "0", "-o", str(target)]
    silent, both = (CliRunner().invoke(app, [*arguments, *more]) for more in ([], ["--terminal"]))
    assert "Provenance" not in silent.stdout
    assert "Provenance" in both.stdout
    assert "Report written to" in both.stdout
    assert "Predicted responses" not in both.stdout
    assert target.exists()


def test_sensitivity_is_solved_for_on_request(files: "Files") -> None:
    arguments = ["report", str(files.scenario()), "--plan", str(files.plan), "--requests", "0", "--no-fronts"]
    said = CliRunner().invoke(app, [*arguments, "--sensitivity", "--time-limit", "2", "--format", "json"])
    assert said.exit_code == 0, said.output
    sections = json.loads(said.stdout)["report"]["sections"]
    (section,) = (section for section in sections if section["heading"] == "Sensitivity")
    priced = [row[0] for block in section["blocks"] for row in block.get("rows", ())]
    assert {"memory.ram", "cores.cpu", "deadline.small", "rate.large"} <= set(priced)
