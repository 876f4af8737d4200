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
from numpy.typing import ArrayLike

from .batches import Forming
from .flow import Flow, PathPrediction
from .layout import Layout, layout_of
from .limits import BrokenLimit, ServiceLimit, broken_limits
from .memory import memory_bytes
from .objective import cost_of, value_of
from .plan import ServicePlan
from .problem import ThroughputProblem
from .timing import StageCosts


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
    flow = Flow(problem, costs, layout, path_hz, forming)
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
