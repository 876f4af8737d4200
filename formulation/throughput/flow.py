"""Batches through pools: utilisations, slowdowns and waits at given rates; the formulas are in `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .batches import Forming
from .layout import Layout, Path
from .problem import ThroughputProblem
from .timing import StageCosts

_ROUNDS = 200
_TOLERANCE = 1e-10
"""Of the fixed point of utilisation and slowdown: most rounds, and the change at which it counts as reached."""


@dataclass(frozen=True)
class PathPrediction:
    """What batches that take one path meet.

    Attributes
    ----------
    share : float
        Of the model's requests.
    wait_us : float
        Mean, for lanes, over all stages; ∞ where a pool cannot keep up.
    waiting_probability : float
    service_us : ndarray, shape (max_batch,)
        Of batches by size, hand-overs included.
    """

    share: float
    wait_us: float
    waiting_probability: float
    service_us: NDArray[np.float64]


class Flow:
    """Batches through pools: utilisations, slowdowns and waits."""

    def __init__(
        self,
        problem: ThroughputProblem,
        costs: StageCosts,
        layout: Layout,
        path_hz: Sequence[float],
        forming: Sequence[Forming],
    ) -> None:
        self._problem, self._costs, self._layout, self._forming = problem, costs, layout, forming
        self._visits = [
            (k, position)
            for k, path in enumerate(layout.paths)
            for position in range(len(path.stages))
            if path_hz[k] > 0
        ]
        self._share = [
            hz / forming[p.model].rate_hz if hz > 0 else 0.0 for hz, p in zip(path_hz, layout.paths, strict=True)
        ]
        paths = layout.paths
        self._pool = np.array([paths[k].pools[s] for k, s in self._visits], dtype=np.int64)
        self._batches_per_us = np.array(
            [self._share[k] * forming[paths[k].model].batch_rate_hz / 1e6 for k, _ in self._visits]
        )
        self._times = [self._stage_times(paths[k], s) for k, s in self._visits]
        sizes = [forming[paths[k].model].size_share for k, _ in self._visits]
        self._mean = np.array([p @ t for p, t in zip(sizes, self._times, strict=True)])
        self._square = np.array([p @ t**2 for p, t in zip(sizes, self._times, strict=True)])
        self._lanes = np.array([len(pool.lanes) for pool in layout.pools], dtype=np.float64)
        self._slow = self._slowdowns()
        self.slowdown = float(self._slow.max(initial=1.0))
        self._wait_by_pool()

    def _stage_times(self, path: Path, position: int) -> NDArray[np.float64]:
        return self._costs.times_us(path.stages[position], self._layout.max_batch[path.model])

    def _slowdowns(self) -> NDArray[np.float64]:
        """Slowdown of each visit: the least fixed point of utilisation and slowdown, from below."""
        layout, problem = self._layout, self._problem
        known = []
        for k, s in self._visits:
            stage = layout.paths[k].stages[s]
            model = problem.models[stage.model]
            c = model.costs.configurations[stage.configuration]
            known.append(problem.contention.activity(model.name, c.name, c.processor, c.threads))
        slow = np.ones(len(known))
        sensitivity = np.array([a.sensitivity for a in known])
        pressure = np.array([a.pressure for a in known])
        if not np.any(sensitivity) or not np.any(pressure):
            return slow
        names = {p.name: n for n, p in enumerate(problem.platform.processors)}
        processor = np.array([names[pool.processor] for pool in layout.pools], dtype=np.int64)
        per_lane_us = self._batches_per_us * self._mean / self._lanes[self._pool]
        for _ in range(_ROUNDS):
            busy = np.bincount(self._pool, per_lane_us * slow, len(layout.pools))
            pressing = np.bincount(self._pool, per_lane_us * slow * pressure, len(layout.pools))
            on_processor = np.bincount(processor, pressing * self._lanes, len(names))
            together = np.array([_together(float(b), int(n)) for b, n in zip(busy, self._lanes, strict=True)])
            beside = on_processor[processor] - pressing * (self._lanes - together)
            fresh = 1.0 + sensitivity * beside[self._pool]
            if np.max(np.abs(fresh - slow)) < _TOLERANCE or np.max(fresh) > 1e3:
                return fresh
            slow = fresh
        return slow

    def _wait_by_pool(self) -> None:
        from ..queueing.multi_server import gigc_wait_kernel, waiting_probability_kernel

        n = len(self._layout.pools)
        self._wait, self._waiting, busy = np.zeros(n), np.zeros(n), np.zeros(n)
        for g in range(n):
            mine = np.flatnonzero(self._pool == g)
            rates = self._batches_per_us[mine]
            total = float(rates.sum())
            if total <= 0.0:
                continue
            p = rates / total
            mean = float(p @ (self._mean[mine] * self._slow[mine]))
            square = float(p @ (self._square[mine] * self._slow[mine] ** 2))
            busy[g] = total * mean / self._lanes[g]
            if busy[g] >= 1.0:
                self._wait[g], self._waiting[g] = np.inf, 1.0
                continue
            gaps = np.array([self._gap_scv(self._visits[v][0]) for v in mine])
            scv = max(0.0, square / mean**2 - 1.0)
            servers = int(self._lanes[g])
            self._wait[g] = gigc_wait_kernel(total, _superposed(p, gaps, busy[g]), mean, scv, servers)
            self._waiting[g] = waiting_probability_kernel(total * mean, servers)
        self.utilisation, self.busiest = {}, {}
        for processor in self._problem.platform.processors:
            mine = [g for g, pool in enumerate(self._layout.pools) if pool.processor == processor.name]
            cores = sum(busy[g] * self._lanes[g] * self._layout.pools[g].threads for g in mine)
            self.utilisation[processor.name] = float(cores / len(processor.cores))
            self.busiest[processor.name] = float(max((busy[g] for g in mine), default=0.0))

    def _gap_scv(self, path: int) -> float:
        """Of the gaps between batches on a path, which is chosen at random."""
        share = self._share[path]
        return share * self._forming[self._layout.paths[path].model].gap_scv + 1.0 - share

    def path(self, k: int) -> PathPrediction:
        """What batches on path k meet."""
        path = self._layout.paths[k]
        sizes = np.arange(1, self._layout.max_batch[path.model] + 1, dtype=np.float64)
        service = self._costs.handover_us(path.stages, sizes)
        for v, (other, _) in enumerate(self._visits):
            if other == k:
                service = service + self._times[v] * self._slow[v]
        waits = self._wait[list(path.pools)]
        waiting = 1.0 - float(np.prod(1.0 - self._waiting[list(path.pools)]))
        return PathPrediction(self._share[k], float(waits.sum()), waiting, service)


def _together(busy: float, lanes: int) -> float:
    """Other lanes of a pool that run while one does, over the share of time that each runs.

    More than lanes − 1, for lanes are busy at the same times. From the states of M/M/c: E[B(B − 1)]/E[B] over ρ.
    """
    if lanes == 1 or not 0.0 < busy < 1.0:
        return lanes - 1.0
    load, weight = busy * lanes, 1.0
    first = second = 0.0
    total = 1.0
    for k in range(1, lanes + 1):
        weight *= load / k
        mass = weight if k < lanes else weight / (1.0 - busy)
        total += mass
        first += k * mass
        second += k * (k - 1) * mass
    return max(lanes - 1.0, second / first / busy)


def _superposed(share: NDArray[np.float64], scv: NDArray[np.float64], utilisation: float) -> float:
    """Squared variation of the gaps of streams together."""
    v = 1.0 / float(share @ share)
    w = 1.0 / (1.0 + 4.0 * (1.0 - utilisation) ** 2 * (v - 1.0))
    return w * float(share @ scv) + 1.0 - w
