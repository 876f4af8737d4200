"""How the instances of a structure are dealt to the lanes of their kinds: evenly by load, or in every way there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from .offer import Offer
from .structure import Deal, Structure


def dealt_evenly(offer: Offer, structure: Structure) -> Deal:
    """The heaviest instances first, each on the lanes with least to do; lanes in their order where they are equal."""
    problem = offer.problem
    asked = problem.mix_hz if np.any(problem.mix_hz > 0) else problem.weight
    load = [np.zeros(count) for count in structure.lanes]
    dealt: list[tuple[tuple[int, ...], ...]] = [()] * len(structure.instances)

    def weight(position: int) -> float:
        c, count = structure.instances[position]
        return float(asked[offer.columns[c].model]) * sum(offer.columns[c].request_us) / count

    for position in sorted(range(len(dealt)), key=lambda k: (-weight(k), k)):
        c, count = structure.instances[position]
        column, own = offer.columns[c], []
        for kind, us in zip(column.kinds, column.request_us, strict=True):
            chosen = np.sort(np.argsort(load[kind], kind="stable")[: min(count, structure.lanes[kind])])
            load[kind][chosen] += float(asked[column.model]) * us / len(chosen)
            own.append(tuple(int(lane) for lane in chosen))
        dealt[position] = tuple(own)
    return tuple(dealt)


def deals(offer: Offer, structure: Structure) -> Iterator[Deal]:
    """The even deal, then every deal that differs by more than the names of lanes (the even one among them).

    Instances of a column are on different lanes of a kind as far as there are enough; where a pipeline's stages have
    several, they meet in the order of their lanes.
    """
    yield dealt_evenly(offer, structure)
    by_kind: list[list[tuple[int, int]]] = [[] for _ in offer.kinds]
    for position, (c, _) in enumerate(structure.instances):
        for stage, kind in enumerate(offer.columns[c].kinds):
            by_kind[kind].append((position, stage))
    sizes = [
        [min(structure.instances[position][1], lanes) for position, _ in users]
        for lanes, users in zip(structure.lanes, by_kind, strict=True)
    ]
    for chosen in _all_subsets(structure.lanes, sizes):
        dealt: list[list[tuple[int, ...]]] = [[()] * len(offer.columns[c].kinds) for c, _ in structure.instances]
        for users, subsets in zip(by_kind, chosen, strict=True):
            for (position, stage), lanes in zip(users, subsets, strict=True):
                dealt[position][stage] = lanes
        yield tuple(tuple(own) for own in dealt)


Subsets = tuple[tuple[int, ...], ...]


def _all_subsets(lanes: Sequence[int], sizes: Sequence[Sequence[int]]) -> Iterator[tuple[Subsets, ...]]:
    """Every choice of subsets for every kind; as `itertools.product`, which would keep them all."""
    if not lanes:
        yield ()
        return
    for first in subsets_of(lanes[0], sizes[0]):
        for rest in _all_subsets(lanes[1:], sizes[1:]):
            yield first, *rest


def subsets_of(n_lanes: int, sizes: Sequence[int]) -> Iterator[Subsets]:
    """A set of lanes of each size, up to renaming lanes: of lanes that are in the same sets, the first are taken."""

    def further(done: Subsets, alike: list[tuple[int, ...]]) -> Iterator[Subsets]:
        if len(done) == len(sizes):
            yield done
            return
        for counts in product(*(range(len(lanes) + 1) for lanes in alike)):
            if sum(counts) != sizes[len(done)]:
                continue
            taken = [lane for lanes, k in zip(alike, counts, strict=True) for lane in lanes[:k]]
            parts = [part for lanes, k in zip(alike, counts, strict=True) for part in (lanes[:k], lanes[k:]) if part]
            yield from further((*done, tuple(sorted(taken))), parts)

    yield from further((), [tuple(range(n_lanes))] if n_lanes else [])
