"""onert's times to move tensors between backends, as links between the memories of their processors."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import numpy as np

from ...formulation import Link
from .onert_times import UNSUPPORTED_US, OnertTimes

MOST_BYTES_PER_US = 1e12
"""Throughput of a link whose time does not grow with the size."""


def memory_name(processor: str) -> str:
    """Name of the memory that a processor works in, where each has its own."""
    return f"{processor}-memory"


def fit_links(times: OnertTimes, processors: Mapping[str, str], quantised: bool) -> tuple[Link, ...]:
    """Links between every two processors, both ways; none at all where the times of one way are missing.

    A link takes ``fixed + bytes / throughput``. Both are fitted to all points between backends of the two processors
    by least squares, neither below 0; a single point gives the throughput alone. onert counts a moved tensor twice,
    as what is read and what is written, so that a point's size is twice the tensor's.

    Parameters
    ----------
    times : OnertTimes
    processors : mapping of str to str
        Processor of each backend.
    quantised : bool
    """
    links = []
    for source, target in permutations(dict.fromkeys(processors[backend] for backend in times.backends), 2):
        points = [
            (n_bytes / 2, us)
            for a in times.backends
            for b in times.backends
            if (processors[a], processors[b]) == (source, target)
            for n_bytes, us in times.points.get((a, b, quantised), ())
            if us < UNSUPPORTED_US
        ]
        if not any(n_bytes > 0 for n_bytes, _ in points):
            return ()
        fixed_us, us_per_byte = _fit(np.array(points, dtype=np.float64))
        links.append(
            Link(
                source=memory_name(source),
                target=memory_name(target),
                fixed_us=fixed_us,
                bytes_per_us=min(1 / us_per_byte, MOST_BYTES_PER_US) if us_per_byte > 0 else MOST_BYTES_PER_US,
            )
        )
    return tuple(links)


def _fit(points: np.ndarray) -> tuple[float, float]:
    """Fixed time and time a byte, by non-negative least squares (Lawson and Hanson, doi 10.1137/1.9781611971217)."""
    from scipy.optimize import nnls

    n_bytes, us = points.T
    scale = float(n_bytes.max())  # columns of like size, for the method's tolerance is absolute
    several = len(np.unique(n_bytes)) > 1
    columns = np.column_stack([np.ones(len(us)), n_bytes / scale]) if several else (n_bytes / scale)[:, None]
    found, _ = nnls(columns, us)
    return (float(found[0]), float(found[1]) / scale) if several else (0.0, float(found[0]) / scale)
