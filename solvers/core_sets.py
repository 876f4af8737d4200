"""Families of core sets: which cores a segment may be given.

Up to `ALL_SUBSETS_CORES` cores of a processor every subset is offered, which leaves nothing out. Beyond, aligned
blocks: the cores in runs of 1, 2, 4, …, of each thread count in use, and all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, product

from ..formulation import Configuration, Model, Problem, Processor

ALL_SUBSETS_CORES = 4
"""Up to so many cores of a processor every subset is offered."""

CoreSet = tuple[int, ...]


def family(processor: Processor, thread_counts: Iterable[int] = ()) -> tuple[CoreSet, ...]:
    """Core sets on offer on one processor, smaller ones first.

    Parameters
    ----------
    processor : Processor
    thread_counts : iterable of int
        Threads of the configurations in use; each gang finds blocks of its size.
    """
    cores = tuple(sorted(processor.cores))
    n = len(cores)
    if n <= ALL_SUBSETS_CORES:
        return tuple(subset for size in range(1, n + 1) for subset in combinations(cores, size))
    powers = {1 << exponent for exponent in range(n.bit_length()) if 1 << exponent <= n}
    sizes = sorted(powers | {n} | {t for t in thread_counts if t <= n})
    return tuple(cores[i : i + size] for size in sizes for i in range(0, n - size + 1, size))


def fitting(sets: Sequence[CoreSet], threads: int) -> tuple[CoreSet, ...]:
    """Sets that a configuration may be given: any for one thread, for a gang those of exactly its size."""
    return tuple(s for s in sets if threads == 1 or len(s) == threads)


def widest(processor: Processor, threads: int) -> CoreSet:
    """Set for a model that has the device to itself: all cores for one thread, the first ones for a gang."""
    cores = tuple(sorted(processor.cores))
    return cores if threads == 1 else cores[:threads]


def families(problem: Problem) -> dict[str, tuple[CoreSet, ...]]:
    """Core sets on offer by processor, for the thread counts that the problem's models use."""
    used: dict[str, set[int]] = {}
    for model in problem.models:
        for c in problem.usable[model.name]:
            configuration = model.costs.configurations[c]
            used.setdefault(configuration.processor, set()).add(configuration.threads)
    if problem.limits.core_sets == "all":
        return {p.name: (tuple(sorted(p.cores)),) for p in problem.platform.processors}
    return {p.name: family(p, used.get(p.name, ())) for p in problem.platform.processors}


Placement = tuple[CoreSet | None, ...]
"""Cores of a model's segments, one entry for each configuration; None where the configuration cannot be used."""


def placements(problem: Problem, configurations: Sequence[Configuration]) -> tuple[Placement, ...]:
    """Ways to place one model among others: one core set of each processor, or none of it.

    One thread may then use all of the set, and a gang must fill it. Staying on one set is a rule for plans of several
    models: each further set that a model uses adds waits to its response. Without requests nothing depends on cores,
    and the one placement gives every configuration the widest set.
    """
    if not problem.streams:
        processors = problem.platform.processor_by_name
        return (tuple(widest(processors[c.processor], c.threads) for c in configurations),)
    sets = families(problem)
    names = dict.fromkeys(c.processor for c in configurations)
    found: dict[Placement, None] = {}
    for chosen in product(*([*sets[name], None] for name in names)):
        given = dict(zip(names, chosen, strict=True))
        placement = tuple(
            cores if (cores := given[c.processor]) is not None and c.threads in (1, len(cores)) else None
            for c in configurations
        )
        # Where a set of some processor is of no use to any configuration, the placement without it says the same.
        if {cores for cores in placement if cores} == {cores for cores in chosen if cores} and any(placement):
            found.setdefault(placement)
    return tuple(found)


def choices_of_cores(problem: Problem, model: Model) -> tuple[tuple[tuple[CoreSet, ...], ...], ...]:
    """Every way to offer core sets to the segments of a model: for each configuration the sets to choose from.

    A model that is alone chooses for each segment; one among others chooses one placement for all of them.
    """
    configurations = [model.costs.configurations[c] for c in problem.usable[model.name]]
    if len(problem.models) > 1:
        offered = placements(problem, configurations)
        return tuple(tuple(() if s is None else (s,) for s in placement) for placement in offered)
    sets = families(problem)
    return (tuple(fitting(sets[c.processor], c.threads) for c in configurations),)


def up_to_symmetry(problem: Problem, offered: Sequence[Placement]) -> tuple[Placement, ...]:
    """Placements of a first model that represent all others, because cores of a processor are interchangeable.

    Any core set of a family of all subsets can be renamed into the first cores, and any block of a family of aligned
    powers of two into the first block of its size. For other families all placements stay.
    """
    first: set[CoreSet] = set()
    for processor in problem.platform.processors:
        cores = tuple(sorted(processor.cores))
        sets = families(problem)[processor.name]
        powers = all(len(s) & (len(s) - 1) == 0 for s in sets)
        renamed = len(cores) <= ALL_SUBSETS_CORES or powers
        first |= {s for s in sets if not renamed or s == cores[: len(s)]}
    return tuple(placement for placement in offered if all(cores is None or cores in first for cores in placement))
