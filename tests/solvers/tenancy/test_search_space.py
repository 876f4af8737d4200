"""Many candidates scored at once are what the evaluator says of each."""

import numpy as np
import pytest
from edgeplan.formulation import CoCompiledResidency, TokenResidency
from edgeplan.solvers.tenancy.search_space import SearchSpace
from edgeplan.solvers.tenancy.testing import random_tenancy


@pytest.mark.parametrize("residency", [TokenResidency(), CoCompiledResidency()], ids=lambda r: r.kind)
def test_candidates_at_once_are_scored_as_by_the_evaluator(residency):
    rng = np.random.default_rng(1)
    for seed in range(4):
        space = SearchSpace.of(random_tenancy(4, 8, 6, 0.7, seed, residency))
        points = rng.integers(0, 8, (50, 4))
        order = rng.permutation(4)
        found = space.mean_responses_us(points, order)
        rough = space.mean_responses_us(points, order, exact=False)
        assert np.isfinite(found).any()
        for point, value, closed in zip(points, found, rough, strict=True):
            allocation = space.allocation(point, order)
            if allocation is None:
                assert value == np.inf
                continue
            assert value == pytest.approx(space.evaluation(allocation).mean_response_us, rel=1e-9)
            assert closed == pytest.approx(value, rel=0.05)
