"""Figures, tables and JSON as they are printed."""

import json
import math

import numpy as np
import pytest
from edgeplan.formulation import PlanError
from edgeplan.interface.output import Format, Output
from edgeplan.interface.table import Cell, Table
from edgeplan.interface.units import jsonable, mebibytes, milliseconds, percent


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0.0, "0"),
        (1.0, "0.001"),
        (8234.0, "8.23"),
        (82_340.0, "82.3"),
        (823_400.0, "823"),
        (12_345_678.0, "12,346"),
        (math.nan, "–"),
        (math.inf, "∞"),
    ],
)
def test_milliseconds(us: float, text: str) -> None:
    assert milliseconds(us) == text


def test_sizes_and_shares() -> None:
    assert mebibytes(1.5 * 2**20) == "1.5"
    assert mebibytes(None) == mebibytes(math.inf) == "–"
    assert percent(0.1234) == "12.3 %"


def test_json_has_no_names_for_what_is_not_finite() -> None:
    data = jsonable({"a": math.inf, "b": [np.float64("nan"), np.int64(3)], 4: np.array([1.0, math.nan]), "c": (1,)})
    assert data == {"a": None, "b": [None, 3], "4": [1.0, None], "c": [1]}


TABLE = Table("Title", ("name", ">ms"), ((Cell("<a>", "strong"), "1"), ("b", Cell("2", "good"))), "A note.", (1,))


def test_table_as_html_escapes_and_aligns() -> None:
    page = TABLE.to_html()
    assert "&lt;a&gt;" in page
    assert "<a>" not in page
    assert "<th class='figure'>ms</th>" in page
    assert "<td class='figure good'>2</td>" in page
    assert page.count("<tr class='rule'>") == 1


def test_text_goes_to_stdout_and_has_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    Output().result({"never": "shown"}, TABLE, "[a line] with brackets")
    captured = capsys.readouterr()
    for part in ("Title", "<a>", "A note.", "[a line] with brackets"):
        assert part in captured.out
    assert "never" not in captured.out


def test_json_is_one_object_and_text_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(Format.JSON)
    output.show("on the way", TABLE)
    with output.progress("work") as progress:
        progress(1, 2, "half")
    output.result({"value": math.nan}, "not shown")
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"value": None}
    assert "on the way" in captured.err
    assert "not shown" not in captured.out + captured.err


def test_bad_input_is_told_to_people_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    error = PlanError("plan x.json", expected="a plan", got="a poem", remedy="Write it again.")
    Output(Format.JSON).failure("bad_input", error)
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["got"] == "a poem"
    assert "expected a plan, got a poem. Write it again." in captured.err
