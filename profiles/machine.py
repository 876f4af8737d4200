"""What this machine is, as far as costs depend on it: no host name, no paths."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path


@cache
def cpu_name() -> str:
    """Model of the processor with its vendor's family numbers: several processors share one marketing name."""
    wanted = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")
    found: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in wanted and key.strip() not in found:
                found[key.strip()] = value.strip()
    except OSError:
        return platform.processor() or platform.machine()
    vector = [flag for flag in found.pop("flags", "").split() if flag.startswith(("avx", "amx"))]
    return " / ".join([platform.machine(), *(found[key] for key in wanted if key in found), " ".join(vector)])


def usable_cores() -> tuple[int, ...]:
    """Ids of the cores that this process may use."""
    return tuple(sorted(os.sched_getaffinity(0)))
