"""Knobs: each turns what it names and nothing else."""

from __future__ import annotations

import pytest
from edgeplan.formulation import Problem, WorkloadError
from edgeplan.interface.whatif import Knob, knobs_of, turned, value_of
from edgeplan.interface.whatif.knobs import never_hurts, same_order
from edgeplan.interface.whatif.prices import stepped


def test_a_problem_names_what_can_be_turned(problem: Problem) -> None:
    assert [knob.name for knob in knobs_of(problem)] == [
        "memory.ram",
        "deadline.small",
        "deadline.large",
        "rate.small",
        "rate.large",
        "cores.cpu",
        "max_utilisation",
    ]


def test_a_knob_turns_itself_and_nothing_else(problem: Problem) -> None:
    limited = problem.replace(limits=problem.limits.model_copy(update={"max_threads": 2, "core_sets": "all"}))
    for base in (problem, limited):
        before = {knob: value_of(base, knob) for knob in knobs_of(base)}
        for knob in before:
            for _, to in stepped(base, knob):
                other = turned(base, knob, to)
                assert value_of(other, knob) == pytest.approx(to, rel=1e-9)
                assert {k: value_of(other, k) for k in before if k != knob} == pytest.approx(
                    {k: v for k, v in before.items() if k != knob}
                )


def test_steps_lie_on_both_sides(problem: Problem) -> None:
    for knob in knobs_of(problem):
        value = value_of(problem, knob)
        for direction, to in stepped(problem, knob):
            assert (to > value) == ((knob.looser > 0) == (direction == "relaxed"))


def test_as_it_stands_is_the_same_problem(problem: Problem) -> None:
    assert all(turned(problem, knob, value_of(problem, knob)) is problem for knob in knobs_of(problem))


def test_fewer_cores_are_the_first_ones_and_more_are_new_ones(problem: Problem) -> None:
    assert turned(problem, Knob("cores", "cpu"), 1).platform.processors[0].cores == (0,)
    measured = problem.replace(platform=problem.platform.model_copy(update={"fingerprint": "here"}))
    more = turned(measured, Knob("cores", "cpu"), 4).platform
    assert more.processors[0].cores == (0, 1, 2, 3)
    assert more.fingerprint == ""
    assert turned(measured, Knob("cores", "cpu"), 1).platform.fingerprint == "here"


def test_more_memory_than_there_is_stands_for_a_larger_device(problem: Problem) -> None:
    more = turned(problem, Knob("memory", "ram"), 2**30)
    assert more.memory_limit["ram"] == 2**30
    less = turned(problem, Knob("memory", "ram"), 2**26)
    assert less.memory_limit["ram"] == 2**26
    assert less.platform == problem.platform


def test_a_rate_leaves_deadlines_as_hard_as_they_were(problem: Problem) -> None:
    for stream in problem.streams:
        other = turned(problem, Knob("rate", stream.model), stream.rate_hz * 1.5)
        assert other.stream_of[stream.model].is_hard == stream.is_hard


def test_a_deadline_is_a_rank_too(problem: Problem) -> None:
    knob = Knob("deadline", "small")
    later, a_little = turned(problem, knob, 200_000), turned(problem, knob, 41_000)
    assert not same_order(problem, later)
    assert not never_hurts(problem, knob, later)
    assert same_order(problem, a_little) == never_hurts(problem, knob, a_little)


def test_an_unknown_knob_is_refused_with_those_that_there_are(problem: Problem) -> None:
    with pytest.raises(WorkloadError, match=r"memory\.ram"):
        value_of(problem, Knob("memory", "vram"))


def test_large_values_are_written_out() -> None:
    assert Knob("memory", "ram").shown(16 * 2**30) == "16,384 MiB"
    assert Knob("memory", "ram").shown(1.5 * 2**20) == "1.5 MiB"
    assert Knob("rate", "small").shown(12_345.0) == "12,345 Hz"
    assert Knob("deadline", "small").shown(33_333.0) == "33.33 ms"
