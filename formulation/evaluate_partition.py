"""The one evaluator of partitions: what each device is busy with, when one sample ends, and which limits break."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import PlanError, capped
from .partition import PartitionProblem

MEMORY_TOLERANCE = 1e-9
"""Relative slack of the memory limit: sizes are floats whose sums depend on their order."""


@dataclass(frozen=True, eq=False)
class Partition:
    """Which device runs each node, and in which of its blocks.

    Attributes
    ----------
    device : ndarray of int, shape (n,)
        0 … k-1 are the accelerators, k … k+c-1 the CPU cores; under ``latency`` k stands for the whole CPU.
    block : ndarray of int, shape (n,)
        Under ``latency``: which block of its accelerator a node is in, 0 on the CPU. Otherwise 0.
    """

    device: NDArray[np.int64]
    block: NDArray[np.int64]

    @classmethod
    def of(cls, device: ArrayLike, block: ArrayLike = 0) -> Partition:
        """Make one; blocks are all 0 unless given."""
        devices = np.array(device, dtype=np.int64)
        return cls(devices, np.broadcast_to(np.asarray(block, dtype=np.int64), devices.shape).copy())


@dataclass(frozen=True, eq=False)
class PartitionEvaluation:
    """What a partition costs.

    Attributes
    ----------
    objective : float
        Largest load, or finish of one sample; infinite where the partition cannot run.
    loads : ndarray, shape (k + c,)
        Time each device is busy for one sample, transfers included.
    memory_bytes : ndarray, shape (k,)
        Of each accelerator.
    violations : tuple of str
        Limits that are broken, for people; empty where the partition is feasible.
    """

    objective: float
    loads: NDArray[np.float64]
    memory_bytes: NDArray[np.float64]
    violations: tuple[str, ...]

    @property
    def feasible(self) -> bool:
        """Whether every limit holds."""
        return not self.violations


def evaluate_partition(problem: PartitionProblem, partition: Partition) -> PartitionEvaluation:
    """Score a partition and check every limit.

    Parameters
    ----------
    problem : PartitionProblem
    partition : Partition

    Raises
    ------
    PlanError
        The partition has another number of nodes, or names devices or blocks that there are not.
    """
    _refuse_foreign(problem, partition)
    device, k = partition.device, problem.n_accelerators
    violations = []
    unable = np.flatnonzero((device < k) & np.isinf(problem.accelerator_time))
    if len(unable):
        violations.append(f"an accelerator cannot run {capped(problem.ids[i] for i in unable)}")
    memory = np.bincount(device, weights=problem.size_bytes, minlength=k + problem.n_cpus).astype(np.float64)[:k]
    for i in np.flatnonzero(memory > problem.accelerator_bytes * (1 + MEMORY_TOLERANCE)):
        violations.append(
            f"{problem.device_name(int(i))} holds {memory[i]:.0f} of {problem.accelerator_bytes:.0f} bytes"
        )
    first = np.zeros(problem.n_colours, dtype=np.int64)
    first[problem.colour] = device
    parted = np.flatnonzero(first[problem.colour] != device)
    if len(parted):
        violations.append(f"nodes of one colour are parted: {capped(problem.ids[i] for i in parted)}")
    loads = _loads(problem, partition)
    if problem.objective == "max-load":
        if problem.contiguous and _has_cycle(first, problem.precedence):
            violations.append("the devices are not contiguous: their graph over the forward edges has a cycle")
        objective = float(loads.max())
    else:
        finish = _finish(problem, partition)
        if finish is None:
            violations.append("a block waits for itself: it is not contiguous, or blocks wait for each other")
            finish = float("inf")
        objective = finish
    return PartitionEvaluation(objective, loads, memory, tuple(violations))


def _refuse_foreign(problem: PartitionProblem, partition: Partition) -> None:
    n, k = problem.n_nodes, problem.n_accelerators
    devices = k + (1 if problem.objective == "latency" else problem.n_cpus)
    blocks = problem.blocks if problem.objective == "latency" else 1
    shapes_fit = partition.device.shape == partition.block.shape == (n,)
    if (
        not shapes_fit
        or np.any((partition.device < 0) | (partition.device >= devices))
        or np.any((partition.block < 0) | (partition.block >= blocks))
    ):
        raise PlanError(
            f"partition of {problem.name!r}",
            expected=f"{n} devices in 0 … {devices - 1} and as many blocks in 0 … {blocks - 1}",
            got=f"{len(partition.device)} devices and {len(partition.block)} blocks, or others",
            remedy="Take a partition that was made for this problem.",
        )


def groups_of(problem: PartitionProblem, partition: Partition) -> NDArray[np.int64]:
    """Index of the thing that is contiguous: the block of an accelerator, or -1 for a node on the CPU, shape (n,)."""
    group = partition.device * problem.blocks + partition.block
    return np.where(partition.device < problem.n_accelerators, group, -1)


def transfers(problem: PartitionProblem, group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every output that a group of nodes moves: rows (group, producer), each once; shape (t, 2).

    A group pays for the outputs of others that it reads and for its own that others read. Negative groups pay nothing.
    """
    u, v = problem.edges[:, 0], problem.edges[:, 1]
    cut = group[u] != group[v]
    rows = np.concatenate([np.column_stack([group[u[cut]], u[cut]]), np.column_stack([group[v[cut]], u[cut]])])
    return np.unique(rows[rows[:, 0] >= 0], axis=0)


def _loads(problem: PartitionProblem, partition: Partition) -> NDArray[np.float64]:
    k, q = problem.n_accelerators, problem.blocks
    on_accelerator = partition.device < k
    time = np.where(on_accelerator, problem.accelerator_time, problem.cpu_time)
    loads = np.bincount(partition.device, weights=time, minlength=max(k + problem.n_cpus, k + 1)).astype(np.float64)
    group = groups_of(problem, partition)
    moved = transfers(
        problem, group if problem.objective == "latency" else np.where(on_accelerator, group, -1 - partition.device)
    )
    np.add.at(loads, moved[:, 0] // q, problem.transfer_time[moved[:, 1]])
    return loads[: k + problem.n_cpus] if problem.objective == "max-load" else loads[: k + 1]


def _has_cycle(group: NDArray[np.int64], edges: NDArray[np.int64]) -> bool:
    """Whether groups of nodes, joined by edges between them, form a cycle."""
    names, index = np.unique(group, return_inverse=True)
    pairs = np.unique(index[edges], axis=0) if len(edges) else edges
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return _topological(len(names), pairs) is None


def _topological(n: int, edges: NDArray[np.int64]) -> list[int] | None:
    waiting = np.bincount(edges[:, 1], minlength=n)
    followers: list[list[int]] = [[] for _ in range(n)]
    for u, v in edges.tolist():
        followers[u].append(v)
    ready = deque(np.flatnonzero(waiting == 0).tolist())
    order = []
    while ready:
        i = ready.popleft()
        order.append(i)
        for v in followers[i]:
            waiting[v] -= 1
            if waiting[v] == 0:
                ready.append(v)
    return order if len(order) == n else None


def _finish(problem: PartitionProblem, partition: Partition) -> float | None:
    """When one sample ends; None where something waits for itself."""
    n, k, q = problem.n_nodes, problem.n_accelerators, problem.blocks
    group = groups_of(problem, partition)
    # Every node on the CPU is a step of its own, every block is one: 0 … kq-1 are blocks, kq+i is node i.
    step = np.where(group >= 0, group, k * q + np.arange(n))
    pairs = [step[problem.edges]]
    used = np.unique(group[group >= 0])
    same = used[:-1] // q == used[1:] // q
    pairs.append(np.column_stack([used[:-1][same], used[1:][same]]))
    joined = np.unique(np.concatenate(pairs), axis=0)
    joined = joined[joined[:, 0] != joined[:, 1]]
    order = _topological(k * q + n, joined)
    if order is None:
        return None
    duration = np.zeros(k * q + n)
    np.add.at(duration, step, np.where(group >= 0, problem.accelerator_time, problem.cpu_time))
    moved = transfers(problem, group)
    np.add.at(duration, moved[:, 0], problem.transfer_time[moved[:, 1]])
    before: list[list[int]] = [[] for _ in range(k * q + n)]
    for a, b in joined.tolist():
        before[b].append(a)
    finish = np.zeros(k * q + n)
    for i in order:
        finish[i] = max((finish[a] for a in before[i]), default=0.0) + duration[i]
    return float(finish.max())
