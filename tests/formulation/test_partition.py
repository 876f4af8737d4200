"""Partition problems and their evaluator, held against sums done by hand and a second, naive evaluator."""

from __future__ import annotations

import numpy as np
import pytest
from edgeplan.formulation import GraphError, Partition, PartitionProblem, PlanError, evaluate_partition
from edgeplan.solvers.partition.testing import PartitionKind, random_partition_problem


def diamond(**changes: object) -> PartitionProblem:
    """a feeds b and c, both feed d."""
    return PartitionProblem.build(
        "diamond",
        "abcd",
        [10.0, 20.0, 30.0, 40.0],
        [1.0, 2.0, 3.0, 4.0],
        ["ab", "ac", "bd", "cd"],
        transfer_time={"a": 0.5, "b": 0.25, "c": 0.125},
        n_accelerators=2,
        **changes,
    )


def test_a_producer_is_paid_once_by_each_device() -> None:
    found = evaluate_partition(diamond(contiguous=False), Partition.of([0, 1, 1, 0]))
    # First: a and d, a out once, b and c in. Second: b and c, a in once, b and c out.
    assert found.loads.tolist() == [5 + 0.5 + 0.25 + 0.125, 5 + 0.5 + 0.25 + 0.125, 0.0]
    assert found.feasible


def test_a_cpu_core_pays_nothing_for_moves() -> None:
    found = evaluate_partition(diamond(), Partition.of([0, 0, 2, 2]))
    assert found.loads.tolist() == [3 + 0.5 + 0.25, 0.0, 70.0]


def test_devices_that_a_sample_returns_to_are_not_contiguous() -> None:
    found = evaluate_partition(diamond(), Partition.of([0, 1, 1, 0]))
    assert "not contiguous" in found.violations[0]


def test_one_sample() -> None:
    problem = diamond(objective="latency")
    assert evaluate_partition(problem, Partition.of([2, 2, 2, 2])).objective == 10 + 30 + 40
    # One block: everything. Two blocks in turn: the second waits for the first and for nothing else.
    assert evaluate_partition(problem, Partition.of([0, 0, 0, 0])).objective == 10
    assert evaluate_partition(problem, Partition.of([0, 0, 0, 1])).objective == (6 + 0.375) + (4 + 0.375)
    waits = evaluate_partition(problem, Partition.of([0, 1, 1, 0]))
    assert waits.objective == float("inf")
    assert "waits for itself" in waits.violations[0]


def test_blocks_of_an_accelerator_come_one_after_the_other() -> None:
    problem = diamond(objective="latency", blocks=2)
    found = evaluate_partition(problem, Partition.of([0, 1, 1, 0], [0, 0, 0, 1]))
    assert found.objective == (1 + 0.5) + (5 + 0.5 + 0.375) + (4 + 0.375)
    assert evaluate_partition(problem, Partition.of([0, 1, 1, 0], [1, 0, 0, 0])).objective == float("inf")


def test_memory_and_colours() -> None:
    problem = diamond(size_bytes=[1, 2, 3, 4], accelerator_bytes=5, colour=["x", None, None, "x"])
    found = evaluate_partition(problem, Partition.of([0, 1, 1, 1]))
    assert found.memory_bytes.tolist() == [1, 9]
    assert any("9 of 5 bytes" in v for v in found.violations)
    assert any("one colour" in v for v in found.violations)


def test_backward_nodes_stand_in_the_chain_where_their_mirror_image_does() -> None:
    # Forward a -> b, backward y -> x; x shares the colour of a, y belongs to no forward node.
    problem = PartitionProblem.build(
        "training",
        "abyx",
        [9.0] * 4,
        [1.0] * 4,
        ["ab", "by", "yx"],
        backward=[False, False, True, True],
        colour=[0, 1, 2, 0],
        n_accelerators=3,
    )
    assert problem.precedence.tolist() == [[0, 1], [0, 2]]


@pytest.mark.parametrize("wrong", [[0, 1, 2], [0, 1, 2, 3], [0, 1, 2, -1]])
def test_a_partition_of_something_else_is_refused(wrong: list[int]) -> None:
    with pytest.raises(PlanError):
        evaluate_partition(diamond(), Partition.of(wrong))


def test_a_cycle_and_unknown_nodes_are_refused() -> None:
    with pytest.raises(GraphError, match="no cycle"):
        PartitionProblem.build("g", "ab", 1.0, 1.0, ["ab", "ba"], n_accelerators=1)
    with pytest.raises(GraphError, match="ids of nodes"):
        PartitionProblem.build("g", "ab", 1.0, 1.0, ["az"], n_accelerators=1)
    with pytest.raises(GraphError, match="unique"):
        PartitionProblem.build("g", "aa", 1.0, 1.0, [], n_accelerators=1)


@pytest.mark.parametrize("seed", range(40))
def test_loads_against_a_naive_sum(seed: int) -> None:
    problem = random_partition_problem(PartitionKind(contiguous=False, nodes=9, accelerators=3), seed)
    device = np.random.default_rng(seed).integers(0, 4, 9)
    found = evaluate_partition(problem, Partition.of(device))
    for d in range(4):
        own = {i for i in range(9) if device[i] == d}
        load = sum(problem.accelerator_time[i] if d < 3 else problem.cpu_time[i] for i in own)
        if d < 3:
            come = {u for u, v in problem.edges.tolist() if v in own and u not in own}
            leave = {u for u, v in problem.edges.tolist() if u in own and v not in own}
            load += sum(problem.transfer_time[u] for u in come | leave)
        assert found.loads[d] == pytest.approx(load, rel=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_latency_against_a_naive_fixpoint(seed: int) -> None:
    """Let every time grow until nothing waits any more; what still grows after many rounds waits for itself."""
    problem = random_partition_problem(PartitionKind(objective="latency", nodes=8, accelerators=2), seed)
    device = np.sort(np.random.default_rng(seed).integers(0, 3, 8))
    found = evaluate_partition(problem, Partition.of(device))
    edges = problem.edges.tolist()
    finish = np.zeros(8)
    for _ in range(60):
        ends = {}
        for d in range(2):
            own = {i for i in range(8) if device[i] == d}
            come = {u for u, v in edges if v in own and u not in own}
            leave = {u for u, v in edges if u in own and v not in own}
            busy = sum(problem.accelerator_time[i] for i in own) + sum(problem.transfer_time[i] for i in come | leave)
            ends[d] = max((finish[u] for u in come), default=0.0) + busy
        for i in range(8):
            ready = max((finish[u] for u, v in edges if v == i), default=0.0)
            finish[i] = ends[device[i]] if device[i] < 2 else ready + problem.cpu_time[i]
    if found.feasible:
        assert found.objective == pytest.approx(finish.max(), rel=1e-12)
    else:
        assert finish.max() > 3 * (problem.cpu_time.sum() + 2 * problem.transfer_time.sum())
