"""Fronts within a guaranteed factor: supported points, which prove what lies between them.

A way that minimises ``u · latency + v · memory`` is cheap to find and no way lies beyond its line. Between two
neighbouring points of the lower convex hull, every way therefore lies above the chord. Where that leaves no way that is
better than both ends by more than a factor 1 + epsilon, the gap is closed. Gaps that stay open are searched by labels.

Dichotomic search for supported points: Aneja, Nair 1979, doi 10.1287/mnsc.25.1.73. Fronts within a factor:
Papadimitriou, Yannakakis 2000, doi 10.1109/SFCS.2000.892068.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..stop import Stop
from .chain_costs import ChainCosts
from .chain_front import ChainFront, Ways, empty_front, given_ways, joined_front, label_front
from .labels import Caps

_SLACK = 1e-9
"""Share of epsilon kept back for the rounding of sums."""


@dataclass(frozen=True, eq=False)
class Way:
    """One way through a chain with its two figures."""

    latency_us: float
    memory_bytes: float
    choices: NDArray[np.int16]


def best_way(costs: ChainCosts, us_weight: float, bytes_weight: float) -> Way | None:
    """The way that minimises a weighting of latency and memory; where one weight is 0, the other decides ties.

    Parameters
    ----------
    costs : ChainCosts
    us_weight, bytes_weight : float
        At least 0, not both 0.

    Returns
    -------
    Way or None
        None where there is no way at all. O(n · C²).
    """
    from .kernels import best_way as compiled

    choices, latency_us, memory_bytes, found = compiled(
        costs.layer_us,
        costs.layer_bytes,
        costs.enter_us,
        costs.enter_bytes,
        costs.end_us,
        float(us_weight),
        float(bytes_weight),
    )
    return Way(latency_us, memory_bytes, choices) if found else None


def supported_ways(costs: ChainCosts, epsilon: float = 0.0, stop: Stop | None = None) -> tuple[list[Way], list[int]]:
    """Corners of the lower convex hull, fastest first, as many as a factor needs, and the gaps left open.

    Returns
    -------
    ways : list of Way
    open_gaps : list of int
        k where a way between ``ways[k]`` and ``ways[k + 1]`` may be better than both by more than a factor
        1 + epsilon.
    """
    fastest = best_way(costs, 1.0, 0.0)
    leanest = best_way(costs, 0.0, 1.0)
    if fastest is None or leanest is None:
        return [], []
    if fastest.memory_bytes <= leanest.memory_bytes:
        return [fastest], []
    factor = 1.0 + epsilon * (1.0 - _SLACK)
    ways: list[Way] = [fastest]
    open_gaps: list[int] = []
    waiting = [leanest]
    while waiting:
        left, right = ways[-1], waiting[-1]
        drop, rise = left.memory_bytes - right.memory_bytes, right.latency_us - left.latency_us
        if left.memory_bytes <= factor * right.memory_bytes or right.latency_us <= factor * left.latency_us:
            ways.append(waiting.pop())
            continue
        # Figures differ by many powers of ten; weights near 1 keep the sums meaningful.
        u, v = 1.0 / rise, 1.0 / drop
        way = None if stop is not None and stop() else best_way(costs, u, v)
        chord = u * left.latency_us + v * left.memory_bytes
        if way is not None and u * way.latency_us + v * way.memory_bytes < chord * (1.0 - 1e-12):
            inside = left.latency_us < way.latency_us < right.latency_us
            if inside and right.memory_bytes < way.memory_bytes < left.memory_bytes:
                waiting.append(way)
                continue
        # On the chord, where memory has fallen by the factor, latency must have come within it of the right end.
        share = (left.memory_bytes - left.memory_bytes / factor) / drop
        if way is None or left.latency_us + share * rise < right.latency_us / factor:
            open_gaps.append(len(ways) - 1)
        ways.append(waiting.pop())
    return ways, open_gaps


def supported_front(costs: ChainCosts, caps: Caps, epsilon: float, stop: Stop | None = None) -> ChainFront:
    """Points such that every way within the caps has one at most a factor 1 + epsilon worse in both figures.

    Parameters
    ----------
    costs : ChainCosts
        Without a third figure.
    caps : Caps
    epsilon : float
        Above 0.
    stop : Stop, optional

    Notes
    -----
    One search for a way, O(n · C²), for each point; about ln(range) / epsilon points. Caps cut through gaps: there, and
    in gaps that stay open, labels are set within the box of the gap.
    """
    ways, open_gaps = supported_ways(costs, epsilon, stop)
    if not ways:
        return empty_front(costs, complete=True)
    gaps = set(open_gaps)
    for k, (left, right) in enumerate(pairwise(ways)):
        # A way that a cap admits may be near only to an end that the cap leaves out.
        if left.memory_bytes > caps.memory_bytes >= right.memory_bytes:
            gaps.add(k)
        if left.latency_us <= caps.latency_us < right.latency_us:
            gaps.add(k)
    figures = np.array([(way.latency_us, way.memory_bytes, 0.0) for way in ways])
    fronts = []
    for k in sorted(gaps):
        box = Caps(min(caps.latency_us, float(figures[k + 1, 0])), min(caps.memory_bytes, float(figures[k, 1])))
        front = label_front(costs, box, epsilon, stop)
        if not front.complete:
            return empty_front(costs, front.n_labels)
        fronts.append(front)
    chosen: list[Ways] = [given_ways(np.array([way.choices for way in ways]).reshape(len(ways), costs.n_layers))]
    tables = [figures]
    for front in fronts:
        points = front.figures
        tables.append(np.column_stack([points, np.zeros(len(points))]))
        chosen.append(front)
    n_labels = sum(front.n_labels for front in fronts)
    return joined_front(costs, tuple(chosen), tuple(tables), caps, epsilon, n_labels)


def supported_points(costs: ChainCosts, caps: Caps, epsilon: float) -> ChainFront:
    """The supported ways alone, quickly: no guarantee for what lies between them."""
    ways, _ = supported_ways(costs, epsilon)
    if not ways:
        return empty_front(costs)
    choices = np.array([way.choices for way in ways])
    return joined_front(costs, (given_ways(choices),), (costs.figures(choices),), caps, float("inf"), 0)
