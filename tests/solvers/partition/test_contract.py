"""What every partition solver must do on every kind of problem that it says it supports."""

from __future__ import annotations

import threading
import time
from functools import cache

import pytest
from edgeplan.formulation import PartitionProblem, evaluate_partition
from edgeplan.solvers import available_methods, solve, solver
from edgeplan.solvers.partition import PartitionSolution
from edgeplan.solvers.partition.testing import PartitionKind, random_partition_problem

KINDS = {
    "contiguous": PartitionKind(),
    "contiguous, sparse, three accelerators": PartitionKind(nodes=6, accelerators=3, density=0.25),
    "contiguous, colours": PartitionKind(nodes=6, colours=0.4),
    "contiguous, backward": PartitionKind(nodes=6, backward=0.4, colours=0.3),
    "contiguous, little memory": PartitionKind(nodes=6, memory_slack=1.05),
    "contiguous, two CPU cores": PartitionKind(cpus=2, cpu_only=0.3),
    "free": PartitionKind(contiguous=False, nodes=6),
    "free, three accelerators": PartitionKind(contiguous=False, nodes=6, accelerators=3, cpus=0),
    "free, colours and backward": PartitionKind(contiguous=False, nodes=7, colours=0.3, backward=0.3),
    "free, little memory": PartitionKind(contiguous=False, nodes=6, memory_slack=1.1, cpus=0),
    "free, CPU only nodes": PartitionKind(contiguous=False, nodes=6, cpu_only=0.3, cpus=2),
    "too little memory": PartitionKind(contiguous=False, nodes=5, memory_slack=0.6, cpus=0),
    "too little memory, contiguous": PartitionKind(nodes=5, memory_slack=0.6, cpus=0),
    "latency": PartitionKind(objective="latency"),
    "latency, little memory": PartitionKind(objective="latency", nodes=6, memory_slack=0.8),
    "latency, colours": PartitionKind(objective="latency", nodes=6, colours=0.4),
    "latency, two blocks": PartitionKind(objective="latency", blocks=2),
    "latency, two blocks, colours": PartitionKind(objective="latency", blocks=2, colours=0.4),
    "latency, CPU only nodes": PartitionKind(objective="latency", cpu_only=0.3),
}
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))]


def problem_of(kind: str, seed: int) -> PartitionProblem:
    return random_partition_problem(KINDS[kind], seed)


@cache
def oracle(kind: str, seed: int) -> PartitionSolution:
    return solve(problem_of(kind, seed), "brute_force")


def supported(method: str, kind: str) -> bool:
    return solver(method, PartitionProblem).features.unsupported(problem_of(kind, 0)) is None


PAIRS = [
    pytest.param(method, kind, id=f"{method}-{kind}")
    for method in available_methods(PartitionProblem)
    for kind in KINDS
    if supported(method, kind)
]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_answers_are_right(method: str, kind: str, seed: int) -> None:
    problem, best = problem_of(kind, seed), oracle(kind, seed)
    solution = solve(problem, method, time_limit_s=20, seed=seed)
    if best.status == "infeasible":
        assert solution.partition is None
        if solver(method, PartitionProblem).features.exact:
            assert solution.status == "infeasible"
            assert solution.clashes
        return
    assert solution.partition is not None
    assert best.objective is not None
    assert solution.objective is not None
    evaluation = evaluate_partition(problem, solution.partition)
    assert evaluation.feasible
    assert evaluation.objective == solution.objective
    assert solution.objective >= best.objective * (1 - 1e-12)
    assert solution.bound is None or solution.bound <= best.objective * (1 + 1e-9)
    if solver(method, PartitionProblem).features.exact:
        assert solution.status == "optimal"
        assert solution.objective == pytest.approx(best.objective, rel=5e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_the_same_seed_gives_the_same_partition(method: str, kind: str) -> None:
    problem = problem_of(kind, 1)
    first, second = (solve(problem, method, time_limit_s=20, seed=5) for _ in range(2))
    assert first.status == second.status
    if first.partition is not None and second.partition is not None:
        assert first.partition.device.tolist() == second.partition.device.tolist()
        assert first.partition.block.tolist() == second.partition.block.tolist()


LARGE = {
    "contiguous": PartitionKind(nodes=120, accelerators=4, density=0.02),
    "free": PartitionKind(contiguous=False, nodes=120, accelerators=4, density=0.05),
    "latency": PartitionKind(objective="latency", nodes=120, accelerators=4, density=0.05, memory_slack=0.5),
}


LARGE_PAIRS = [
    pytest.param(method, kind, id=f"{method}-{kind}")
    for method in available_methods(PartitionProblem)
    for kind in LARGE
    if solver(method, PartitionProblem).features.unsupported(random_partition_problem(LARGE[kind], 1)) is None
]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "kind"), LARGE_PAIRS)
def test_time_limits_are_kept_and_what_was_found_is_returned(method: str, kind: str) -> None:
    problem = random_partition_problem(LARGE[kind], 1)
    solve(problem, method, time_limit_s=0.5)  # compiles
    limit_s = 1.5
    began_s = time.monotonic()
    solution = solve(problem, method, time_limit_s=limit_s)
    assert time.monotonic() - began_s <= 1.2 * limit_s + 1.0
    assert solution.status in ("optimal", "feasible", "timeout")
    if solution.objective is not None and solution.bound is not None:
        assert 0 <= solution.bound <= solution.objective


# SCIP is not told of a cancellation.
@pytest.mark.slow
@pytest.mark.parametrize(("method", "kind"), [pair for pair in LARGE_PAIRS if pair.values[0] != "mip"])
def test_a_search_can_be_cancelled(method: str, kind: str) -> None:
    problem = random_partition_problem(LARGE[kind], 1)
    cancel = threading.Event()
    threading.Timer(1.0, cancel.set).start()
    began_s = time.monotonic()
    solution = solve(problem, method, time_limit_s=60, cancel=cancel)
    assert time.monotonic() - began_s < 8
    assert solution.status in ("optimal", "feasible", "timeout")


@pytest.mark.parametrize("kind", ["contiguous", "free", "latency"])
def test_no_time_at_all_is_a_status(kind: str) -> None:
    assert solve(problem_of(kind, 0), time_limit_s=1e-6).status in ("optimal", "feasible", "timeout")
