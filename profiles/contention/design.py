"""Which activities to measure side by side: for the fit each beside a few probes, and others to check it by."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...formulation import Activity

CoRun = tuple[int, ...]
"""Activities that run side by side, as ascending indices; an index that repeats is several instances of one."""

HELD_OUT_POOL = 5000
"""Most triples that those held out are drawn from; they grow with the cube of the activities."""


@dataclass(frozen=True)
class CoRunDesign:
    """Co-runs to measure.

    Attributes
    ----------
    probes : tuple of int
        Activities that every activity is measured beside.
    fitted : tuple of CoRun
        Every activity beside every probe; and, where that does not oversubscribe the cores, beside as many probes as it
        takes, up to three members.
    held_out : tuple of CoRun
        Other pairs and triples, only used to state the prediction's error.
    """

    probes: tuple[int, ...]
    fitted: tuple[CoRun, ...]
    held_out: tuple[CoRun, ...]


def threads_per_core(co_run: CoRun, activities: Sequence[Activity], cores: int) -> float:
    """Threads of a co-run for each core."""
    return sum(activities[i].threads for i in co_run) / cores


def design_co_runs(
    activities: Sequence[Activity],
    weight_bytes: Sequence[float],
    cores: int,
    *,
    n_probes: int = 3,
    n_pairs: int = 10,
    n_triples: int = 10,
    most_oversubscribed: float = 2.0,
    seed: int = 0,
) -> CoRunDesign:
    """Choose co-runs: about ``(n_probes + 1) · n`` for the fit of n activities, instead of n².

    Parameters
    ----------
    activities : sequence of Activity
    weight_bytes : sequence of float
        Of each activity's model. The probes span their range: what reads more memory presses more.
    cores : int
    n_probes, n_pairs, n_triples : int
        Probes, and pairs and triples held out; fewer where there are not as many.
    most_oversubscribed : float
        Largest number of threads for each core.
    seed : int
        Of the draw of what is held out.
    """

    def fits(co_run: CoRun) -> bool:
        return threads_per_core(co_run, activities, cores) <= most_oversubscribed

    probes = choose_probes(activities, weight_bytes, n_probes)
    fitted: dict[CoRun, None] = {}
    for i in range(len(activities)):
        oversubscribed = False
        for pair in (_co_run(i, p) for p in probes):
            if fits(pair):
                fitted[pair] = None
                oversubscribed |= threads_per_core(pair, activities, cores) > 1
        if not oversubscribed:
            # Probes take turns, so that no one pair of them stands for all company.
            turns = list(itertools.combinations_with_replacement(probes, 2))
            triples = [_co_run(i, *turns[(i + k) % len(turns)]) for k in range(len(turns))]
            crowded = [t for t in triples if fits(t) and threads_per_core(t, activities, cores) > 1]
            fitted.update(dict.fromkeys(crowded[:1]))
    rng = np.random.default_rng(seed)
    held_out: list[CoRun] = []
    for size, count in ((2, n_pairs), (3, n_triples)):
        pool = [c for c in _pool(len(activities), size, rng) if c not in fitted and fits(c)]
        # As many of those within the cores as of those that oversubscribe them, where there are both.
        within = [c for c in pool if threads_per_core(c, activities, cores) <= 1]
        beyond = [c for c in pool if threads_per_core(c, activities, cores) > 1]
        first = spread(within, max(count - count // 2, count - len(beyond)), len(activities))
        held_out += first + spread(beyond, count - len(first), len(activities))
    return CoRunDesign(probes, tuple(fitted), tuple(held_out))


def choose_probes(activities: Sequence[Activity], weight_bytes: Sequence[float], count: int) -> tuple[int, ...]:
    """Activities of few threads, from the least to the most weights; one a model as long as there are others."""
    fewest = min(a.threads for a in activities)
    candidates = sorted((i for i, a in enumerate(activities) if a.threads == fewest), key=lambda i: weight_bytes[i])
    first_of = {activities[i].model: i for i in reversed(candidates)}
    distinct = [i for i in candidates if first_of[activities[i].model] == i]
    others = [i for i in candidates if i not in distinct]
    if count >= len(distinct):
        return tuple(distinct + others[: count - len(distinct)])
    # The heaviest is always there, the lightest from two on.
    positions = np.linspace(len(distinct) - 1, 0, count) if count > 1 else np.array([len(distinct) - 1])
    return tuple(sorted(distinct[round(float(at))] for at in positions))


def spread(pool: Iterable[CoRun], count: int, n: int) -> list[CoRun]:
    """Take co-runs in their order, those first whose activities were taken least."""
    left, taken = list(pool), np.zeros(n)
    chosen: list[CoRun] = []
    while left and len(chosen) < count:
        best = min(left, key=lambda c: sum(taken[i] for i in c))
        left.remove(best)
        chosen.append(best)
        taken[list(best)] += 1
    return chosen


def _pool(n: int, size: int, rng: np.random.Generator) -> list[CoRun]:
    """Co-runs of a size, several instances of one activity among them, in random order."""
    if n**size <= HELD_OUT_POOL:
        every = list(itertools.combinations_with_replacement(range(n), size))
        return [every[k] for k in rng.permutation(len(every))]
    drawn = np.sort(rng.integers(0, n, (HELD_OUT_POOL, size)), axis=1)
    return list(dict.fromkeys(tuple(int(i) for i in row) for row in drawn))


def _co_run(*members: int) -> CoRun:
    return tuple(sorted(members))
