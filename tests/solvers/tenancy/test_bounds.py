"""The bound of a slice is below every allocation in it."""

import numpy as np
from edgeplan.formulation import CoCompiledResidency, TokenResidency
from edgeplan.solvers.tenancy.search_space import SearchSpace
from edgeplan.solvers.tenancy.slices import slice_bound
from edgeplan.solvers.tenancy.testing import random_tenancy


def test_slice_bounds_hold_for_random_choices():
    rng = np.random.default_rng(0)
    below, tightest = 0, 0.0
    for seed in range(6):
        for residency in (TokenResidency(), CoCompiledResidency()):
            problem = random_tenancy(4, 8, 6, 0.5 + 0.2 * seed, seed, residency)
            space = SearchSpace.of(problem)
            for _ in range(60):
                point = rng.integers(0, 8, 4)
                order = rng.permutation(4)
                total = space.total(point, order)
                if not np.isfinite(total):
                    continue
                allocation = space.allocation(point, order)
                load = space.evaluation(allocation).accelerator_utilisation
                low, high = load * rng.uniform(0.9, 1), min(1.0, load * rng.uniform(1, 1.1))
                partials = [-1, *np.flatnonzero(point > 0)] if residency.kind == "co_compiled" else [-1]
                bound = min(
                    slice_bound(space.rate, point > 0, p, low, high, space.tables, space.waits, np.inf)[0]
                    for p in partials
                )
                assert bound <= total * (1 + 1e-9)
                below += 1
                tightest = max(tightest, bound / total)
    assert below > 300
    assert tightest > 0.9
