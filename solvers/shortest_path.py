"""Shortest ways through a chain for one weighting of time and memory: seeds, bounds and hints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .assemble import Choice
from .label_space import LabelSpace

_WEIGHTINGS = 16
"""How many trade-offs between time and memory the seeds sample."""


def shortest_path(
    space: LabelSpace, us_per_byte: float = 0.0, allowed: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], tuple[Choice, ...]] | None:
    """The way that minimises latency plus `us_per_byte` times resident bytes; of equal ones, with longer segments.

    Parameters
    ----------
    space : LabelSpace
    us_per_byte : float
        What a resident byte is worth, 0 for the fastest way.
    allowed : ndarray of bool, shape (K + 1, K + 1, O), optional
        Segments that may be used.

    Returns
    -------
    (label, choices) or None
        The label, shape (width,), and the segments; None where the allowed segments do not make a way.

    Notes
    -----
    O(K² · O · M) for K cuts, O options, M memories.
    """
    chain = space.chain
    cost = space.added[..., 0] + us_per_byte * np.where(
        np.isfinite(space.added[..., 0]), space.added[..., space.resident].sum(axis=-1), 0.0
    )
    if allowed is not None:
        cost = np.where(allowed, cost, np.inf)
    from .fronts.path_kernel import shortest_steps

    steps = shortest_steps(cost, space.memory, chain.move_us, chain.arrive_us, chain.leave_us)
    if not len(steps):
        return None
    way = [(int(a), int(b), int(option)) for a, b, option in steps]
    return label_of(space, way), tuple(space.choice(*step) for step in way)


def label_of(space: LabelSpace, steps: list[tuple[int, int, int]]) -> NDArray[np.float64]:
    """Label of a way given as (cut, next cut, option), summed as the evaluator does, shape (width,)."""
    chain, label, before = space.chain, np.zeros(space.width), -1
    for a, b, option in steps:
        m = int(space.memory[option])
        move_us = chain.move_us[a, before, m] if a else chain.arrive_us[m]
        added = space.added[a, b, option]
        latency_us = (label[0] + move_us) + added[0]
        transient = np.maximum(label[space.transient], added[space.transient])
        label = label + added
        label[0], label[space.transient], before = latency_us, transient, m
    label[0] += chain.leave_us[before]
    return label


def sampled_paths(space: LabelSpace) -> list[tuple[NDArray[np.float64], tuple[Choice, ...]]]:
    """Shortest ways for trade-offs from time alone to memory alone: supported points of the front, fastest first."""
    fastest = shortest_path(space)
    if fastest is None:
        return []
    # A weight at which all of the fastest way's bytes are worth a thousandth of its time, up to a thousand times it.
    resident = max(float(fastest[0][space.resident].sum()), 1.0)
    scale = max(float(fastest[0][0]), 1.0) / resident
    weightings = scale * np.geomspace(1e-3, 1e3, _WEIGHTINGS)
    return [fastest, *(path for w in weightings if (path := shortest_path(space, float(w))) is not None)]
