"""onert's ``exec_time.json``: measured times of operators by backend and size, interpolated as onert does it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ...formulation import capped
from .files import ForeignFile

UNSUPPORTED_US = 2**31 - 1
"""What onert writes for an operator that a backend does not have."""

_KIND = "exec_time.json of onert"
_REMEDY = "Write the file again with onert's profiling mode; docs/importing.md describes the format."

Points = tuple[tuple[int, float], ...]
"""Flattened bytes of an operator's inputs, constants and outputs, ascending, and microseconds."""


@dataclass(frozen=True)
class OnertTimes:
    """Times of operators.

    Attributes
    ----------
    source : str
        Name of the file.
    points : dict
        By backend, operator and whether it is quantised. An operator that is called as a backend is: times to move a
        tensor to that backend.
    """

    source: str
    points: Mapping[tuple[str, str, bool], Points]

    @cached_property
    def backends(self) -> tuple[str, ...]:
        """Backends that have times, in the file's order."""
        return tuple(dict.fromkeys(backend for backend, _, _ in self.points))

    @cached_property
    def operators(self) -> tuple[str, ...]:
        """Operators that have times on some backend, in the file's order."""
        named = dict.fromkeys(operator for _, operator, _ in self.points)
        return tuple(operator for operator in named if operator not in self.backends)

    def time_us(self, backend: str, operator: str, quantised: bool, n_bytes: float) -> float:
        """Time of an operator, NaN where the backend has none.

        Between two sizes the time is linear; beyond the smallest and the largest, the line through the two nearest
        points goes on, but not below 1 µs, and where it falls below 0 beyond the largest, the time before it counts.
        A single point is the time at every size. This is onert's own rule.

        Parameters
        ----------
        backend, operator : str
        quantised : bool
        n_bytes : float
            Bytes of all inputs (constants too) and outputs.

        Returns
        -------
        float
            Microseconds.
        """
        points = self.points.get((backend, operator, quantised))
        if points is None or any(us >= UNSUPPORTED_US for _, us in points):
            return float("nan")
        return _interpolated(points, n_bytes)


def read_onert_times(path: str | Path) -> OnertTimes:
    """Read an ``exec_time.json``.

    Parameters
    ----------
    path : str or Path
        ``{backend: {operator: {"0" or "1": [[bytes, microseconds], ...]}}}``, where 1 stands for quantised.

    Raises
    ------
    ProfileError
        The file cannot be read or is not of that form; a figure is negative or not finite; a size comes twice.
    """
    file = ForeignFile.read(path, _KIND, _REMEDY)
    points: dict[tuple[str, str, bool], Points] = {}
    for backend, operators in file.mapping(file.data).items():
        for operator, flags in file.mapping(operators, backend).items():
            where = f"{backend}.{operator}"
            for flag, rows in file.mapping(flags, where).items():
                if flag not in ("0", "1"):
                    file.refuse('"0" or "1", whether it is quantised', repr(flag)[:40], where)
                points[backend, operator, flag == "1"] = _points(file, rows, f"{where}.{flag}")
    if not points:
        file.refuse("times of at least one operator", "none")
    return OnertTimes(Path(path).name, points)


def _points(file: ForeignFile, rows: object, where: str) -> Points:
    found: dict[int, float] = {}
    for i, row in enumerate(file.sequence(rows, where)):
        at = f"{where}[{i}]"
        pair = file.sequence(row, at)
        if len(pair) != 2:
            file.refuse("two numbers, bytes and microseconds", f"{len(pair)}", at)
        n_bytes, us = file.count(pair[0], at), file.number(pair[1], at)
        if n_bytes in found:
            file.refuse("every size once", f"{n_bytes} bytes twice", where)
        found[n_bytes] = us
    if not found:
        file.refuse("at least one point", "none", where)
    return tuple(sorted(found.items()))


def _interpolated(points: Points, n_bytes: float) -> float:
    sizes, times = zip(*points, strict=True)
    if n_bytes in sizes or len(points) == 1:
        return times[sizes.index(n_bytes) if n_bytes in sizes else 0]
    right = min(max(bisect_right(sizes, n_bytes), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[right - 1], points[right]
    us = float(y0 + (n_bytes - x0) * (y1 - y0) / (x1 - x0))
    return y0 if us < 0 and n_bytes > x1 else max(us, 1.0)


def untimed(times: OnertTimes, wanted: Mapping[str, tuple[str, ...]], quantised: bool) -> dict[str, tuple[str, ...]]:
    """Operators of a model that a backend has no time for, by backend; names are the model's own.

    Parameters
    ----------
    times : OnertTimes
    wanted : mapping of str to tuple of str
        What each operator of the model may be called in the file.
    quantised : bool
    """
    lacking = {
        backend: tuple(
            operator
            for operator, names in wanted.items()
            if all(np.isnan(times.time_us(backend, name, quantised, 1.0)) for name in names)
        )
        for backend in times.backends
    }
    return {backend: operators for backend, operators in lacking.items() if operators}


def lacking_text(lacking: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Sentences about operators without times."""
    return tuple(f"{backend} has no times for {capped(operators)}" for backend, operators in lacking.items())
