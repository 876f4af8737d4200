"""Few columns for many rows: against every choice there is, and what must hold of any choice."""

from itertools import pairwise

import numpy as np
import pytest
from edgeplan.formulation import CostError, UnsupportedError
from edgeplan.solvers.clustering import ClusteringProblem, choose_columns, loss_curve
from edgeplan.solvers.clustering.reduce import reduced
from hypothesis import given, settings
from hypothesis import strategies as st


def instance(seed: int, rows: int = 9, columns: int = 6, impossible: float = 0.3, **limits: float) -> ClusteringProblem:
    """Random losses, some infinite, with equal rows, equal columns and ties among them."""
    rng = np.random.default_rng(seed)
    loss = rng.integers(0, 12, (rows, columns)) / 20.0
    loss[rng.random(loss.shape) < impossible] = np.inf
    loss[rows - 1] = loss[0]
    loss[:, columns - 1] = loss[:, 0]
    return ClusteringProblem.create(loss, rng.integers(1, 50, rows), **limits)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("limits", [{"max_columns": 2}, {"max_columns": 3, "max_loss": 0.4}, {"max_loss": 0.3}, {}])
def test_cp_sat_agrees_with_every_choice_there_is(seed: int, limits: dict[str, float]) -> None:
    problem = instance(seed, **limits)
    exact, oracle = (choose_columns(problem, method) for method in ("cp_sat", "brute_force"))
    assert exact.status == oracle.status
    if oracle.status == "optimal":
        assert exact.objective == pytest.approx(oracle.objective, abs=1e-9)
        assert exact.bound == pytest.approx(exact.objective, abs=1e-9)
        if "max_columns" not in limits:
            assert exact.least_columns == oracle.least_columns == len(oracle.columns)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 5), method=st.sampled_from(["cp_sat", "greedy"]))
def test_a_choice_keeps_its_limits_and_states_its_loss(seed: int, k: int, method: str) -> None:
    problem = instance(seed, impossible=0.15, max_columns=k)
    found = choose_columns(problem, method)
    if not found.columns:
        assert found.status in ("infeasible", "timeout")
        return
    taken = problem.loss[np.arange(len(problem.weight)), found.column_of]
    assert set(found.column_of) == set(found.columns)
    assert len(found.columns) <= k
    assert np.all(taken == problem.loss[:, list(found.columns)].min(axis=1))
    assert found.objective == pytest.approx(np.average(taken, weights=problem.weight))
    assert found.worst_loss == taken.max()
    assert found.bound is None or found.bound <= found.objective + 1e-12


@pytest.mark.parametrize("seed", range(10))
def test_merging_rows_and_dropping_columns_changes_no_answer(seed: int) -> None:
    problem = instance(seed, impossible=0.1, max_columns=2)
    smaller, kept = reduced(problem)
    assert len(smaller.weight) < len(problem.weight)
    assert smaller.weight.sum() == problem.weight.sum()
    whole = min(problem.mean_loss((a, b)) for a in range(6) for b in range(6))
    few = min(smaller.mean_loss((a, b)) for a in range(len(kept)) for b in range(len(kept)))
    assert few == pytest.approx(whole)


def test_the_curve_falls_and_ends_where_nothing_is_lost() -> None:
    problem = ClusteringProblem.create(instance(3, impossible=0.0).loss + (1 - np.eye(9, 6)) * 0.01)
    curve = [step.objective for step in loss_curve(problem, 6)]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(curve))
    identity = ClusteringProblem.create(1.0 - np.eye(3))
    assert [step.objective for step in loss_curve(identity, 10)] == pytest.approx([2 / 3, 1 / 3, 0.0])


def test_heavier_rows_decide() -> None:
    loss = [[0.0, 0.1], [0.1, 0.0]]
    assert choose_columns(ClusteringProblem.create(loss, [5, 1], max_columns=1)).columns == (0,)
    assert choose_columns(ClusteringProblem.create(loss, [1, 5], max_columns=1)).columns == (1,)


def test_a_row_without_any_column_is_infeasible() -> None:
    problem = ClusteringProblem.create([[0.0, 0.1], [np.inf, np.inf]])
    assert choose_columns(problem).status == "infeasible"
    assert choose_columns(ClusteringProblem.create([[0.5]], max_loss=0.4)).status == "infeasible"


def test_no_loss_anywhere_takes_one_column() -> None:
    found = choose_columns(ClusteringProblem.create(np.zeros((4, 3))))
    assert (found.status, found.columns, found.objective) == ("optimal", (0,), 0.0)


def test_devices_along_a_line_are_proven() -> None:
    rng = np.random.default_rng(0)
    speed, best = rng.lognormal(0, 0.4, 80), np.sort(rng.lognormal(0, 0.4, 12))
    loss = np.abs(np.log(speed[:, None] / best))
    found = choose_columns(ClusteringProblem.create(loss, max_columns=4), time_limit_s=20)
    greedy = choose_columns(ClusteringProblem.create(loss, max_columns=4), "greedy")
    assert found.status == "optimal"
    assert found.objective is not None
    assert greedy.objective is not None
    assert found.objective <= greedy.objective


@pytest.mark.parametrize(
    ("loss", "weight", "limits", "kind"),
    [
        ([[-0.1]], [1], {}, CostError),
        ([[np.nan]], [1], {}, CostError),
        ([[0.1]], [0], {}, CostError),
        ([[0.1]], [1, 2], {}, CostError),
        ([[0.1]], [1], {"max_columns": 0}, UnsupportedError),
        ([[0.1]], [1], {"max_loss": -1.0}, UnsupportedError),
    ],
)
def test_nonsense_is_refused(loss: object, weight: object, limits: dict[str, float], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        ClusteringProblem.create(loss, weight, **limits)


def test_unknown_methods_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="cp_sat"):
        choose_columns(ClusteringProblem.create([[0.0]]), "guess")


def test_the_curve_ends_with_the_time() -> None:
    problem = ClusteringProblem.create(1.0 - np.eye(30))
    assert len(loss_curve(problem, 30, time_limit_s=1e-9)) == 1
