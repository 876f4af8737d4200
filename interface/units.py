"""Figures as people read them. Inside, times are microseconds and sizes bytes; they are converted here, at the edge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MIB = 2**20


def milliseconds(us: float, digits: int = 3) -> str:
    """Milliseconds to `digits` significant digits, without the unit; ``–`` where there is none."""
    if math.isnan(us):
        return "–"
    if math.isinf(us):
        return "∞"
    ms = us / 1e3
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(ms)))) if ms else 0
    return f"{ms:,.{min(decimals, digits)}f}"


def mebibytes(n_bytes: float | None) -> str:
    """MiB with one decimal, without the unit; ``–`` where there is none."""
    return "–" if n_bytes is None or not math.isfinite(n_bytes) else f"{n_bytes / MIB:,.1f}"


def percent(share: float) -> str:
    """Per cent with one decimal, with the sign; ``–`` where there is none."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else "–"


def count(number: int, noun: str) -> str:
    """``1 segment``, ``2 segments``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def jsonable(value: Any) -> Any:
    """Plain data for JSON: arrays become lists, what is not finite becomes null, for JSON has no name for it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [jsonable(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value
