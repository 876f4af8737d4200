"""Neighbours of a structure: one more or one fewer instance, other lanes, another batch, another column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .offer import Offer
from .structure import Structure, fits, trimmed


def repaired(
    offer: Offer, batching: Sequence[int], instances: Mapping[int, int], lanes: Sequence[int]
) -> Structure | None:
    """A structure of these parts with instances that have no lane left out; None where that does not fit."""
    kept = {}
    for c, count in instances.items():
        column = offer.columns[c]
        most = min(offer.most_instances(c), max(lanes[k] for k in column.kinds))
        if count > 0 and most > 0 and all(lanes[k] for k in column.kinds):
            kept[c] = min(count, most)
    made = trimmed(offer, Structure(tuple(batching), tuple(sorted(kept.items())), tuple(lanes)))
    return made if fits(offer, made) else None


def neighbours(offer: Offer, structure: Structure) -> Iterator[Structure]:
    """Structures one move away, each that fits; in a fixed order."""
    instances = dict(structure.instances)
    for batching, others, lanes in _moves(offer, structure, instances):
        made = repaired(offer, batching, others, lanes)
        if made is not None and made != structure:
            yield made


Parts = tuple[Sequence[int], Mapping[int, int], Sequence[int]]


def _moves(offer: Offer, structure: Structure, instances: dict[int, int]) -> Iterator[Parts]:
    batching, lanes = structure.batching, structure.lanes
    for i, options in enumerate(offer.batchings):
        for n in range(len(options)):
            if n != batching[i]:
                changed = tuple(n if j == i else b for j, b in enumerate(batching))
                yield changed, rebatched(offer, instances, i, options[n].max_batch), lanes
    for c, count in instances.items():
        yield batching, {**instances, c: count - 1}, lanes
        yield batching, {k: n for k, n in instances.items() if k != c}, lanes
        yield from ((batching, {**instances, c: count + 1}, more) for more in _with_lanes(offer, lanes, c, count + 1))
        most = offer.most_instances(c)
        if most > count + 1:
            yield from ((batching, {**instances, c: most}, more) for more in _with_lanes(offer, lanes, c, most))
    for i in range(len(offer.batchings)):
        mine = [c for c in instances if offer.columns[c].model == i]
        for c in offer.columns_of(i, offer.batchings[i][batching[i]].max_batch):
            if c in instances:
                continue
            for count in {1, offer.most_instances(c)}:
                for more in _with_lanes(offer, lanes, c, count):
                    apart = {k: n for k, n in instances.items() if not _meet(offer, k, c)}
                    yield batching, {**apart, c: count}, more
                    yield batching, {**{k: n for k, n in instances.items() if k not in mine}, c: count}, more
    for k, count in enumerate(lanes):
        if count:
            yield batching, instances, tuple(n - (j == k) for j, n in enumerate(lanes))
        yield batching, instances, tuple(n + (j == k) for j, n in enumerate(lanes))


def _meet(offer: Offer, one: int, other: int) -> bool:
    """Whether two columns would have one model twice on a kind of lane."""
    a, b = offer.columns[one], offer.columns[other]
    return a.model == b.model and bool(set(a.kinds) & set(b.kinds))


def _with_lanes(offer: Offer, lanes: Sequence[int], column: int, count: int) -> Iterator[tuple[int, ...]]:
    """Lanes as they are where they do; and with enough for so many instances, taken from other kinds if need be."""
    kinds = offer.columns[column].kinds
    if all(lanes[k] for k in kinds):
        yield tuple(lanes)
    grown = list(lanes)
    for k in kinds:
        grown[k] = max(grown[k], min(count, offer.lanes_at_most(k)))
        processor = offer.kinds[k].processor
        cores = len(offer.problem.platform.processor_by_name[processor].cores)
        same = [j for j, kind in enumerate(offer.kinds) if kind.processor == processor and j != k]
        while sum(offer.kinds[j].threads * grown[j] for j in [*same, k]) > cores and any(grown[j] for j in same):
            largest = max(same, key=lambda j: offer.kinds[j].threads * grown[j])
            grown[largest] -= 1
    if tuple(grown) != tuple(lanes):
        yield tuple(grown)


def rebatched(offer: Offer, instances: Mapping[int, int], model: int, batch: int) -> dict[int, int]:
    """Instances with those of one model at another batch size, on the same kinds of lanes where there are any."""
    changed = {c: n for c, n in instances.items() if offer.columns[c].model != model}
    at_batch = offer.columns_of(model, batch)
    for c, n in instances.items():
        column = offer.columns[c]
        if column.model == model:
            alike = [k for k in at_batch if offer.columns[k].kinds == column.kinds]
            # Of the cuts of a pipeline the one nearest to what it was.
            alike.sort(key=lambda k: abs(offer.columns[k].stages[0].stop - column.stages[0].stop))
            if alike and not any(_meet(offer, k, alike[0]) for k in changed):
                changed[alike[0]] = n
    return changed
