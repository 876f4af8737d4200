"""The one evaluator of service plans: utilisation, memory, and the share of requests that end in time.

Batches form as `batches` says and go to their pool, where a lane takes them first come first served. A pool's mean wait
is the two-moment formula of GI/G/c (`queueing.multi_server`, Kimura 1994, doi 10.1007/BF01158699), its arrivals the
superposition of Whitt's QNA (1983, doi 10.1002/j.1538-7305.1983.tb03204.x), split at random between paths. The wait is
taken as 0 with the probability of a free lane (Erlang C) and otherwise exponential; waits of a pipeline's stages are
added up in that form. Services take the time of the batch's size, longer by the co-run slowdown of what runs on the
other lanes of the processor, whose utilisations are solved for together.

Those are approximations; docs/problems/throughput.md holds them against the simulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .batches import Forming
from .layout import Layout, Path, layout_of
from .limits import BrokenLimit, ServiceLimit, broken_limits
from .memory import memory_bytes
from .objective import cost_of, value_of
from .plan import ServicePlan
from .problem import ThroughputProblem
from .timing import StageCosts

_ROUNDS = 200
_TOLERANCE = 1e-10


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


@dataclass(frozen=True)
class ModelPrediction:
    """What one model's requests meet.

    Attributes
    ----------
    model : str
    rate_hz : float
    forming : Forming
    paths : tuple of PathPrediction
    """

    model: str
    rate_hz: float
    forming: Forming
    paths: tuple[PathPrediction, ...]

    @property
    def mean_batch(self) -> float:
        """Requests in a batch."""
        return self.forming.mean_size

    @cached_property
    def mean_response_us(self) -> float:
        """From arrival to end; ∞ where a pool cannot keep up."""
        times, share = self.forming.waits
        company = float(times @ share.sum(axis=0))
        sizes = share.sum(axis=1)
        return company + sum(p.share * (p.wait_us + float(sizes @ p.service_us)) for p in self.paths)

    def late_share(self, time_us: float) -> float:
        """Share of requests that take longer than this."""
        times, share = self.forming.waits
        late = 0.0
        for path in self.paths:
            if not np.isfinite(path.wait_us):
                late += path.share
                continue
            left = time_us - times[None, :] - path.service_us[:, None]
            if path.waiting_probability > 0.0 and path.wait_us > 0.0:
                conditional = path.wait_us / path.waiting_probability
                beyond = path.waiting_probability * np.exp(-np.maximum(left, 0.0) / conditional)
            else:
                beyond = np.zeros_like(left)
            late += path.share * float(np.sum(share * np.where(left < 0.0, 1.0, beyond)))
        return late

    def percentile_us(self, level: float) -> float:
        """Response that a share `level` of the requests keep to; ∞ where none is."""
        if not self.paths or self.late_share(1e15) > 1.0 - level:
            return float("inf")
        low, high = 0.0, max(float(self.paths[0].service_us[-1]), 1.0)
        while self.late_share(high) > 1.0 - level:
            low, high = high, 2.0 * high
        while high - low > 1e-6 * high:
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.late_share(middle) > 1.0 - level else (low, middle)
        return high


@dataclass(frozen=True)
class ServiceEvaluation:
    """What a service plan is worth.

    Attributes
    ----------
    models : tuple of ModelPrediction
        In the problem's order.
    utilisation : dict
        By processor: share of the time of its cores that runs something; the busiest lane decides feasibility.
    busiest : dict
        By processor: utilisation of its busiest lanes.
    slowdown : float
        Largest co-run slowdown of any stage.
    memory_bytes : dict
        By memory.
    value : float
        In the objective's own unit: the factor of the mix, the weighted sum or the smallest weighted rate, or the cost.
    cost : float
        Price of what is used.
    broken : tuple of BrokenLimit
    """

    models: tuple[ModelPrediction, ...]
    utilisation: dict[str, float]
    busiest: dict[str, float]
    slowdown: float
    memory_bytes: dict[str, float]
    value: float
    cost: float
    broken: tuple[BrokenLimit, ...]

    @property
    def feasible(self) -> bool:
        """Whether every limit holds."""
        return not self.broken

    def objective(self, problem: ThroughputProblem) -> float:
        """The value as something to minimise."""
        return self.value if problem.service.objective == "cost" else -self.value


def evaluate_service(problem: ThroughputProblem, plan: ServicePlan) -> ServiceEvaluation:
    """Score a service plan.

    Raises
    ------
    PlanError
        The plan does not fit the problem; see `layout.layout_of`.
    """
    layout, instance_hz = layout_of(problem, plan)
    path_hz = [sum(instance_hz[k] for k in path.instances) for path in layout.paths]
    rates = [plan.service(model.name).rate_hz for model in problem.models]
    return evaluate_layout(problem, StageCosts(problem), layout, path_hz, rates)


def evaluate_layout(
    problem: ThroughputProblem,
    costs: StageCosts,
    layout: Layout,
    path_hz: Sequence[float],
    rates: ArrayLike,
    kept: frozenset[ServiceLimit] | None = None,
) -> ServiceEvaluation:
    """Score a layout whose paths carry `path_hz` requests a second, `rates` of each model altogether.

    `kept` restricts the limits that are looked at.
    """
    rate = np.asarray(rates, dtype=np.float64)
    forming = [
        Forming(float(r), b, w if b > 1 else 0.0)
        for r, b, w in zip(rate, layout.max_batch, layout.window_us, strict=True)
    ]
    flow = _Flow(problem, costs, layout, path_hz, forming)
    predictions = []
    for i, model in enumerate(problem.models):
        paths = tuple(flow.path(k) for k, path in enumerate(layout.paths) if path.model == i and path_hz[k] > 0.0)
        predictions.append(ModelPrediction(model.name, float(rate[i]), forming[i], paths))
    used = memory_bytes(problem, costs, layout)
    broken = broken_limits(problem, predictions, flow.busiest, used, kept)
    cost = cost_of(problem, layout)
    return ServiceEvaluation(
        tuple(predictions),
        flow.utilisation,
        flow.busiest,
        flow.slowdown,
        used,
        value_of(problem, rate, cost),
        cost,
        broken,
    )


class _Flow:
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
