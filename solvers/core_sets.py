"""Families of core sets: which cores a segment may be given.

Up to `ALL_SUBSETS_CORES` cores of a processor every subset is offered, which leaves nothing out. Beyond, aligned
blocks: the cores in runs of 1, 2, 4, …, of each thread count in use, and all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise

from ..formulation import Problem, Processor

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
    return {p.name: family(p, used.get(p.name, ())) for p in problem.platform.processors}


def sibling_pairs(processor: Processor, sets: Sequence[CoreSet]) -> tuple[tuple[CoreSet, CoreSet], ...]:
    """Pairs of disjoint sets that may be ordered by load, because swapping the two leaves the family as it is.

    For all subsets these are neighbouring cores; for blocks of powers of two, the halves of every block. Sorting by
    all pairs at once is possible in both cases, so that each plan keeps a representative. Other families: none.
    """
    cores = tuple(sorted(processor.cores))
    if len(cores) <= ALL_SUBSETS_CORES:
        return tuple(((a,), (b,)) for a, b in pairwise(cores))
    if len(cores) & (len(cores) - 1) or any(len(s) & (len(s) - 1) for s in sets):
        return ()
    return tuple((s[: len(s) // 2], s[len(s) // 2 :]) for s in sets if len(s) > 1)
