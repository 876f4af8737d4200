"""The solver keeps EdgePlan's contract, and finds the best plan of small problems."""

import pytest
from edgeplan.formulation import UnsupportedError
from edgeplan.solvers import contract, solve
from edgeplan_annealing import Annealing


@pytest.mark.parametrize("kind", contract.supported(Annealing()))
def test_contract(kind: str) -> None:
    contract.check_answer(Annealing(steps=1500), contract.KINDS[kind])
    contract.check_seed(Annealing(steps=50), contract.KINDS[kind])


def test_time_limits_and_cancellation() -> None:
    contract.check_stop(Annealing(steps=10**9), contract.LARGE["many models"], limit_s=1.0)


@pytest.mark.parametrize("kind", ["latency", "latency of two", "response of two"])
def test_small_problems_are_solved_to_the_optimum(kind: str) -> None:
    problem = contract.problem_of(contract.KINDS[kind])
    found = solve(problem, Annealing(), seed=1)
    assert found.objective == pytest.approx(contract.oracle(contract.KINDS[kind]).objective, rel=1e-9)


def test_a_front_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="front"):
        solve(contract.problem_of(contract.KINDS["front"]), Annealing())
