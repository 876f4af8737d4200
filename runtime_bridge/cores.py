"""How busy each core is, and how much of that is somebody else's work. Linux's /proc only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .clock import now_us

_TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class CoreSample:
    """Cumulated core time, microseconds by core: all that was not idle, and what this process used."""

    at_us: float
    busy_us: Mapping[int, float]
    own_us: Mapping[tuple[int, int], float]

    @classmethod
    def take(cls, pids: Iterable[int] | None = None) -> CoreSample:
        """Read the counters now; `pids` are the processes that count as own (this one where left out)."""
        own: dict[tuple[int, int], float] = {}
        for pid in [os.getpid()] if pids is None else pids:
            own |= _threads(pid)
        busy = {}
        for line in Path("/proc/stat").read_text().splitlines():
            if line.startswith("cpu") and line[3].isdigit():
                name, *fields = line.split()
                user, nice, system, _, _, irq, softirq, steal = (int(f) for f in fields[:8])
                busy[int(name[3:])] = (user + nice + system + irq + softirq + steal) * _TICK_US
        return cls(now_us(), busy, own)


def _threads(pid: int) -> dict[tuple[int, int], float]:
    """Core time of each thread of a process with the core it ran on last: (thread, core) → microseconds."""
    used = {}
    folder = Path(f"/proc/{pid}/task")
    for task in folder.iterdir() if folder.is_dir() else ():
        try:
            fields = (task / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # the thread ended meanwhile
            continue
        used[int(task.name), int(fields[36])] = (int(fields[11]) + int(fields[12])) * _TICK_US
    return used


def foreign_share(before: CoreSample, after: CoreSample) -> dict[int, float]:
    """Share of each core's time, between two samples, that went to others: 0 is none, 1 is all of it.

    A thread that moved between cores is counted on the one it ran on last. The counters tick every 10 ms, so that
    samples should lie at least half a second apart.
    """
    span_us = after.at_us - before.at_us
    earlier = {thread: us for (thread, _), us in before.own_us.items()}
    share = {}
    for core, busy_us in after.busy_us.items():
        own_us = sum(us - earlier.get(thread, 0.0) for (thread, c), us in after.own_us.items() if c == core)
        share[core] = min(1.0, max(0.0, (busy_us - before.busy_us[core] - own_us) / span_us))
    return share
