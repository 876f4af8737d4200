"""`solve` refuses what does not fit before it builds, and lets nothing through that the evaluator contradicts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from edgeplan.formulation import (
    Configuration,
    CostError,
    CostTable,
    LayerGraph,
    Memory,
    Model,
    Platform,
    PlatformError,
    Problem,
    Processor,
    UnsupportedError,
)
from edgeplan.solvers import Features, Solution, SolverBugError, Stop, available_methods, solve, solver
from edgeplan.solvers.testing import ProblemKind, random_problem

PROBLEM = random_problem(ProblemKind(layers=3, memory_slack=None), 0)
FRONT = PROBLEM.replace(objective="front")
MANY = random_problem(ProblemKind(models=3, layers=20, objective="latency"), 0)


class Liar:
    """Hands back another solver's answer with something changed."""

    name = "liar"
    features = Features(frozenset({"latency", "response", "front"}), False, True, True, True)

    def __init__(self, **changes: object) -> None:
        self._changes = changes

    def solve(self, problem: Problem, stop: Stop, seed: int) -> Solution:
        return replace(solver("dynamic_program").solve(problem, stop, seed), **self._changes)


@pytest.mark.parametrize(
    ("problem", "method", "lack", "remedy"),
    [
        (FRONT, "cp_sat", "objective 'front'", "dynamic_program"),
        (PROBLEM, "nsga2", "objective 'latency'", "dynamic_program"),
        (MANY, "dynamic_program", "3 models together", "cp_sat"),
        (MANY, "brute_force", "conceivable plans", "cp_sat"),
        (PROBLEM, "simplex", "unknown name", "distribution"),
    ],
)
def test_what_does_not_fit_is_refused_and_what_fits_is_named(
    problem: Problem, method: str, lack: str, remedy: str
) -> None:
    with pytest.raises(UnsupportedError) as refused:
        solve(problem, method)
    assert lack in refused.value.got
    assert remedy in refused.value.remedy


def test_a_time_limit_must_be_more_than_nothing() -> None:
    with pytest.raises(UnsupportedError, match="more than 0 seconds"):
        solve(PROBLEM, time_limit_s=0)
    with pytest.raises(UnsupportedError, match="more than 0 seconds"):
        solve(PROBLEM, time_limit_s=float("nan"))


def test_auto_takes_exact_solvers() -> None:
    assert solve(PROBLEM).method == "dynamic_program"
    assert solve(FRONT).method == "dynamic_program"
    assert solve(random_problem(ProblemKind(models=2, layers=2), 0)).method == "cp_sat"


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": 1.0},
        {"bound": 1e12},
        {"plan": None},
        {"status": "infeasible", "plan": None},
        {"front": (None,)},
    ],
)
def test_a_solver_that_disagrees_with_the_evaluator_is_a_bug(changes: dict) -> None:
    with pytest.raises(SolverBugError):
        solve(PROBLEM, Liar(**changes))


def test_a_front_with_a_wrong_figure_is_a_bug() -> None:
    points = solve(FRONT).front
    wrong = (replace(points[0], memory_bytes=points[0].memory_bytes - 1), *points[1:])
    with pytest.raises(SolverBugError, match="a point of the front claims"):
        solve(FRONT, Liar(front=wrong))


def test_a_plan_that_breaks_a_limit_is_a_bug() -> None:
    tight = random_problem(ProblemKind(layers=3, memory_slack=0.1), 0)
    plan = solve(PROBLEM).plan
    with pytest.raises(SolverBugError, match="breaks limits"):
        solve(tight, Liar(status="feasible", plan=plan, clashes=(), objective=1.0))


def test_layers_that_no_configuration_runs_together_are_named() -> None:
    graph = LayerGraph.chain("m", [("a", "Op", 1, 1), ("b", "Op", 1, 1)], 1)
    configurations = [Configuration(backend="x"), Configuration(backend="y")]
    costs = CostTable.create(configurations, [[1.0, float("nan")], [float("nan"), 1.0]])
    assert solve(PROBLEM.replace(models=(Model("m", graph, costs),))).objective == 2.0
    from edgeplan.formulation import CutChain

    whole = Model("m", graph, costs, cuts=CutChain(graph, (0, 2)))
    with pytest.raises(CostError, match=r"layers \[0, 2\)"):
        solve(PROBLEM.replace(models=(whole,)))


def test_a_missing_way_back_is_named() -> None:
    platform = Platform(
        name="p",
        processors=(
            Processor(name="cpu", cores=(0,), memory="host"),
            Processor(name="npu", cores=(1,), memory="npu"),
        ),
        memories=tuple(Memory.model_validate({"name": n, "capacity_bytes": 100}) for n in ("host", "npu")),
    )
    graph = LayerGraph.chain("m", [("a", "Op", 1, 1)], 1)
    costs = CostTable.create([Configuration(backend="x", processor="npu")], [[1.0]])
    with pytest.raises(PlatformError, match="links"):
        solve(Problem((Model("m", graph, costs),), platform, objective="latency"))


def test_listing_and_describing_solvers_loads_no_optimiser() -> None:
    script = (
        "import sys\n"
        "from edgeplan.solvers import available_methods, solver\n"
        "[solver(name).features for name in available_methods()]\n"
        "print(*sorted({'ortools', 'pymoo', 'pandas', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_built_in_methods_are_listed_first() -> None:
    assert available_methods()[:2] == ("dynamic_program", "cp_sat")
