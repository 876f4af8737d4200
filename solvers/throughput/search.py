"""Local search over structures: from several starts, first improvement in a shuffled order, then disturbed copies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np

from ..stop import Stop
from .moves import neighbours, rebatched, repaired
from .offer import Offer
from .rates import Rates, Scored
from .structure import Structure

_STARTS = 40
_CLIMBED = 8
"""Starts that a climb begins at: the best of them."""
_DISTURBED = 10
"""Times that the best found is disturbed; each ends in a local optimum."""
_NOTHING = 1e-4
"""A batch that gains no more than this share is left out: larger batches only delay."""
_ALL_BATCHES = 4
"""Up to so many models, starts have every mix of batches of one and the largest."""

_DEALS = 50
"""Ways to deal the instances of the best structure to lanes that are tried, at most."""


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
        n = len(offer.batchings)
        mixes = product((False, True), repeat=n) if n <= _ALL_BATCHES else ((False,) * n, (True,) * n)
        for largest in mixes:
            batching = tuple(len(o) - 1 if most else 0 for o, most in zip(offer.batchings, largest, strict=True))
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
    """One instance of each model, batches of one, at random places: on lanes that they share, then on their own."""
    rng = np.random.default_rng(0)
    for _ in range(2 * _STARTS):
        instances, users = {}, [0] * len(offer.kinds)
        for i in range(len(offer.batchings)):
            options = offer.columns_of(i, offer.batchings[i][0].max_batch)
            c = int(rng.choice(options))
            instances[c] = 1
            for k in offer.columns[c].kinds:
                users[k] += 1
        shared = [min(count, 1) for count in users]
        for lanes in (shared, users) if users != shared else (shared,):
            made = repaired(offer, [0] * len(offer.batchings), instances, lanes)
            if made is not None:
                yield made


def local_search(offer: Offer, rates: Rates, stop: Stop, seed: int, good_enough: float = -np.inf) -> Scored | None:
    """The best structure found; None where none keeps the limits. Ends early at an objective of `good_enough`."""
    climb = _Climb(offer, rates, stop, seed, good_enough)
    found = [scored for structure in climb.shuffled(starts(offer))[:_STARTS] if (scored := climb.scored(structure))]
    if not found:
        for structure in singles(offer):
            if (scored := climb.scored(structure)) is not None:
                found.append(scored)
                break
    if not found:
        return None
    found.sort(key=lambda scored: scored.objective)
    best = min((climb.top(scored) for scored in found[:_CLIMBED]), key=lambda scored: scored.objective)
    for _ in range(_DISTURBED):
        if climb.done(best):
            break
        # Two random moves away, the way up from there.
        place = best.structure
        for _ in range(2):
            around = list(neighbours(offer, place))
            if around:
                place = around[climb.draw(len(around))]
        scored = climb.scored(place)
        if scored is not None:
            best = min(best, climb.top(scored), key=lambda scored: scored.objective)
    best = rates.best_dealt(best.structure, best.objective, _DEALS)[0] or best
    return _simplest(offer, rates, best)


def _simplest(offer: Offer, rates: Rates, best: Scored) -> Scored:
    """Without the batches that buy nothing: each model at the smallest batch that loses no more than `_NOTHING`."""
    worst = best.objective + _NOTHING * abs(best.objective)
    for i, options in enumerate(offer.batchings):
        for n in range(len(options)):
            structure = best.structure
            if options[n].max_batch >= options[structure.batching[i]].max_batch:
                break
            batching = [n if j == i else b for j, b in enumerate(structure.batching)]
            instances = rebatched(offer, dict(structure.instances), i, options[n].max_batch)
            made = repaired(offer, batching, instances, structure.lanes)
            scored = None if made is None else rates.best(made, worst)
            if scored is not None:
                best = scored
                break
    return best


class _Climb:
    """First improvement until nothing near is better."""

    def __init__(self, offer: Offer, rates: Rates, stop: Stop, seed: int, good_enough: float) -> None:
        self._offer, self._rates, self._stop, self._good_enough = offer, rates, stop, good_enough
        self._rng = np.random.default_rng(seed)
        self._known: dict[Structure, float] = {}

    def draw(self, count: int) -> int:
        """A random number below `count`."""
        return int(self._rng.integers(count))

    def shuffled(self, structures: Iterable[Structure]) -> list[Structure]:
        """In random order, each once."""
        listed = list(dict.fromkeys(structures))
        return [listed[k] for k in self._rng.permutation(len(listed))]

    def done(self, best: Scored | None = None) -> bool:
        """Whether time is over or nothing better is wanted."""
        return self._stop() or (best is not None and best.objective <= self._good_enough)

    def scored(self, structure: Structure, better_than: float = np.inf) -> Scored | None:
        """Scored, unless it is known not to be better; None where it is not, or time is over."""
        # What was scored before has no better objective than what it was asked to beat then.
        if self.done() or self._known.get(structure, -np.inf) >= better_than:
            return None
        scored = self._rates.best(structure, better_than)
        self._known[structure] = better_than if scored is None else scored.objective
        return scored

    def top(self, scored: Scored) -> Scored:
        """Up from here."""
        while not self.done(scored):
            for structure in self.shuffled(neighbours(self._offer, scored.structure)):
                better = self.scored(structure, scored.objective)
                if better is not None:
                    scored = better
                    break
            else:
                break
        return scored
