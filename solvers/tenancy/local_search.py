"""Local search: coordinate descent from many starts, then from disturbed copies of the best."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...formulation import Allocation, TenancyProblem
from ..stop import Stop
from .descent import descend, descend_by_pairs, improve_order
from .features import TenancyFeatures
from .outcome import no_stable_allocation, solution_of
from .overload import least_utilisation
from .search_space import SearchSpace
from .slices import slice_bound, slice_choice
from .solution import TenancySolution
from .tables import CO_COMPILED, LRU

Points = NDArray[np.int64]
_SLICE = 0.05
"""Width of the slices of utilisation whose bounds give starts."""


def whole_models(space: SearchSpace) -> Points:
    """Every tenant at its last point that can run."""
    runs = space.tables.runs
    return (runs.shape[1] - 1 - np.argmax(runs[:, ::-1], axis=1)).astype(np.int64)


def starts(space: SearchSpace, rng: np.random.Generator) -> Iterator[Points]:
    """Where descents begin: nothing, everything or what fits on the accelerator, each tenant alone, random points."""
    runs = space.tables.runs
    n = len(runs)
    first = np.argmax(runs, axis=1).astype(np.int64)
    whole = whole_models(space)
    yield first
    yield whole
    fits = runs & (space.tables.usable_bytes <= space.tables.capacity_bytes / n)
    yield np.where(fits.any(axis=1), runs.shape[1] - 1 - np.argmax(fits[:, ::-1], axis=1), first).astype(np.int64)
    for i in range(n):
        alone = first.copy()
        alone[i] = whole[i]
        yield alone
    for _ in range(2 * n):
        yield np.array([rng.choice(np.flatnonzero(row)) for row in runs], dtype=np.int64)


def priced_starts(space: SearchSpace, on: NDArray[np.bool_], enough: float) -> Iterator[Points]:
    """The choices that attain the exact search's bounds, over slices where less than `enough` is possible.

    Near the limit of what is stable, single moves do not lead from one good allocation to another; these do not depend
    on where a search comes from.
    """
    for low in np.arange(0.0, 1.0, _SLICE):
        high = min(1.0, low + _SLICE)
        arguments = (space.rate, on, -1, low, high, space.tables, space.waits, enough)
        bound, on_load, on_bytes = slice_bound(*arguments)
        point = np.zeros(len(on), dtype=np.int64)
        if bound < enough and slice_choice(
            space.rate, on, low, high, on_load, on_bytes, space.tables, space.waits, point
        ):
            yield point


def disturbed(point: Points, space: SearchSpace, rng: np.random.Generator) -> Points:
    """Copy in which one to three tenants are moved to nothing, everything, or a random point."""
    runs, whole = space.tables.runs, whole_models(space)
    moved = point.copy()
    for i in rng.choice(len(point), size=min(len(point), int(rng.integers(1, 4))), replace=False):
        choices = [np.flatnonzero(runs[i])[0], whole[i], rng.choice(np.flatnonzero(runs[i]))]
        moved[i] = choices[int(rng.integers(3))]
    return moved


def descended(space: SearchSpace, point: Points, order: Points) -> float:
    """Descend from a point in place; with co-compiled tenants over the order of memory too."""
    total = descend(space.rate, point, order, space.tables, space.waits)
    while space.tables.kind == CO_COMPILED:
        improved = improve_order(space.rate, point, order, space.tables, space.waits)
        again = descend(space.rate, point, order, space.tables, space.waits)
        if not again < min(total, improved) * (1 - 1e-12):
            return min(improved, again)
        total = again
    return total


def best_found(
    space: SearchSpace, stop: Stop, seed: int, disturbances: int = 200, score: bool = True
) -> Allocation | None:
    """Best allocation of a multi-start search, None where nothing stable was found.

    The compiled search ranks by closed forms; the best few different ends are scored by the evaluator, which decides,
    unless `score` is off.
    """
    rng = np.random.default_rng(seed)
    ends: dict[tuple[int, ...], tuple[float, Points, Points]] = {}

    def descend_from(point: Points, order: Points) -> float:
        total = descended(space, point, order)
        if np.isfinite(total):
            ends[tuple(point)] = (total, point, order)
        return total

    for point in starts(space, rng):
        if stop() and ends:
            break
        descend_from(point, space.default_order)
    everyone = np.array([row[1:].any() for row in space.tables.runs], dtype=np.bool_)
    for point in priced_starts(space, everyone, np.inf):
        if stop() and ends:
            break
        descend_from(point, space.default_order)
    if not ends:
        return None
    best = min(ends.values(), key=lambda end: end[0])
    # One tenant more or less on the accelerator than in the best so far, and the best set itself.
    for changed in range(len(everyone) + 1):
        on = np.array([(k > 0) != (i == changed) for i, k in enumerate(best[1])], dtype=np.bool_)
        for point in priced_starts(space, on & everyone, best[0]):
            if stop():
                break
            descend_from(point, best[2].copy())
        best = min(ends.values(), key=lambda end: end[0])
    for _ in range(disturbances):
        if stop():
            break
        trial, order = disturbed(best[1], space, rng), best[2].copy()
        total = descend_from(trial, order)
        if total < best[0]:
            best = (total, trial, order)
    if not stop():
        trial, order = best[1].copy(), best[2].copy()
        total = descend_by_pairs(space.rate, trial, order, space.tables, space.waits, best[0])
        ends[tuple(trial)] = (min(total, descended(space, trial, order)), trial, order)
    leading = sorted(ends.values(), key=lambda end: end[0])[:5]
    if not score:
        return space.allocation(leading[0][1], leading[0][2])
    found = [(_scored(space, point, order), point, order) for _, point, order in leading]
    if space.tables.kind == LRU:
        found = [(polish(space, p, o, stop), p, o) for _, p, o in sorted(found, key=lambda entry: entry[0])[:3]]
    _, point, order = min(found, key=lambda entry: entry[0])
    return space.allocation(point, order)


def _scored(space: SearchSpace, point: Points, order: Points) -> float:
    """Mean response by the evaluator; ∞ where unstable."""
    allocation = space.allocation(point, order)
    return np.inf if allocation is None else space.evaluation(allocation).mean_response_us


def polish(space: SearchSpace, point: Points, order: Points, stop: Stop) -> float:
    """Coordinate descent by the evaluator itself, in place: the compiled search knows LRU only roughly.

    Returns
    -------
    float
        Mean response.
    """
    least = _scored(space, point, order)
    unchanged, i = 0, -1
    while unchanged < len(point) and not stop():
        i = (i + 1) % len(point)
        unchanged += 1
        for k in np.flatnonzero(space.tables.runs[i]):
            trial = point.copy()
            trial[i] = k
            value = _scored(space, trial, order)
            if value < least * (1 - 1e-12):
                least, point[i], unchanged = value, k, 0
    return least


class LocalSearch:
    """Coordinate descent over partition points with exact core assignment, restarted and disturbed."""

    name = "local_search"
    features = TenancyFeatures(exact=False)

    def solve(self, problem: TenancyProblem, stop: Stop, seed: int) -> TenancySolution:
        """Search until the disturbances are done or time is up."""
        space = SearchSpace.of(problem)
        if (utilisation := least_utilisation(space)) >= 1.0:
            return no_stable_allocation(self.name, problem, utilisation)
        allocation = best_found(space, stop, seed)
        if allocation is None:
            return TenancySolution("timeout", self.name)
        return solution_of(self.name, problem, allocation)
