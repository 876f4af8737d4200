"""What users do today, behind the same interface: fixed rules for structures, each at its best rates."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from ...formulation.throughput import ThroughputProblem
from ..stop import Share, Stop
from .features import ThroughputFeatures
from .moves import repaired
from .offer import Offer
from .outcome import solution_of
from .rates import Rates
from .search import local_search
from .solution import ThroughputSolution
from .structure import Structure


class _Rule(ABC):
    """A fixed rule: a structure of a problem."""

    name = ""
    features = ThroughputFeatures(exact=False)

    @abstractmethod
    def structure(self, offer: Offer) -> Structure | None:
        """The structure, or None where the rule does not fit the platform."""

    def solve(self, problem: ThroughputProblem, stop: Stop, seed: int) -> ThroughputSolution:
        """Apply the rule, with every window; `timeout`, with nothing found, where it keeps the limits with none."""
        offer = Offer.of(problem)
        structure = self.structure(offer)
        if structure is None:
            return ThroughputSolution("timeout", self.name)
        rates, best = Rates(offer), None
        longest = max(len([o for o in options if o.max_batch == options[-1].max_batch]) for options in offer.batchings)
        for window in range(longest):
            # The same position in every model's windows: users set one such rule for all.
            batching = []
            for n, options in zip(structure.batching, offer.batchings, strict=True):
                same = [k for k, o in enumerate(options) if o.max_batch == options[n].max_batch]
                batching.append(same[min(window, len(same) - 1)])
            made = Structure(tuple(batching), structure.instances, structure.lanes)
            best = rates.best(made, np.inf if best is None else best.objective) or best
        return solution_of(self.name, offer, best)


def fastest(
    offer: Offer, model: int, batching: int, processor: str | None = None, threads: int | None = None
) -> int | None:
    """The whole-model column that serves most requests a second on one lane; None where there is none."""
    b = offer.batchings[model][batching].max_batch
    fitting = [
        c
        for c in offer.columns_of(model, b)
        if len(offer.columns[c].kinds) == 1
        and (processor is None or offer.kinds[offer.columns[c].kinds[0]].processor == processor)
        and (threads is None or offer.kinds[offer.columns[c].kinds[0]].threads <= threads)
    ]
    return min(fitting, key=lambda c: offer.columns[c].request_us[0], default=None)


def one_each(offer: Offer, batching: list[int]) -> Structure | None:
    """One instance of each model on the processor and threads that are fastest for it; those on one take turns."""
    instances, lanes = {}, [0] * len(offer.kinds)
    for i, n in enumerate(batching):
        c = fastest(offer, i, n)
        if c is None:
            return None
        instances[c] = 1
        lanes[offer.columns[c].kinds[0]] = 1
    return repaired(offer, batching, instances, lanes)


class SingleInstance(_Rule):
    """One instance of each model, a request at a time, where that model is fastest."""

    name = "single_instance"

    def structure(self, offer: Offer) -> Structure | None:
        """One instance each, no batches."""
        return one_each(offer, [0] * len(offer.batchings))


class LargestBatch(_Rule):
    """One instance of each model at its largest batch, where that is fastest."""

    name = "largest_batch"

    def structure(self, offer: Offer) -> Structure | None:
        """One instance each, batches as large as there are."""
        return one_each(offer, [len(options) - 1 for options in offer.batchings])


class EqualCores(_Rule):
    """The cores of the processor that has most, split equally: one instance of each model on its part, no batches."""

    name = "equal_cores"

    def structure(self, offer: Offer) -> Structure | None:
        """As many threads for each as fit its part; with more models than cores they take turns."""
        largest = max(offer.problem.platform.processors, key=lambda p: len(p.cores))
        part = max(1, len(largest.cores) // len(offer.batchings))
        instances, lanes = {}, [0] * len(offer.kinds)
        for i in range(len(offer.batchings)):
            c = fastest(offer, i, 0, largest.name, part)
            if c is None:
                return None
            instances[c] = 1
            k = offer.columns[c].kinds[0]
            lanes[k] = min(lanes[k] + 1, offer.lanes_at_most(k))
        return repaired(offer, [0] * len(offer.batchings), instances, lanes)


class EachAlone:
    """Every model tuned alone on the whole platform, as tools that search one model at a time do, then put together.

    What each wants counts: where the lanes together are more than the cores, lanes are taken from the kind that has
    most, and models share those left.
    """

    name = "each_alone"
    features = ThroughputFeatures(exact=False)

    def solve(self, problem: ThroughputProblem, stop: Stop, seed: int) -> ThroughputSolution:
        """Tune each, then merge; `timeout`, with nothing found, where the merged plan breaks a limit."""
        offer = Offer.of(problem)
        batching, instances, lanes = [], {}, [0] * len(offer.kinds)
        for i, model in enumerate(problem.models):
            own = problem.service.model_copy(
                update={
                    label: {k: v for k, v in getattr(problem.service, label).items() if k == model.name}
                    for label in ("min_rate_hz", "batches", "fixed_batch", "max_instances")
                }
            )
            alone = problem.replace(models=(model,), streams=(problem.stream_of[i],), service=own)
            small = Offer.of(alone)
            found = local_search(small, Rates(small), Share(stop, 1 / (len(problem.models) - i)), seed)
            if found is None:
                return ThroughputSolution("timeout", self.name)
            batching.append(found.structure.batching[0])
            kind = {k: offer.kinds.index(x) for k, x in enumerate(small.kinds)}
            mine = [c for c, column in enumerate(offer.columns) if column.model == i]
            # The same columns in the same order, those of other models left out.
            instances |= {mine[c]: n for c, n in found.structure.instances}
            for k, n in enumerate(found.structure.lanes):
                lanes[kind[k]] += n
        for p in problem.platform.processors:
            mine = [k for k, x in enumerate(offer.kinds) if x.processor == p.name]
            for k in mine:
                lanes[k] = min(lanes[k], offer.lanes_at_most(k))
            while sum(offer.kinds[k].threads * lanes[k] for k in mine) > len(p.cores):
                lanes[max(mine, key=lambda k: offer.kinds[k].threads * lanes[k])] -= 1
        merged = repaired(offer, batching, instances, lanes)
        return solution_of(self.name, offer, None if merged is None else Rates(offer).best(merged))
