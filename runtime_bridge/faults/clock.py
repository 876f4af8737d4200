"""Clocks that jump and a process that was stopped: what makes a window of measurements not worth believing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ClockEvent:
    """One disturbance.

    Attributes
    ----------
    kind : {'wall clock', 'suspended', 'stopped'}
        The wall clock was set; the machine slept; this process did not run, although the machine did.
    size_us : float
        How far the wall clock went, backwards negative; how long the machine slept, or this process did not run.
    at_us : float
        When it was noticed, on the runtime's clock.
    """

    kind: Literal["wall clock", "suspended", "stopped"]
    size_us: float
    at_us: float

    def __str__(self) -> str:
        size_s = self.size_us / 1e6
        if self.kind == "wall clock":
            return f"the wall clock was set {'forward' if size_s > 0 else 'back'} by {abs(size_s):.2f} s"
        return f"{'the machine slept' if self.kind == 'suspended' else 'this process did not run'} for {size_s:.2f} s"


@dataclass(frozen=True)
class Clocks:
    """The system's clocks at one instant, microseconds.

    Attributes
    ----------
    running_us : float
        Monotonic; stands still while the machine sleeps.
    passed_us : float
        Monotonic; goes on while it sleeps.
    wall_us : float
        Time of day, since 1970.
    """

    running_us: float
    passed_us: float
    wall_us: float

    @classmethod
    def read(cls) -> Clocks:
        """Read all of them, three times, of which the quickest counts: a thread that is held up is no jump."""
        clocks = (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME, time.CLOCK_REALTIME, time.CLOCK_MONOTONIC)
        tries = [[time.clock_gettime_ns(clock) / 1e3 for clock in clocks] for _ in range(3)]
        running_us, passed_us, wall_us, _ = min(tries, key=lambda read: read[3] - read[0])
        return cls(running_us, passed_us, wall_us)


class ClockGuard:
    """Compares the system's clocks with each other, and its own checks with when they were due.

    A process that was stopped (a debugger, a shell, a frozen container, a machine that swaps) finds its requests late
    and its rates wrong when it runs again, though nothing is wrong with its plan. What was measured before
    `trusted_from_us` should not be compared with anything. A wall clock that was set harms no measurement, which the
    monotonic clock makes; it does harm whoever reads times of day.

    Parameters
    ----------
    interval_us : float
        Between two checks.
    late_us : float
        How much later a check may come before this process counts as stopped.
    jump_us : float
        How far the wall clock may go between two checks beside the time that passed. Clocks that are slewed go by at
        most half a per mille.
    clocks : callable, optional
        Reads the clocks, instead of `Clocks.read`.
    """

    def __init__(
        self,
        interval_us: float = 5e5,
        *,
        late_us: float = 1e6,
        jump_us: float = 1e5,
        clocks: Callable[[], Clocks] | None = None,
    ) -> None:
        self._interval_us = interval_us
        self._late_us = late_us
        self._jump_us = jump_us
        self._clocks = clocks or Clocks.read
        self._last: Clocks | None = None
        self.trusted_from_us = float("-inf")

    def check(self, at_us: float, *, was_busy: bool = False) -> tuple[ClockEvent, ...]:
        """Compare with the check before.

        Parameters
        ----------
        at_us : float
            Now, on the runtime's clock.
        was_busy : bool
            Whether the caller itself is why this check comes late (it waited for a solver): then it was no stop.
        """
        before, self._last = self._last, self._clocks()
        if before is None:
            return ()
        ran_us = self._last.running_us - before.running_us
        passed_us = self._last.passed_us - before.passed_us
        wall_us = self._last.wall_us - before.wall_us
        found = []
        if passed_us - ran_us > self._jump_us:
            found.append(ClockEvent("suspended", passed_us - ran_us, at_us))
        if ran_us - self._interval_us > self._late_us and not was_busy:
            found.append(ClockEvent("stopped", ran_us - self._interval_us, at_us))
        if found:
            self.trusted_from_us = at_us
        if abs(wall_us - passed_us) > self._jump_us:
            found.append(ClockEvent("wall clock", wall_us - passed_us, at_us))
        return tuple(found)
