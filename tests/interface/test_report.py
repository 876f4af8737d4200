"""The report is one file that shows what it was given and asks the network for nothing."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from edgeplan.formulation import Plan, Problem, evaluate
from edgeplan.interface.report import Contents, Front, FrontSeries, ScoredPlan, render, write_report
from edgeplan.interface.run_record import RunRecord, RunRecordError
from edgeplan.interface.summaries import comparison_table
from edgeplan.interface.table import Cell

HEADINGS = [
    "Outcome",
    "Responses",
    "Core timeline",
    "Drift and re-planning",
    "Predicted against observed",
    "Plan",
    "Memory",
    "Fronts",
    "Provenance",
]


@pytest.fixture
def contents(problem: Problem, plan: Plan, run_record: RunRecord) -> Contents:
    exact = FrontSeries("dp", ((8000.0, 64e6), (9000.0, 50e6), (12000.0, 31e6)), is_exact=True)
    heuristic = FrontSeries("nsga2", ((8100.0, 64e6), (9900.0, 48e6), (12500.0, 33e6)))
    return Contents(
        title="Two <models> & one device",
        created="2026-01-01 12:00",
        planned=ScoredPlan(problem, plan, evaluate(problem, plan)),
        fronts=(Front("small", (exact, heuristic), (9400.0, 52e6)), Front("large", (exact,))),
        run=run_record,
        provenance={"processor": "some </script> processor", "seed": "7"},
    )


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def test_report_has_its_sections_and_no_outside_links(contents: Contents, tmp_path: Path) -> None:
    path = write_report(contents, tmp_path / "report.html")
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    assert reader.headings == HEADINGS
    assert all(link.startswith("#") for link in reader.links)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_text_from_outside_is_escaped(contents: Contents) -> None:
    page = render(contents)
    assert "<models>" not in page
    assert "Two &lt;models&gt; &amp; one device" in page
    assert "some &lt;/script&gt; processor" in page
    assert len(re.findall("</script>", page)) == len(re.findall("<script", page))


def test_empty_parts_leave_no_section() -> None:
    reader = _Reader()
    reader.feed(render(Contents("nothing yet", "2026-01-01")))
    assert reader.headings == []


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
