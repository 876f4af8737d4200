"""How much of the machine others used while something was measured. Linux's /proc only."""

from __future__ import annotations

import os
import time
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class ForeignLoad:
    """Counts core time that went to other processes since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._busy_s, self._own_s = _busy_s(), _own_s()

    def share(self) -> float:
        """Share of all cores' time that others took, 0 … 1; 0 for spans under a second: they tick slowly."""
        span_s = time.perf_counter() - self._began
        if span_s < 1.0:
            return 0.0
        others_s = (_busy_s() - self._busy_s) - (_own_s() - self._own_s)
        return min(1.0, max(0.0, others_s / (span_s * (os.cpu_count() or 1))))


def _busy_s() -> float:
    """Core time of the machine that was not idle, with time that a hypervisor gave to somebody else."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0
    user, nice, system, _idle, _waiting, irq, softirq, steal = (int(field) for field in fields)
    return (user + nice + system + irq + softirq + steal) * _TICK_S


def _own_s() -> float:
    """Core time of this process and of its ended children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
