"""The clock of searches stands still while loops compile."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from edgeplan.formulation import compile_time
from edgeplan.formulation.compile_time import SAY_AFTER_S, CompileTime

LOOP = """
import time
from edgeplan.formulation.compile_time import COMPILE_TIME
from edgeplan.solvers import TimeLimit
began_s = time.monotonic()
limit = TimeLimit(100.0)
from edgeplan.formulation.compiled import njit
@njit(cache=True)
def half(a):
    return a / 2
@njit(cache=True)
def quarter(a):
    return half(half(a))
loaded_s = COMPILE_TIME.total_s
assert quarter(4.0) == 1.0
print(COMPILE_TIME.total_s > loaded_s, 100.0 - limit.remaining_s, time.monotonic() - began_s, COMPILE_TIME.total_s)
"""


class Clock:
    """A clock that is set by hand, in place of the module's."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The hand-set clock; a process's own compile time begins anew."""
    made = Clock()
    monkeypatch.setattr(compile_time, "time", made)
    monkeypatch.setattr(compile_time, "COMPILE_TIME", CompileTime())
    return made


def test_what_is_compiled_within_another_or_beside_it_counts_once(clock: Clock) -> None:
    spent = compile_time.COMPILE_TIME
    for now_s, step in ((1, spent.begin), (2, spent.begin), (4, spent.end), (7, spent.end), (10, spent.begin)):
        clock.now_s = now_s
        step()
    clock.now_s = 11.5
    assert spent.total_s == (7 - 1) + (11.5 - 10)
    assert compile_time.search_s() == 11.5 - spent.total_s
    clock.now_s = 12.0
    spent.end()
    assert compile_time.search_s() == 12.0 - (6 + 2)


def test_a_failure_ends_it(clock: Clock) -> None:
    def load() -> None:
        with compile_time.COMPILE_TIME.under_way():
            clock.now_s = 3.0
            raise ImportError

    with pytest.raises(ImportError):
        load()
    clock.now_s = 5.0
    assert compile_time.COMPILE_TIME.total_s == 3.0


def test_a_long_pause_is_explained_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for now_s in (0.0, 0.5 * SAY_AFTER_S, SAY_AFTER_S, SAY_AFTER_S + 0.1, 2 * SAY_AFTER_S):
            clock.now_s = now_s
            assert len(caplog.records) == (now_s > SAY_AFTER_S + 0.1)
            compile_time.COMPILE_TIME.begin()
    (said,) = caplog.messages
    assert "once after an installation" in said


def test_a_time_limit_does_not_count_it_and_what_is_kept_is_not_compiled_again(tmp_path: Path) -> None:
    module = tmp_path / "loops.py"
    module.write_text(LOOP)
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"EDGEPLAN_CACHE": str(tmp_path / "cache")}
    for compiles in (True, False):
        command = [sys.executable, str(module)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        did, *figures = run.stdout.split()
        counted_s, passed_s, compiling_s = map(float, figures)
        assert did == str(compiles)
        assert 0 < counted_s <= passed_s - compiling_s + 1e-6  # the limit was made last and read first
