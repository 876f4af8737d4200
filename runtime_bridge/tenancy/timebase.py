"""Emulated time: waiting that ends on time, and a clock that runs slower where the emulated device is faster.

Waiting sleeps until shortly before the instant and spins the rest away. The system lets a sleeper oversleep by its
timer slack (50 µs unless a thread asks for less) and by the time to wake a core; a spinning thread holds the
interpreter, for which the CPU's servers may be waiting. So the slack is set to the least there is, and the spinning
kept to `clock.SPIN_US`. What that gives here shows `waiting_lateness_us`.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..clock import now_us, sleep_until_us

_PR_SET_TIMERSLACK = 29  # linux/prctl.h
_LEAST_SLACK_NS = 1


def sharpen_timers() -> None:
    """Let the calling thread oversleep as little as the system can. Linux only; elsewhere nothing happens."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_TIMERSLACK, _LEAST_SLACK_NS, 0, 0, 0)


@dataclass(frozen=True)
class Timebase:
    """Converts between this machine's clock and emulated time.

    Attributes
    ----------
    stretch : float
        Real microseconds that one emulated microsecond takes; 1 or more. All figures that a runtime records are
        emulated microseconds.
    origin_us : float
        Instant on the monotonic clock at which both clocks show the same.
    """

    stretch: float = 1.0
    origin_us: float = field(default_factory=now_us)

    def now_us(self) -> float:
        """The present instant, emulated microseconds."""
        return self.emulated_us(now_us())

    def emulated_us(self, real_us: float) -> float:
        """Emulated instant of an instant on the monotonic clock."""
        if self.stretch == 1.0:
            return real_us
        return self.origin_us + (real_us - self.origin_us) / self.stretch

    def real_us(self, emulated_us: float) -> float:
        """Instant on the monotonic clock of an emulated instant."""
        if self.stretch == 1.0:
            return emulated_us
        return self.origin_us + (emulated_us - self.origin_us) * self.stretch

    def wait_until_us(self, emulated_us: float) -> None:
        """Wait until an emulated instant, the last stretch spinning; returns at once where it has passed."""
        sleep_until_us(self.real_us(emulated_us), spin=True)


def waiting_lateness_us(n: int = 200, longest_us: float = 5000.0, seed: int = 0) -> NDArray[np.float64]:
    """Measure how late `Timebase.wait_until_us` returns on this machine.

    Parameters
    ----------
    n : int
        Waits.
    longest_us : float
        Each takes a random time up to this.
    seed : int

    Returns
    -------
    ndarray, shape (n,)
        Microseconds between the instant and the return, ascending.
    """
    sharpen_timers()
    timebase = Timebase()
    late = []
    for wait_us in np.random.default_rng(seed).uniform(0.0, longest_us, n):
        due_us = timebase.now_us() + float(wait_us)
        timebase.wait_until_us(due_us)
        late.append(timebase.now_us() - due_us)
    return np.sort(np.array(late))
