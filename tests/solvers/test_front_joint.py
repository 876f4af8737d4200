"""Joint fronts against the sums of all combinations."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from edgeplan.formulation import WorkloadError
from edgeplan.solvers import chain_front, joint_front
from edgeplan.solvers.pareto import non_dominated


def drawn(count: int, width: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).integers(0, 100, (count, width)).astype(float)
    return rows[non_dominated(rows)]


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_equals_all_combinations(width: int, seed: int) -> None:
    fronts = [drawn(30, width, 3 * seed + k) for k in range(3)]
    weights = np.array([1.0, 2.0, 0.5])
    scaled = [np.column_stack([w * f[:, 0], f[:, 1:]]) for w, f in zip(weights, fronts, strict=True)]
    sums = np.array([sum(rows) for rows in product(*scaled)])
    expected = sums[non_dominated(sums)]
    found = joint_front(fronts, weights)
    assert np.array_equal(found.figures, expected)
    again = sum(scaled[k][found.points[:, k]] for k in range(3))
    assert np.array_equal(again, found.figures)
    limit = expected[len(expected) // 2]
    within = expected[np.all(expected <= limit, axis=1)]
    assert np.array_equal(joint_front(fronts, weights, limits=limit).figures, within)


@pytest.mark.parametrize("seed", range(3))
def test_a_thinned_front_keeps_its_factor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fronts = [chain_front(rng.uniform(1, 9, (30, 3)), rng.uniform(1, 9, (30, 3))) for _ in range(3)]
    exact = joint_front([f.figures for f in fronts])
    near = joint_front([f.figures for f in fronts], thinned=0.02)
    assert len(near) < len(exact)
    assert all(np.any(np.all(near.figures <= row * 1.02 * (1 + 1e-12), axis=1)) for row in exact.figures)


def test_no_fronts_and_other_misfits_are_refused() -> None:
    for bad in ([], [drawn(5, 2, 0), drawn(5, 3, 0)], [np.zeros(3)]):
        with pytest.raises(WorkloadError, match="same figures"):
            joint_front(bad)
    with pytest.raises(WorkloadError, match="more than 0"):
        joint_front([drawn(5, 2, 0)], weights=[0.0])
    assert len(joint_front([drawn(5, 2, 0), np.empty((0, 2))])) == 0
