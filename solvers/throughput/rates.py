"""The best rates of a structure: how each model's requests spread over its paths, and how many there may be.

The spread is that of the linear program that keeps the busiest pool least busy, without contention, at full batches;
ties go to the paths that take least lane time. Then the evaluator is asked how far the rates can grow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...formulation.throughput import ServiceEvaluation, ServiceLimit, ServicePlan
from ...formulation.throughput.evaluate import evaluate_layout
from ...formulation.throughput.layout import Layout
from ...formulation.throughput.memory import memory_bytes
from ...formulation.throughput.objective import cost_of
from .offer import Offer
from .structure import Structure, layout, plan_of

_TIE = 1e-3
_STEP = 0.85
"""From the rates that core time alone allows downwards, until the other limits hold."""
_STEPS = 30
_LAST = 1e-6
"""The last step: with next to no requests, what does not hold holds at no rate."""
_FINE = 1e-5
"""Relative difference of rates that hold from rates that do not at which the search between them ends."""


@dataclass(frozen=True)
class Scored:
    """A structure at its best rates.

    Attributes
    ----------
    structure : Structure
    layout : Layout
    path_hz, rates : ndarray
        Requests a second by path and by model.
    evaluation : ServiceEvaluation
    objective : float
        To minimise.
    """

    structure: Structure
    layout: Layout
    path_hz: NDArray[np.float64]
    rates: NDArray[np.float64]
    evaluation: ServiceEvaluation
    objective: float

    def plan(self, offer: Offer) -> ServicePlan:
        """As a plan."""
        return plan_of(offer, self.layout, self.path_hz, self.rates)


class Rates:
    """Scores structures of one offer; what was scored before is remembered.

    Parameters
    ----------
    offer : Offer
    kept : frozenset of ServiceLimit, optional
        Limits to keep, besides core time; all where left out.
    """

    def __init__(self, offer: Offer, kept: frozenset[ServiceLimit] | None = None) -> None:
        self._offer, self._problem = offer, offer.problem
        self._kept = (
            None if kept is None else kept | {ServiceLimit("cores", p.name) for p in offer.problem.platform.processors}
        )
        self._memory_kept = {
            m.name for m in offer.problem.platform.memories if kept is None or ServiceLimit("memory", m.name) in kept
        }
        self._least = np.array(
            [
                r if kept is None or ServiceLimit("rate", m.name) in kept else 0.0
                for r, m in zip(offer.problem.min_rate_hz, offer.problem.models, strict=True)
            ]
        )
        self.scored = 0

    def best(self, structure: Structure, better_than: float = np.inf) -> Scored | None:
        """Score at the best rates; None where none keep the limits, or reach an objective below `better_than`."""
        problem, offer = self._problem, self._offer
        made = layout(offer, structure)
        used = memory_bytes(problem, offer.costs, made)
        if any(used[m] > problem.memory_limit[m] for m in self._memory_kept):
            return None
        if problem.service.objective == "cost" and cost_of(problem, made) >= better_than:
            return None
        found = self._spread(made)
        if found is None:
            return None
        share, direction, most = found
        self.scored += 1
        return self._grown(structure, made, share, direction, most, better_than)

    def _grown(
        self,
        structure: Structure,
        made: Layout,
        share: NDArray[np.float64],
        direction: NDArray[np.float64],
        most: float,
        better_than: float,
    ) -> Scored | None:
        problem = self._problem
        owner = np.array([path.model for path in made.paths])

        def at(factor: float) -> Scored | None:
            rates = np.maximum(factor * direction, self._least)
            path_hz = share * rates[owner]
            evaluation = evaluate_layout(problem, self._offer.costs, made, list(path_hz), rates, self._kept)
            if not evaluation.feasible:
                return None
            return Scored(structure, made, path_hz, rates, evaluation, evaluation.objective(problem))

        if problem.service.objective == "cost":
            return at(1.0)
        best = at(most)
        if best is not None:
            return best if best.objective < better_than else None
        low, high = most, most
        floor = self._factor(better_than, direction)
        if floor >= most:
            return None
        if floor > 0.0 and (best := at(floor * (1 + 1e-6))) is None and not self._needs_company(made):
            # What does not hold at the rates to beat does not hold above them.
            return None
        if best is None:
            for step in (*([_STEP] * _STEPS), _LAST):
                high, low = low, low * step
                if low < floor or (best := at(low)) is not None:
                    break
            if best is None:
                return None
        else:
            low = floor
        while high > low * (1 + _FINE):
            # By ratio: what holds may be far below what does not.
            middle = float(np.sqrt(low * high))
            tried = at(middle)
            if tried is None:
                high = middle
            else:
                low, best = middle, tried
        return best if best.objective < better_than else None

    def _needs_company(self, made: Layout) -> bool:
        """Whether a batch is late that waits out its window, so that few requests may be late where more are not."""
        for path in made.paths:
            most = made.max_batch[path.model]
            us = sum(float(self._offer.costs.times_us(stage, most)[-1]) for stage in path.stages)
            if most > 1 and made.window_us[path.model] + us > self._problem.deadline_us[path.model]:
                return True
        return False

    def _factor(self, objective: float, direction: NDArray[np.float64]) -> float:
        """Factor of the direction at which a plan has this objective; 0 where nothing is to be beaten."""
        if not np.isfinite(objective):
            return 0.0
        problem = self._problem
        if problem.service.objective == "throughput":
            return max(0.0, -objective / float(problem.weight @ direction))
        return -objective

    def _spread(self, made: Layout) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
        """Share of each path of its model's requests, the direction that rates grow in, and the largest factor."""
        problem = self._problem
        n = len(problem.models)
        owner = np.array([path.model for path in made.paths])
        work = np.zeros((len(made.pools), len(made.paths)))
        for k, path in enumerate(made.paths):
            b = made.max_batch[path.model]
            for stage, pool in zip(path.stages, path.pools, strict=True):
                per_request_us = self._offer.costs.times_us(stage, b)[-1] / b
                work[pool, k] += per_request_us / 1e6 / len(made.pools[pool].lanes)
        objective, top = problem.service.objective, problem.limits.max_utilisation
        if objective == "throughput":
            hz = _most_throughput(work, owner, problem.weight, self._least, top)
            if hz is None:
                return None
            direction = np.bincount(owner, hz, n)
            # A model that gets nothing would never be answered; it keeps a sliver.
            direction = np.maximum(direction, 1e-6 * direction.max())
            most = 1.0
        else:
            direction = problem.weight if objective == "fair" else problem.mix_hz
            if objective == "cost":
                direction = np.maximum(direction, self._least)
            hz = _least_busy(work, owner, direction)
            if hz is None:
                return None
            most = top / float((work @ hz).max())
            if objective != "cost" and np.any(most * direction < self._least):
                # Least rates ask for another mix: the largest factor beside them, and the spread for what is served.
                most = _largest_factor(work, owner, direction, self._least, top)
                if most is None:
                    return None
                hz = _least_busy(work, owner, np.maximum(most * direction, self._least))
                if hz is None:
                    return None
        total = np.bincount(owner, hz, n)[owner]
        alone = np.bincount(owner, minlength=n)[owner]
        share = np.where(total > 0, hz / np.where(total > 0, total, 1.0), 1.0 / alone)
        return share, direction, most


def _least_busy(
    work: NDArray[np.float64], owner: NDArray[np.int64], asked: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Rates by path that serve what is asked and keep the busiest pool least busy."""
    if len(set(owner.tolist())) == len(owner):
        return asked[owner]
    from scipy.optimize import linprog

    pools, paths = work.shape
    scale = float((work * asked[owner]).max())
    tie = _TIE * work.mean(axis=0) * asked[owner] / scale
    found = linprog(
        np.append(tie, 1.0),
        A_ub=np.hstack([work * asked[owner] / scale, -np.ones((pools, 1))]),
        b_ub=np.zeros(pools),
        A_eq=np.hstack([(owner[None, :] == np.arange(len(asked))[:, None]).astype(float), np.zeros((len(asked), 1))]),
        b_eq=np.ones(len(asked)),
        method="highs",
    )
    return np.maximum(found.x[:paths], 0.0) * asked[owner] if found.status == 0 else None


def _largest_factor(
    work: NDArray[np.float64],
    owner: NDArray[np.int64],
    direction: NDArray[np.float64],
    least: NDArray[np.float64],
    top: float,
) -> float | None:
    """Largest factor of the direction that utilisation allows where no model gets less than its least rate."""
    from scipy.optimize import linprog

    scale = top / float(work.max())
    member = (owner[None, :] == np.arange(len(direction))[:, None]).astype(float)
    factor = direction[:, None] / float(direction.max())
    found = linprog(
        np.append(np.zeros(len(owner)), -1.0),
        A_ub=np.vstack(
            [
                np.hstack([work * scale, np.zeros((len(work), 1))]),
                np.hstack([-member, factor]),
                np.hstack([-member, np.zeros_like(factor)]),
            ]
        ),
        b_ub=np.concatenate([np.full(len(work), top), np.zeros(len(direction)), -least / scale]),
        method="highs",
    )
    if found.status != 0 or found.x[-1] <= 0.0:
        return None
    return float(found.x[-1]) * scale / float(direction.max())


def _most_throughput(
    work: NDArray[np.float64],
    owner: NDArray[np.int64],
    weight: NDArray[np.float64],
    least: NDArray[np.float64],
    top: float,
) -> NDArray[np.float64] | None:
    """Rates by path with the largest weighted sum that utilisation and least rates allow."""
    from scipy.optimize import linprog

    scale = 1.0 / float(work.max())
    member = (owner[None, :] == np.arange(len(weight))[:, None]).astype(float)
    found = linprog(
        -weight[owner],
        A_ub=np.vstack([work * scale, -member]),
        b_ub=np.concatenate([np.full(len(work), top), -least / scale]),
        method="highs",
    )
    return np.maximum(found.x, 0.0) * scale if found.status == 0 else None
