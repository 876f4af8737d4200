"""Memory of this process as Linux counts it."""

from __future__ import annotations

import ctypes
from pathlib import Path


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


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(key)
