"""The runtime's clock: monotonic microseconds, and waiting that wakes up on time."""

from __future__ import annotations

import time

SPIN_US = 100.0
"""How long before an instant to stop sleeping; the system wakes a sleeper up to about this late."""


def now_us() -> float:
    """Microseconds on the monotonic clock, the same in every process of this machine."""
    return time.monotonic_ns() / 1e3


def sleep_until_us(instant_us: float, spin: bool = False) -> None:
    """Sleep until an instant; with `spin` the last stretch is spun away for accuracy, at the cost of a core."""
    while (left := instant_us - now_us()) > (SPIN_US if spin else 0.0):
        time.sleep((left - (SPIN_US if spin else 0.0)) / 1e6)
    while spin and now_us() < instant_us:
        pass
