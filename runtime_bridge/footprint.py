"""Memory of this process as Linux counts it."""

from __future__ import annotations

from pathlib import Path


def resident_bytes() -> int:
    """Resident bytes now, file mappings included."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """Largest resident size since the start or since `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Let the peak start again from the present size."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(key)
