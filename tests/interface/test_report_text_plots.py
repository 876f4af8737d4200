"""Plots made of characters stand where their figures say."""

import io

import pytest
from edgeplan.interface.report.colours import LONGEST_NAME, PATTERNS, Look, model_looks, shortened
from edgeplan.interface.report.plots import Axis, Bar, BarsPlot, GanttPlot, Mark, Plot, Series, XYPlot, spread
from edgeplan.interface.report.text_plots import LINES, STAR, TextPlot
from rich.console import Console

BLUE = Look("#3b82c4")
BLANK = " \u2800"


def drawn(plot: Plot, width: int = 62) -> list[str]:
    """Lines of a plot, right of its axis; what follows after is the foot."""
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(TextPlot(plot))
    return [line.split("│", 1)[1] for line in file.getvalue().splitlines() if "│" in line]


def test_a_line_goes_from_corner_to_corner() -> None:
    plot = XYPlot(Axis("x"), Axis("y"), (Series("line", [0, 10], [5, 9], BLUE, is_quiet=True),))
    lines = drawn(plot)
    assert len(lines) == LINES
    first = [min(k for k, c in enumerate(line) if c not in BLANK) for line in lines]
    assert first == sorted(first, reverse=True)
    assert first[-1] == 0
    assert max(map(len, (line.rstrip(BLANK) for line in lines))) == len(lines[0].rstrip(BLANK))


def test_logarithmic_axes_are_divided_by_factors() -> None:
    points = Series("points", [1, 10, 100], [1, 1, 1], BLUE, "points")
    (line,) = [line for line in drawn(XYPlot(Axis("x", logarithmic=True), Axis("y"), (points,))) if "a" in line]
    left, middle, right = (k for k, c in enumerate(line) if c == "a")
    assert abs((middle - left) - (right - middle)) <= 1


def test_steps_keep_their_value_until_the_next() -> None:
    steps = Series("steps", [0, 5, 10], [0, 10, 10], BLUE, "steps", is_quiet=True)
    bottom = drawn(XYPlot(Axis("x"), Axis("y"), (steps,)))[-1]
    reached = len(bottom.rstrip(BLANK)) / 57
    assert reached == pytest.approx(0.5, abs=0.05)


def test_the_plan_is_a_star_and_marks_have_their_word() -> None:
    series = (Series("front", [1, 2], [3, 2], BLUE, "steps"), Series("the plan", [1.5], [2.5], BLUE, "star"))
    marks = (Mark("x", 1.9, "deadline", "red"), Mark("y", 2.1, "limit", "red"))
    lines = drawn(XYPlot(Axis("x"), Axis("y"), series, marks))
    text = "\n".join(lines)
    assert text.count(STAR) == 1
    assert "deadline" in lines[0]
    assert "limit" in text


def test_rows_show_who_has_them_and_when() -> None:
    looks = model_looks(["long", "short"])
    bars = (Bar(0, 0, 50, "long", ""), Bar(0, 75, 25, "short", ""), Bar(1, 50, 50, "short", ""))
    first, second = drawn(GanttPlot(Axis("time (ms)"), ("core 0", "core 1"), bars, looks, (0, 100)), 108)
    assert first == "a" * 50 + "·" * 25 + "b" * 25
    assert second == "·" * 50 + "b" * 50


def test_no_run_is_too_short_to_be_seen() -> None:
    bars = tuple(Bar(0, start, 0.2, "short", "") for start in (3.1, 40.0, 77.7))
    (row,) = drawn(GanttPlot(Axis("time (ms)"), ("core 0",), bars, model_looks(["short"]), (0, 100)), 108)
    assert [k for k, c in enumerate(row) if c == "a"] == [3, 40, 77]


def test_the_key_never_parts_a_letter_from_its_name() -> None:
    names = [f"model {k} of a long name" for k in range(12)]
    series = tuple(Series(name, [0, 1], [0, 1], BLUE) for name in names)
    file = io.StringIO()
    Console(file=file, width=70, color_system=None).print(TextPlot(XYPlot(Axis("x"), Axis("y"), series)))
    text = file.getvalue()
    assert all(f"{letter} {name}" in text for letter, name in zip("abcdefghijkl", names, strict=True))


def test_bars_are_as_long_as_their_parts_and_limits_stand_at_their_place() -> None:
    looks = model_looks(["one", "two"])
    parts = {"one": [10.0, 30.0], "two": [20.0, 0.0]}
    first, second = drawn(BarsPlot(Axis("MiB"), ("ram", "npu"), parts, looks, {0: 40.0}), 60)
    most = len(first) - 1
    assert first.count("a") == pytest.approx(most * 10 / 40, abs=1)
    assert first.count("b") == pytest.approx(most * 20 / 40, abs=1)
    assert first.index("┃") == pytest.approx(most, abs=1)
    assert second.count("a") == pytest.approx(most * 30 / 40, abs=1)


def test_many_models_look_different_and_long_names_become_short() -> None:
    looks = model_looks([f"model {k}" for k in range(len(PATTERNS) * 8)])
    assert len({(look.colour, look.pattern) for look in looks.values()}) == len(looks)
    long = "begins alike " + "x" * 100 + " and ends apart"
    assert len(shortened(long)) == LONGEST_NAME
    assert shortened(long).startswith("begins")
    assert shortened(long).endswith("apart")
    assert shortened("short") == "short"


@pytest.mark.parametrize(("number", "most"), [(3, 10), (10, 10), (1000, 10), (1, 10), (0, 10)])
def test_spread_keeps_the_ends(number: int, most: int) -> None:
    kept = spread(number, most)
    assert len(kept) == min(number, most)
    assert not number or (kept[0], kept[-1]) == (0, number - 1)
