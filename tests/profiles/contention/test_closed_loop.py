"""Closed loops: what is common to all, what counts in it, and how failures end them."""

import itertools
import os
import threading
import time

import numpy as np
import pytest
from edgeplan.profiles.contention.closed_loop import Loop, closed_loops, common_window_us, rate_hz
from hypothesis import given
from hypothesis import strategies as st

CORES = tuple(sorted(os.sched_getaffinity(0)))


class Ticks:
    """A clock that goes on by a millisecond whenever it is read."""

    def __init__(self) -> None:
        self._count = itertools.count()

    def __call__(self) -> int:
        return next(self._count) * 1_000_000


def test_every_member_covers_the_common_window() -> None:
    members = [Loop(lambda: time.sleep(0.0005), CORES), Loop(lambda: time.sleep(0.002), CORES), Loop(int, CORES)]
    spans = closed_loops(members, window_s=0.3, min_runs=3, clock_ns=Ticks())
    begin, end = common_window_us(spans)
    assert end - begin > 0
    for each in spans:
        assert np.all(each[:, 1] >= each[:, 0])
        assert np.all(each[1:, 0] >= each[:-1, 1])
        assert each[0, 0] <= begin
        assert each[-1, 1] >= end


def test_a_window_has_whole_runs_however_short_it_is() -> None:
    (spans,) = closed_loops([Loop(int, CORES)], 1e-9, min_runs=5)
    begin, end = common_window_us([spans])
    assert np.sum((spans[:, 0] >= begin) & (spans[:, 1] <= end)) >= 5


def test_runs_have_company_to_their_end() -> None:
    spans = closed_loops([Loop(int, CORES), Loop(lambda: time.sleep(0.003), CORES)], 0.1, clock_ns=Ticks())
    _, end = common_window_us(spans)
    over = max(float(run[1]) for each in spans for run in each if run[0] < end)
    assert all(each[-1, 1] >= over for each in spans)


def test_a_run_that_lost_its_company_does_not_count() -> None:
    short = np.stack([np.arange(0.0, 10.0), np.arange(1.0, 11.0)], axis=1)
    long = np.array([[0.0, 4.0], [4.0, 8.0], [8.0, 12.0]])
    assert common_window_us([short, long]) == (0.0, 8.0)
    assert common_window_us([short]) == (0.0, 10.0)


def test_threads_are_held_to_their_cores() -> None:
    found: dict[int, set[int]] = {}

    def note(k: int) -> None:
        found[k] = os.sched_getaffinity(0)

    closed_loops([Loop(lambda: note(0), CORES[:1]), Loop(lambda: note(1), CORES)], 0.001)
    assert found == {0: {CORES[0]}, 1: set(CORES)}


def test_a_failure_ends_all_and_is_raised() -> None:
    def fail() -> None:
        raise ValueError("no")

    before = threading.active_count()
    with pytest.raises(ValueError, match="no"):
        closed_loops([Loop(fail, CORES), Loop(lambda: time.sleep(0.001), CORES)], 60.0)
    with pytest.raises(OSError, match="Invalid argument"):
        closed_loops([Loop(int, (100_000,)), Loop(int, CORES)], 60.0)
    assert threading.active_count() == before


@given(st.floats(1, 1e4), st.floats(0, 1), st.floats(3, 50), st.integers(0, 10))
def test_even_runs_have_their_rate_wherever_the_window_lies(
    run_us: float, phase: float, length: float, skipped: int
) -> None:
    starts = np.arange(200) * run_us
    spans = np.stack([starts, starts + run_us], axis=1)
    begin = (skipped + phase) * run_us
    assert rate_hz(spans, (begin, begin + length * run_us)) == pytest.approx(1e6 / run_us)


def test_pauses_between_runs_count() -> None:
    starts = np.arange(100) * 10.0
    spans = np.stack([starts, starts + 5], axis=1)
    assert rate_hz(spans, (100.0, 900.0)) == pytest.approx(1e5)
