"""Fronts of single models, as they are printed and drawn."""

import pytest
from edgeplan.formulation import Limits, Plan, Problem, evaluate
from edgeplan.interface.fronts import front_of_solutions, front_problem, front_table, solve_front
from edgeplan.solvers import Solution


@pytest.fixture(scope="module")
def solution(problem: Problem) -> Solution:
    return solve_front(front_problem(problem.models[0], problem.platform, Limits()), "auto", 10.0, seed=0)


def test_front_table_has_a_row_a_point_or_a_spread_of_them(solution: Solution) -> None:
    table = front_table("small", solution)
    assert len(table.rows) == len(solution.front)
    assert "complete" in table.note
    assert len(front_table("small", solution, max_rows=1 + len(solution.front) // 2).rows) <= len(solution.front)


def test_the_plans_own_point_is_in_the_fronts_terms(problem: Problem, solution: Solution) -> None:
    """A plan that is a point of the front, scored alone, is marked exactly on it."""
    alone = front_problem(problem.models[0], problem.platform, Limits())
    for point in solution.front:
        front = front_of_solutions("small", [solution], evaluate(alone, point.plan))
        assert front.chosen == pytest.approx((point.latency_us, point.memory_bytes))
        assert front.series[0].is_exact


def test_no_point_is_marked_for_a_model_that_the_plan_does_not_cover(
    problem: Problem, plan: Plan, solution: Solution
) -> None:
    assert front_of_solutions("other", [solution], evaluate(problem, plan)).chosen is None
