"""The best rates of a structure: how each model's requests spread over its paths, and how many there may be.

The spread is that of a linear program (`spread`). Then the evaluator is asked how far the rates can grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ...formulation.throughput import ServiceEvaluation, ServiceLimit, ServicePlan
from ...formulation.throughput.evaluate import evaluate_layout
from ...formulation.throughput.layout import Layout
from ...formulation.throughput.memory import memory_bytes
from ...formulation.throughput.objective import cost_of
from .deals import deals, dealt_evenly
from .offer import Offer
from .spread import largest_factor, least_busy, most_throughput
from .structure import Deal, Structure, layout, plan_of

_STEP = 0.85
"""From the rates that core time alone allows downwards, until the other limits hold."""
_STEPS = 30
_MIXES = 8
"""Mixes of the models that are tried for the largest throughput; with each, models that are late are asked half."""
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

    def best(self, structure: Structure, better_than: float = np.inf, deal: Deal | None = None) -> Scored | None:
        """Score at the best rates; None where none keep the limits, or reach an objective below `better_than`.

        Instances are dealt evenly where no `deal` is given.
        """
        problem, offer = self._problem, self._offer
        made = layout(offer, structure, dealt_evenly(offer, structure) if deal is None else deal)
        used = memory_bytes(problem, offer.costs, made)
        if any(used[m] > problem.memory_limit[m] for m in self._memory_kept):
            return None
        if problem.service.objective == "cost" and cost_of(problem, made) >= better_than:
            return None
        self.scored += 1
        best, most_hz = None, np.full(len(problem.models), np.inf)
        for _ in range(_MIXES if problem.service.objective == "throughput" else 1):
            found = self._spread(made, most_hz)
            if found is None or self._factor(better_than, found[1]) >= found[2]:
                break
            grown = self._grown(structure, made, *found, better_than)
            if grown is not None:
                best, better_than = grown, grown.objective
            less = self._asked_less(made, *found)
            if less is None:
                break
            most_hz = np.minimum(most_hz, less)
        return best

    def best_dealt(
        self, structure: Structure, better_than: float = np.inf, most: int | None = None
    ) -> tuple[Scored | None, bool]:
        """Score at the best rates and the best deal; and whether every deal was tried, which are at most `most`."""
        best, known = None, deals(self._offer, structure)
        for deal in islice(known, most):
            scored = self.best(structure, better_than, deal)
            if scored is not None:
                best, better_than = scored, scored.objective
        return best, next(known, None) is None

    def _asked_less(
        self, made: Layout, share: NDArray[np.float64], direction: NDArray[np.float64], most: float
    ) -> NDArray[np.float64] | None:
        """Half the rates of the models that are late at these, the others' without limit; None where none can be less.

        Rates of the largest weighted sum may all go to a model that is then late. What it is not asked, others are.
        """
        problem = self._problem
        rates = np.maximum(most * direction, self._least)
        path_hz = share * rates[[path.model for path in made.paths]]
        seen = evaluate_layout(problem, self._offer.costs, made, list(path_hz), rates, self._kept)
        late = [problem.model_index[b.limit.subject] for b in seen.broken if b.limit.kind == "response"]
        less = np.full(len(rates), np.inf)
        less[late] = np.maximum(0.5 * rates[late], self._least[late])
        return less if np.any(less < rates) else None

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

    def _spread(
        self, made: Layout, most_hz: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
        """Share of each path of its model's requests, the direction that rates grow in, and the largest factor.

        For throughput, no model is asked more than `most_hz`.
        """
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
            hz = most_throughput(work, owner, problem.weight, self._least, most_hz, top)
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
            hz = least_busy(work, owner, direction)
            if hz is None:
                return None
            most = top / float((work @ hz).max())
            if objective != "cost" and np.any(most * direction < self._least):
                # Least rates ask for another mix: the largest factor beside them, and the spread for what is served.
                most = largest_factor(work, owner, direction, self._least, top)
                if most is None:
                    return None
                hz = least_busy(work, owner, np.maximum(most * direction, self._least))
                if hz is None:
                    return None
        total = np.bincount(owner, hz, n)[owner]
        alone = np.bincount(owner, minlength=n)[owner]
        share = np.where(total > 0, hz / np.where(total > 0, total, 1.0), 1.0 / alone)
        return share, direction, most
