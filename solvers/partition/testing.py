"""Random small partition problems, for tests of solvers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...formulation import PartitionObjective, PartitionProblem


@dataclass(frozen=True)
class PartitionKind:
    """What random partition problems to draw.

    Attributes
    ----------
    objective : {'max-load', 'latency'}
    contiguous : bool
    nodes, accelerators, cpus, blocks : int
    density : float
        Share of the pairs of nodes that an edge joins.
    colours : float
        Share of nodes that share the colour of another.
    backward : float
        Share of nodes of a backward pass.
    cpu_only : float
        Share of nodes that no accelerator runs.
    memory_slack : float or None
        Memory of an accelerator as a multiple of an even share; None for ample memory.
    """

    objective: PartitionObjective = "max-load"
    contiguous: bool = True
    nodes: int = 5
    accelerators: int = 2
    cpus: int = 1
    blocks: int = 1
    density: float = 0.4
    colours: float = 0.0
    backward: float = 0.0
    cpu_only: float = 0.0
    memory_slack: float | None = None


def random_partition_problem(kind: PartitionKind, seed: int) -> PartitionProblem:
    """Draw a problem; the same kind and seed give the same one."""
    rng = np.random.default_rng(seed)
    n = kind.nodes
    names = rng.permutation(n)
    edges = [(names[u], names[v]) for u in range(n) for v in range(u + 1, n) if rng.random() < kind.density]
    accelerator = np.round(rng.uniform(0.5, 10, n), 2)
    cpu = np.round(accelerator * rng.uniform(1, 6, n), 2)
    accelerator[rng.random(n) < kind.cpu_only] = np.inf
    size = rng.integers(1, 100, n).astype(np.float64)
    colour: list[object] = [None] * n
    for i in range(1, n):
        if rng.random() < kind.colours:
            j = int(rng.integers(i))
            colour[j] = colour[i] = colour[j] if colour[j] is not None else j
    room = float("inf") if kind.memory_slack is None else kind.memory_slack * size.sum() / max(kind.accelerators, 1)
    return PartitionProblem.build(
        f"random {seed}",
        range(n),
        cpu,
        accelerator,
        edges,
        transfer_time=np.round(rng.exponential(2.0, n), 2),
        size_bytes=size,
        backward=rng.random(n) < kind.backward,
        colour=colour,
        n_accelerators=kind.accelerators,
        n_cpus=kind.cpus,
        accelerator_bytes=room,
        objective=kind.objective,
        contiguous=kind.contiguous,
        blocks=kind.blocks,
    )
