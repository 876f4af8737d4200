"""Memory of this process as Linux counts it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_M_ARENA_MAX = -8  # of malloc.h


def resident_bytes() -> int:
    """Resident bytes now, file mappings included."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """Largest resident size since the start or since `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Let the peak start again from the present size, freed memory given back first."""
    release_free_memory()
    Path("/proc/self/clear_refs").write_text("5")


def release_free_memory() -> None:
    """Give memory that was freed but kept by the C library back to the system, where that library can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def limit_heaps(count: int) -> None:
    """Let the threads of this process allocate from that many heaps at most, where the C library can be told (glibc).

    By default each gets one of its own, up to eight a core, and what is freed in one is of no use to the others: where
    threads come and go, as those of sessions do, a process comes to take far more than it holds. Call it early, for
    heaps that exist stay. Who has set ``MALLOC_ARENA_MAX`` has decided already.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, count)


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(key)
