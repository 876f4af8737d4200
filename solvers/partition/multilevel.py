"""Multilevel annealing of a max-load partition that need not be contiguous."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from ...formulation.evaluate_partition import MEMORY_TOLERANCE
from .annealing import anneal
from .coarsening import coarser
from .reduced import Reduced

_MOVES = 100_000
"""Of each level of a cycle."""


class Incumbent:
    """Best partition known, shared between threads.

    Attributes
    ----------
    device : ndarray of int, shape (n,)
        Of each node.
    value : float
        Largest load; infinite where none is known.
    """

    def __init__(self, device: NDArray[np.int64], value: float) -> None:
        self.device = device
        self.value = value
        self._lock = Lock()

    def offer(self, device: NDArray[np.int64], value: float) -> bool:
        """Take a partition if it is better."""
        with self._lock:
            better = value < self.value * (1 - 1e-12)
            if better:
                self.device, self.value = device, value
            return better

    def of(self, groups: Reduced) -> NDArray[np.int64]:
        """Device of each group, where all its nodes have the same; otherwise that of one of them."""
        device = np.zeros(groups.n_groups, dtype=np.int64)
        device[groups.group] = self.device
        return device


@dataclass(frozen=True)
class Schedule:
    """How to anneal: moves, temperatures as shares of the largest load, and the power mean (2 to `doublings`)."""

    moves: int
    hot: float
    cold: float
    doublings: int


def annealed(
    groups: Reduced,
    device: NDArray[np.int64],
    schedule: Schedule,
    scale: float,
    rng: np.random.Generator,
    stopped: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], float]:
    """Anneal a partition of groups: the best found and its largest load, infinite where memory never held."""
    problem = groups.problem
    best = device.copy()
    value = anneal(
        groups.nets.start,
        groups.nets.value,
        groups.pins.start,
        groups.pins.value,
        groups.net_cost,
        groups.accelerator,
        groups.cpu,
        groups.size,
        np.array([problem.n_accelerators, problem.n_cpus], dtype=np.int64),
        problem.accelerator_bytes * (1 + MEMORY_TOLERANCE),
        device.copy(),
        best,
        schedule.moves,
        max(schedule.hot * scale, 1e-300),
        max(schedule.cold * scale, 1e-301),
        schedule.doublings,
        int(rng.integers(1, 2**31)),
        stopped,
    )
    return best, float(value)


def cycle(
    groups: Reduced, incumbent: Incumbent, scale: float, rng: np.random.Generator, stopped: NDArray[np.bool_]
) -> bool:
    """One cycle: coarsen level by level, anneal the coarsest, then refine level by level.

    Half of the cycles keep the incumbent's devices apart and start from it, the others start at random.

    Returns
    -------
    bool
        Whether the incumbent became better.
    """
    k = groups.problem.n_accelerators
    from_incumbent = np.isfinite(incumbent.value) and rng.random() < 0.5
    device = incumbent.of(groups)
    levels = [groups]
    fewest = 12 + 4 * k
    while levels[-1].n_groups > fewest:
        at = levels[-1]
        nxt = coarser(
            at,
            max(fewest, int(at.n_groups * rng.uniform(0.4, 0.7))),
            scale * rng.uniform(0.2, 0.9),
            rng,
            incumbent.of(at) if from_incumbent else None,
        )
        if nxt.n_groups > 0.95 * at.n_groups:
            break
        levels.append(nxt)
    coarsest = levels[-1]
    device = incumbent.of(coarsest) if from_incumbent else random_devices(coarsest, rng)
    first = Schedule(_MOVES, float(rng.choice([0.003, 0.01, 0.03, 0.1])), 1e-4, int(rng.integers(3, 7)))
    device, value = annealed(coarsest, device, first, scale, rng, stopped)
    later = Schedule(_MOVES, 0.003, 1e-4, first.doublings)
    for coarse, fine in zip(levels[::-1], levels[-2::-1], strict=False):
        if stopped[0]:
            break
        spread = device[coarse.group]
        device = np.zeros(fine.n_groups, dtype=np.int64)
        device[fine.group] = spread
        device, value = annealed(fine, device, later, scale, rng, stopped)
        coarsest = fine
    return incumbent.offer(device[coarsest.group], value)


def long_anneal(
    groups: Reduced, incumbent: Incumbent, moves: int, rng: np.random.Generator, stopped: NDArray[np.bool_]
) -> bool:
    """One slow annealing of all groups from the incumbent: balances loads better than cycles where nets are cheap."""
    schedule = Schedule(moves, float(rng.choice([0.001, 0.003])), 1.5e-5, int(rng.integers(4, 7)))
    device, value = annealed(groups, incumbent.of(groups), schedule, incumbent.value, rng, stopped)
    return incumbent.offer(device[groups.group], value)


def random_devices(groups: Reduced, rng: np.random.Generator) -> NDArray[np.int64]:
    """A device for each group that can run it, at random; the CPU only where nothing else can."""
    k, m = groups.problem.n_accelerators, groups.problem.n_cpus
    device = rng.integers(0, k, groups.n_groups) if k else np.zeros(groups.n_groups, dtype=np.int64)
    only_cpu = np.isinf(groups.accelerator) | (k == 0)
    if m:
        device[only_cpu] = k + rng.integers(0, m, int(only_cpu.sum()))
    return device
