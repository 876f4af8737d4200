"""Axes as people write them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from edgeplan.formulation import Problem
from edgeplan.interface.whatif import AxisError, parse_axes, parse_axis, value_of

MIB = 2**20


def values(problem: Problem, text: str) -> list[tuple[float, ...]]:
    return [setting.values for setting in parse_axis(problem, text).settings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("memory.ram=64MiB..128MiB:3", [64 * MIB, 96 * MIB, 128 * MIB]),
        ("memory.ram=64MiB,32MiB", [32 * MIB, 64 * MIB]),
        ("memory.ram=0.5x,1x", [64 * MIB, 128 * MIB]),
        ("memory=1MiB..4MiB:3log", [1 * MIB, 2 * MIB, 4 * MIB]),
        ("cores=1,2", [1, 2]),
        ("cores.cpu=1..3", [1, 2, 3]),
        ("deadline.small=20ms,0.05s,30000us", [20e3, 30e3, 50e3]),
        ("rate.large=8,16Hz", [8, 16]),
        ("rate.large=0.5x..1.5x:3", [4, 8, 12]),
        ("max_threads=1..2", [1, 2]),
        ("max_utilisation=0.5..1:3", [0.5, 0.75, 1.0]),
        ("max_utilisation=.5..1:2", [0.5, 1.0]),
        ("cores=0.5x..2x:4", [1, 2, 3, 4]),
    ],
)
def test_values_are_read_in_their_units(problem: Problem, text: str, expected: list[float]) -> None:
    assert [only for (only,) in values(problem, text)] == pytest.approx(expected)


def test_a_star_turns_all_of_a_kind_together(problem: Problem) -> None:
    for text in ("rate.*=2x", "rate=2x"):
        axis = parse_axis(problem, text)
        assert [knob.name for knob in axis.knobs] == ["rate.small", "rate.large"]
        other = axis.at(problem, axis.settings[0])
        assert [s.rate_hz for s in other.streams] == pytest.approx([2 * s.rate_hz for s in problem.streams])


def test_at_a_setting_the_problem_has_its_values(problem: Problem) -> None:
    for axis in parse_axes(problem, ["memory.ram=16MiB,64MiB", "cores=1,2", "deadline.*=0.9x,1x"]):
        for setting in axis.settings:
            other = axis.at(problem, setting)
            assert [value_of(other, knob) for knob in axis.knobs] == pytest.approx(list(setting.values))


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        (["memory.vram=1MiB,2MiB"], r"memory\.ram"),
        (["memory.ram"], "NAME=VALUES"),
        (["memory.ram=1MiB..2MiB"], "LOW..HIGH:COUNT"),
        (["memory.ram=2MiB..1MiB:3"], "grows"),
        (["memory.ram=much"], "number"),
        (["memory.ram=1parsec"], "bytes"),
        (["deadline.small=20"], "30ms"),
        (["rate.small=1x,20"], "not both"),
        (["rate.small=0"], "above 0"),
        (["cores=1..4:1"], "at least 2"),
        (["cores=1.5"], "whole"),
        (["cores=1x,1.2x"], "whole"),
        (["cores=1..2:3"], "whole"),
        (["cores=1..1000000000"], "at most 10,000"),
        (["rate.small=1x..2x:1000000000"], "LOW..HIGH:COUNT"),
        (["rate.small=1x..2x:100000000"], "at most 10,000"),
        (["rate.small=1e999"], "above 0"),
        (["memory.ram=1e308x"], "finite"),
        (["max_utilisation=1.5"], "up to 1"),
        (["*=1x,2x"], "one kind"),
        (["cores=1,2", "cores.cpu=1,2"], "on two"),
        (["memory.ram=1MiB..2MiB:2000", "rate.*=1x..2x:2000"], "points"),
        ([], "at least one axis"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(problem: Problem, texts: list[str], what: str) -> None:
    with pytest.raises(AxisError, match=what):
        parse_axes(problem, texts)


def test_a_name_is_itself_before_it_is_a_pattern(problem: Problem) -> None:
    odd = "net[1]=a"
    first, *models = problem.models
    stream, *streams = problem.streams
    renamed = problem.replace(
        models=(replace(first, name=odd), *models), streams=(stream.model_copy(update={"model": odd}), *streams)
    )
    axis = parse_axis(renamed, f"rate.{odd}=10,20")
    assert [knob.subject for knob in axis.knobs] == [odd]
    assert [setting.values for setting in axis.settings] == [(10.0,), (20.0,)]


def test_a_setting_is_drawn_where_its_values_are(problem: Problem) -> None:
    for text, unit in (
        ("memory.ram=16MiB,64MiB", "MiB"),
        ("max_utilisation=0.5,0.75", ""),
        ("rate.*=0.5x,2x", "×"),
        ("cores=1,2", ""),
    ):
        axis = parse_axis(problem, text)
        assert axis.unit == unit
        for setting in axis.settings:
            assert setting.label.startswith(f"{setting.number:g}")


def test_a_grid_beyond_all_numbers_of_a_machine_is_refused(problem: Problem) -> None:
    """Eight axes of 256 values: 2^64 points, which 64 bits count as none."""
    names = ["memory.ram=1x..2x", "deadline.small=1x..2x", "deadline.large=1x..2x", "rate.small=1x..2x"]
    names += ["rate.large=1x..2x", "cores=1..256", "max_threads=1..256", "max_utilisation=0.1..1"]
    with pytest.raises(AxisError, match="18,446,744,073,709,551,616"):
        parse_axes(problem, [f"{name}:256" for name in names])
