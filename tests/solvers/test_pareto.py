"""Dominance and hypervolume against definitions and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from edgeplan.solvers import hypervolume
from edgeplan.solvers.pareto import non_dominated
from hypothesis import given, settings
from hypothesis import strategies as st


def dominated_by_definition(rows: np.ndarray) -> set[tuple[float, ...]]:
    kept = set()
    for row in rows:
        better = np.all(rows <= row, axis=1) & np.any(rows < row, axis=1)
        if not better.any():
            kept.add(tuple(row))
    return kept


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 5), st.integers(1, 200), st.integers(1, 12), st.integers(0, 10_000))
def test_what_is_kept_is_what_the_definition_keeps(width: int, count: int, levels: int, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(0, levels, (count, width)).astype(float)
    kept = non_dominated(rows)
    assert {tuple(row) for row in rows[kept]} == dominated_by_definition(rows)
    assert len({tuple(row) for row in rows[kept]}) == len(kept)
    assert [tuple(row) for row in rows[kept]] == sorted(tuple(row) for row in rows[kept])


def test_of_equal_rows_the_first_is_kept() -> None:
    assert non_dominated(np.array([[2.0, 2.0, 2.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])).tolist() == [1]


def test_hypervolume_of_one_point_is_a_rectangle() -> None:
    assert hypervolume([(2.0, 3.0)], (10.0, 5.0)) == 8.0 * 2.0


def test_hypervolume_of_a_staircase_is_a_sum_of_rectangles() -> None:
    assert hypervolume([(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)], (4.0, 4.0)) == 1 + 2 + 3
    assert hypervolume([(3.0, 1.0), (2.0, 2.0), (2.5, 2.5), (1.0, 3.0)], (4.0, 4.0)) == 6


def test_hypervolume_of_the_line_tends_to_the_triangle() -> None:
    x = np.linspace(0, 1, 2001)
    assert hypervolume(np.column_stack([x, 1 - x]), (1.0, 1.0)) == pytest.approx(0.5, abs=1e-3)


def test_points_outside_the_reference_add_nothing() -> None:
    assert hypervolume([], (1.0, 1.0)) == 0.0
    assert hypervolume([(1.0, 0.0), (2.0, 2.0)], (1.0, 1.0)) == 0.0
