"""Dynamic program, CP-SAT and brute force agree; greedy keeps what it states; why there is no choice is named."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from edgeplan.formulation import UnsupportedError
from edgeplan.formulation.operating_points import (
    ModelPoints,
    OperatingPoint,
    OperatingPointProblem,
    ProcessorUse,
    SharedProcessor,
    evaluate_points,
)
from edgeplan.solvers import SolverBugError, available_methods, solve, solver
from edgeplan.solvers.operating_points.testing import random_points
from edgeplan.solvers.operating_points.verify import verified

SHARES = (None, 0.1, 0.4, 0.7, -0.2)
LOADS = (0.1, 0.25, 0.5, 0.9)


def instance(seed: int) -> OperatingPointProblem:
    return random_points(
        2 + seed % 3,
        5,
        seed,
        load=LOADS[seed % 4],
        memory_share=SHARES[seed % 5],
        objective=("response", "misses")[seed % 2],
        in_force=seed % 3 > 0,
    )


@pytest.mark.parametrize("seed", range(40))
def test_exact_solvers_agree(seed: int) -> None:
    problem = instance(seed)
    best = solve(problem, "brute_force")
    for method in ("dynamic_program", "cp_sat"):
        found = solve(problem, method)
        assert found.status == best.status
        assert found.clashes == best.clashes
        if best.objective is not None:
            assert found.objective == pytest.approx(best.objective, rel=1e-9)
            assert found.gap == pytest.approx(0.0, abs=1e-9)
            assert found.evaluation == evaluate_points(problem, found.choice or ())


@pytest.mark.parametrize("seed", range(40))
def test_greedy_is_no_worse_than_the_points_in_force_or_any_single_change(seed: int) -> None:
    problem = instance(seed)
    found, best = solve(problem, "greedy"), solve(problem, "brute_force")
    if found.choice is None:
        assert found.status == "timeout"
        return
    assert found.objective is not None
    assert best.objective is not None
    assert found.objective >= best.objective * (1 - 1e-12)
    neighbours = [found.choice]
    if problem.models[0].current is not None:
        neighbours.append(tuple(model.current or 0 for model in problem.models))
    for i, model in enumerate(problem.models):
        neighbours += [(*found.choice[:i], j, *found.choice[i + 1 :]) for j in range(len(model.points))]
    assert found.objective <= problem.tables.objectives(np.array(neighbours)).min() * (1 + 1e-12)


@pytest.mark.parametrize("method", available_methods(OperatingPointProblem))
@pytest.mark.parametrize("seed", [0, 1, 5])
def test_every_solver_keeps_the_contract(method: str, seed: int) -> None:
    problem = instance(seed)
    first, second = (solve(problem, method, seed=2) for _ in range(2))
    assert first.choice == second.choice
    assert first.seed == 2
    best = solve(problem, "brute_force")
    if solver(method, OperatingPointProblem).features.exact:
        assert first.status == best.status
    if first.evaluation is not None and best.objective is not None:
        assert first.evaluation.feasible
        assert first.objective is not None
        assert first.objective >= best.objective * (1 - 1e-12)


def test_auto_is_exact_and_brute_force_refuses_what_is_too_large() -> None:
    assert solve(instance(0)).method == "dynamic_program"
    with pytest.raises(UnsupportedError, match="combinations"):
        solve(random_points(10, 12, 0), "brute_force")


@pytest.mark.parametrize("method", ["dynamic_program", "cp_sat"])
def test_a_stopped_search_has_a_bound_that_holds(method: str) -> None:
    problem = random_points(6, 8, 3, load=0.2, in_force=False)
    best = solve(problem, "dynamic_program")
    cancelled = threading.Event()
    cancelled.set()
    stopped = solve(problem, method, cancel=cancelled)
    assert stopped.status == "feasible"
    assert stopped.objective is not None
    assert best.objective is not None
    assert stopped.objective >= best.objective * (1 - 1e-12)
    assert stopped.bound is None or stopped.bound <= best.objective * (1 + 1e-9)


def sized(name: str, *sizes: float, rate_hz: float = 1.0, both: float = 1e9) -> ModelPoints:
    points = (
        OperatingPoint(
            f"p{k}", 1e4 * (k + 1), {"ram": size, "vram": max(0.0, both - size)}, (ProcessorUse("cpu", 1e4 * (k + 1)),)
        )
        for k, size in enumerate(sizes)
    )
    return ModelPoints(name, tuple(points), rate_hz)


@pytest.mark.parametrize("method", ["dynamic_program", "cp_sat", "brute_force"])
def test_why_there_is_no_choice_is_named(method: str) -> None:
    processors = (SharedProcessor("cpu"),)
    one = OperatingPointProblem((sized("cat", 4e8, 2e8),), processors, {"ram": 1e8})
    assert "memory ram: the limit of 95.37 MiB is below the smallest point of cat" in solve(one, method).clashes[0]
    busy = OperatingPointProblem((sized("cat", 4e8, rate_hz=96.0),), processors)
    assert solve(busy, method).clashes[0].startswith("utilisation of cpu: the limit of 0.95 is below the least")
    both = OperatingPointProblem((sized("cat", 4e8, 2e8),), processors, {"ram": 3e8, "vram": 7e8})
    clashes = solve(both, method).clashes
    assert {clash.split(":")[0] for clash in clashes} == {"memory ram", "memory vram"}
    assert "cannot be kept while memory vram holds" in clashes[0]


def test_memory_is_traded_between_models() -> None:
    # The larger point is worth more to the model that is asked more often; a rule for each by itself cannot know.
    models = (sized("often", 3e8, 1e8, rate_hz=20.0, both=0.0), sized("seldom", 3e8, 1e8, both=0.0))
    problem = OperatingPointProblem(models, (SharedProcessor("cpu", 4),), {"ram": 4.5e8})
    for method in ("dynamic_program", "cp_sat", "greedy"):
        assert solve(problem, method).choice == (0, 1)
    assert solve(problem, "static_fastest").status == "timeout"
    assert solve(problem, "static_smallest").choice == (1, 1)


def test_a_solver_that_disagrees_with_the_evaluator_is_a_bug() -> None:
    problem = instance(0)
    answer = solve(problem)
    assert answer.objective is not None
    for wrong in (
        replace(answer, objective=answer.objective * 0.9),
        replace(answer, bound=answer.objective * 1.1),
        replace(answer, choice=None),
        replace(answer, choice=(99, 0)),
        replace(answer, status="infeasible", choice=None),
    ):
        with pytest.raises(SolverBugError):
            verified(problem, wrong)


@pytest.mark.parametrize("method", available_methods(OperatingPointProblem))
@pytest.mark.parametrize("n_points", [1, 3])
def test_one_model_has_no_pair_of_changes(method: str, n_points: int) -> None:
    problem = random_points(1, n_points, 3, load=0.05, memory_share=None)
    best, found = solve(problem, "brute_force"), solve(problem, method)
    assert best.objective is not None
    assert found.objective is not None
    assert found.objective >= best.objective
    if method in ("greedy", "dynamic_program", "cp_sat"):
        assert found.objective == pytest.approx(best.objective, rel=1e-12)
