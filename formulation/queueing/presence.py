"""Which tenants' weights are resident when a request comes, for independent requests with shares p_i.

Each function returns a `Presence`: how often each tenant's weights are absent, and how that hangs together with the
request served last. Sets and least-recently-used are exact up to `EXACT_TENANTS` tenants.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..compiled import njit

EXACT_TENANTS = 14
"""Least recently used: up to here all 2^n sets of recent tenants are gone through; beyond, sizes are rounded."""
BUCKETS = 1024
"""Beyond, the memory is counted in so many parts and a segment's size is rounded to the nearest number of them."""
NODES = 96
"""Beyond, Gauss–Legendre nodes over the time since a tenant's last request."""


@dataclass(frozen=True, eq=False)
class Presence:
    """Joint probabilities of absence; shapes (n,) and (n, n).

    Attributes
    ----------
    absent : ndarray, shape (n,)
        Probability π_i that a request of tenant i finds its weights absent: the swap probability.
    absent_after_hit, absent_after_miss : ndarray, shape (n, n)
        Entry [i, j]: probability that, given a request of j, j's weights were resident (absent) before it and i's are
        absent after it.
    exact : bool
        Whether these are exact, up to rounding errors.
    one_step : bool
        Whether residency depends on the previous request alone, as if every tenant evicted every other.
    """

    absent: NDArray[np.float64]
    absent_after_hit: NDArray[np.float64]
    absent_after_miss: NDArray[np.float64]
    exact: bool
    one_step: bool


def set_presence(share: NDArray[np.float64], sets: NDArray[np.int64]) -> Presence:
    """Sets that evict each other; members come back one by one, each with its first request.

    Tenant i of set S is absent if, going back, a request from outside S comes before one of i: with a = 1 − P_S
    outside, π_i = a/(a + p_i); two members are both absent with probability a/(a + p_i + p_j). Sets of one are token
    residency.
    """
    same = sets[:, None] == sets[None, :]
    outside = np.maximum(0.0, 1.0 - same @ share)
    alone = same.all(axis=1)
    outside[alone] = 0.0
    singles = same.sum(axis=1) == 1
    absent = np.where(singles, np.where(alone, 0.0, 1.0 - share), outside / (outside + share))
    both = outside[:, None] / (outside[:, None] + share[:, None] + share[None, :])
    hit = np.where(same, absent[:, None] - both, 1.0 - absent[None, :])
    miss = np.where(same, both, absent[None, :])
    np.fill_diagonal(hit, 0.0)
    np.fill_diagonal(miss, 0.0)
    return Presence(absent, np.maximum(0.0, hit), miss, True, bool(singles.all()))


def lru_presence(share: NDArray[np.float64], size_bytes: NDArray[np.int64], capacity_bytes: int) -> Presence:
    """Whole segments, least recently used first out.

    The segments resident are always the longest run of the most recently requested that fits together, so tenant i is
    resident exactly if it and all tenants requested since its own last request fit. (A segment of more than the memory
    counts as the whole of it.)
    """
    size = np.minimum(size_bytes, capacity_bytes).astype(np.float64)
    room = float(capacity_bytes)
    n = len(share)
    if size.sum() <= room:
        nothing = np.zeros((n, n))
        return Presence(np.zeros(n), nothing, nothing, True, n == 1)
    small = np.sort(size)[:2]
    if n > 1 and small.sum() > room:
        return set_presence(share, np.arange(n))
    if n <= EXACT_TENANTS:
        present, hit, either = _subsets(share, size, room)
        absent = np.maximum(0.0, 1.0 - present)
        after_hit = np.maximum(0.0, present[None, :] - hit)
        after_miss = np.maximum(0.0, absent[None, :] - (either - hit))
        np.fill_diagonal(after_hit, 0.0)
        np.fill_diagonal(after_miss, 0.0)
        return Presence(absent, after_hit, after_miss, True, False)
    points, weights = np.polynomial.legendre.leggauss(NODES)
    parts = np.rint(size / room * BUCKETS).astype(np.int64)
    absent = 1.0 - _rounded(share, parts, 0.5 * (points + 1.0), 0.5 * weights)
    # Absence after a request of somebody else is taken to be independent of whether that one was a hit.
    after = (absent / (1.0 - share))[:, None] * (1.0 - np.eye(n))
    return Presence(absent, after * (1.0 - absent)[None, :], after * absent[None, :], False, False)


@njit(cache=True, nogil=True)
def _subsets(share, size, room):
    """P(i resident); and given a request of j: P(i resident after it and j before it), P(i resident after it).

    ``reach[A]`` is the probability that the first |A| distinct tenants met going back are those of A; the next is i
    with probability p_i / (1 − p(A)). O(2^n n²).
    """
    n = len(share)
    count = 1 << n
    reach, filled, rest = np.zeros(count), np.zeros(count), np.ones(count)
    present, hit, either = np.zeros(n), np.zeros((n, n)), np.zeros((n, n))
    reach[0] = 1.0
    for a in range(count):
        # From the tenants that are not in A, not 1 − p(A), which would cancel.
        outside = 0.0
        for i in range(n):
            if not a >> i & 1:
                outside += share[i]
        rest[a] = outside
        for i in range(n):
            if a >> i & 1:
                filled[a] = filled[a & ~(1 << i)] + size[i]
                break
        if reach[a] == 0.0 or outside == 0.0:
            continue
        for i in range(n):
            if a >> i & 1:
                continue
            step = reach[a] * share[i] / outside
            reach[a | 1 << i] += step
            if filled[a] + size[i] > room:
                continue
            # i is the next one met, and still resident.
            present[i] += step
            for j in range(n):
                if j == i:
                    continue
                if a >> j & 1:
                    # j is more recent. If j is requested, it is a hit and i stays; if i is, likewise j.
                    hit[i, j] += step
                    hit[j, i] += step
                    either[i, j] += step
                elif filled[a] + size[i] + size[j] <= room:
                    # j is older or absent. If it is requested, i stays where all three fit together.
                    either[i, j] += step
    return present, hit, either


@njit(cache=True, nogil=True)
def _rounded(share, parts, points, weights):
    """P(i resident) with sizes in parts: in continuous time the others have come since independently of each other."""
    n = len(share)
    present = np.zeros(n)
    for i in range(n):
        room = BUCKETS - parts[i]
        for node in range(len(points)):
            since = -np.log1p(-points[node]) / share[i]
            mass = np.zeros(room + 1)
            mass[0] = 1.0
            for j in range(n):
                if j == i:
                    continue
                stays = np.exp(-share[j] * since)
                for k in range(room, -1, -1):
                    mass[k] *= stays
                    if k >= parts[j]:
                        # Going down, mass[k − parts] is still the old one.
                        mass[k] += (1.0 - stays) * mass[k - parts[j]]
            present[i] += weights[node] * mass.sum()
    return present
