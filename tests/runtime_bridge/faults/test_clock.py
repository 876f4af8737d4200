"""Set wall clocks, sleeping machines and stopped processes are told apart, and a slewed clock is none of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence

import pytest
from edgeplan.runtime_bridge import now_us
from edgeplan.runtime_bridge.faults.clock import ClockEvent, ClockGuard, Clocks

STEP_US = 5e5


class Machine:
    """Three clocks that can be told to disagree."""

    def __init__(self) -> None:
        self.mono_us, self.boot_us, self.wall_us = 0.0, 1e9, 1.7e15
        self.guard = ClockGuard(STEP_US, clocks=lambda: Clocks(self.mono_us, self.boot_us, self.wall_us))
        self.guard.check(0.0)

    def passes(
        self, us: float, asleep_us: float = 0.0, set_us: float = 0.0, was_busy: bool = False
    ) -> Sequence[ClockEvent]:
        self.mono_us += us
        self.boot_us += us + asleep_us
        self.wall_us += us + asleep_us + set_us
        return self.guard.check(self.mono_us, was_busy=was_busy)


def test_time_that_passes_is_no_event() -> None:
    machine = Machine()
    for k in range(100):
        assert machine.passes(STEP_US + 1e4 * (k % 7), set_us=5e-4 * STEP_US) == ()
    assert machine.guard.trusted_from_us == float("-inf")


@pytest.mark.parametrize("set_us", [3600e6, -3600e6, 0.2e6])
def test_a_wall_clock_that_was_set_harms_no_measurement(set_us: float) -> None:
    machine = Machine()
    (event,) = machine.passes(STEP_US, set_us=set_us)
    assert (event.kind, event.size_us) == ("wall clock", pytest.approx(set_us))
    assert ("forward" if set_us > 0 else "back") in str(event)
    assert machine.guard.trusted_from_us == float("-inf")
    assert machine.passes(STEP_US) == (), "once"


def test_a_machine_that_slept_did_not_set_its_clock() -> None:
    machine = Machine()
    (event,) = machine.passes(STEP_US, asleep_us=60e6)
    assert (event.kind, event.size_us) == ("suspended", pytest.approx(60e6))
    assert machine.guard.trusted_from_us == machine.mono_us


def test_a_check_that_comes_much_too_late_is_a_stop_unless_its_caller_knows_why() -> None:
    machine = Machine()
    (event,) = machine.passes(STEP_US + 3e6)
    assert (event.kind, event.size_us) == ("stopped", pytest.approx(3e6))
    assert machine.guard.trusted_from_us == machine.mono_us
    assert machine.passes(STEP_US + 60e6, was_busy=True) == ()
    assert machine.guard.trusted_from_us == machine.mono_us - STEP_US - 60e6


def test_both_at_once_are_both_told() -> None:
    assert {e.kind for e in Machine().passes(STEP_US + 3e6, 60e6, -5e6)} == {"suspended", "stopped", "wall clock"}


def test_a_real_process_that_was_stopped_notices() -> None:
    script = textwrap.dedent(
        """
        import time
        from edgeplan.runtime_bridge import now_us
        from edgeplan.runtime_bridge.faults.clock import ClockGuard

        guard = ClockGuard(2e4, late_us=5e5)
        guard.check(now_us())
        print("ready", flush=True)
        while True:
            time.sleep(0.02)
            for event in guard.check(now_us()):
                print(event, flush=True)
        """
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(1.0)
        os.kill(process.pid, signal.SIGCONT)
        assert "did not run for" in process.stdout.readline()
        process.kill()


def test_the_clocks_of_this_machine_agree() -> None:
    guard = ClockGuard(0.0)
    for _ in range(20):
        assert guard.check(now_us()) == ()
