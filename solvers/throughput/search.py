"""Local search over structures: from several starts, first improvement in a shuffled order, then disturbed copies."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from ..stop import Stop
from .moves import neighbours, repaired
from .offer import Offer
from .rates import Rates, Scored
from .structure import Structure

_STARTS = 24
_DISTURBED = 12
"""Rounds of disturbing the best found; each ends in a local optimum."""


def starts(offer: Offer) -> Iterator[Structure]:
    """Everything everywhere: one kind of lane a processor, all models on all lanes, batches of one or the largest."""
    problem = offer.problem
    by_processor = [
        [k for k, kind in enumerate(offer.kinds) if kind.processor == p.name] or [None]
        for p in problem.platform.processors
    ]
    for kinds in product(*by_processor):
        chosen = [k for k in kinds if k is not None]
        lanes = tuple(offer.lanes_at_most(k) if k in chosen else 0 for k in range(len(offer.kinds)))
        for largest in (False, True):
            batching = tuple(len(o) - 1 if largest else 0 for o in offer.batchings)
            for timely in (True, False):
                instances: dict[int, int] = {}
                for i, options in enumerate(offer.batchings):
                    taken: set[int] = set()
                    for c in offer.columns_of(i, options[batching[i]].max_batch):
                        column = offer.columns[c]
                        late = timely and column.quickest_us > problem.deadline_us[i]
                        if (
                            len(column.kinds) == 1
                            and column.kinds[0] not in taken
                            and lanes[column.kinds[0]]
                            and not late
                        ):
                            instances[c] = lanes[column.kinds[0]]
                            taken.add(column.kinds[0])
                made = repaired(offer, batching, instances, lanes)
                if made is not None:
                    yield made


def singles(offer: Offer) -> Iterator[Structure]:
    """One instance of each model, batches of one: all on the same column kinds, least memory first."""
    rng = np.random.default_rng(0)
    for _ in range(2 * _STARTS):
        instances, lanes = {}, [0] * len(offer.kinds)
        for i in range(len(offer.batchings)):
            options = offer.columns_of(i, offer.batchings[i][0].max_batch)
            c = int(rng.choice(options))
            instances[c] = 1
            for k in offer.columns[c].kinds:
                lanes[k] = max(lanes[k], 1)
        made = repaired(offer, [0] * len(offer.batchings), instances, lanes)
        if made is not None:
            yield made


def local_search(
    offer: Offer, rates: Rates, stop: Stop, seed: int, first: tuple[Structure, ...] = (), good_enough: float = -np.inf
) -> Scored | None:
    """The best structure found; None where none keeps the limits. Ends early at an objective of `good_enough`."""
    rng = np.random.default_rng(seed)
    best: Scored | None = None
    seen: set[Structure] = set()

    def tried(structure: Structure) -> bool:
        nonlocal best
        if structure in seen:
            return False
        seen.add(structure)
        scored = rates.best(structure, np.inf if best is None else best.objective)
        if scored is None:
            return False
        best = scored
        return True

    begin = list(first) + list(starts(offer))
    rng.shuffle(begin[len(first) :])
    for structure in begin[: len(first) + _STARTS]:
        if stop():
            break
        tried(structure)
    if best is None:
        for structure in singles(offer):
            if stop() or tried(structure):
                break

    def climbed() -> None:
        improved = True
        while improved and best is not None:
            improved = False
            around = list(neighbours(offer, best.structure))
            rng.shuffle(around)
            for structure in around:
                if stop() or best.objective <= good_enough:
                    return
                if tried(structure):
                    improved = True
                    break

    climbed()
    for _ in range(_DISTURBED):
        if stop() or best is None or best.objective <= good_enough:
            break
        # Two random moves away, then every neighbour of that place is compared with the best.
        place = best.structure
        for _ in range(2):
            around = list(neighbours(offer, place))
            if around:
                place = around[int(rng.integers(len(around)))]
        tried(place)
        for structure in neighbours(offer, place):
            if stop() or best.objective <= good_enough:
                break
            tried(structure)
        climbed()
    return best
