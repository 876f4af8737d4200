"""Make the instances beside this file: operator graphs like the large published ones, with a seed.

    python benchmarks/data/partition/make.py

A transformer encoder has, for each layer, the operators of attention and feed-forward block as an exporter writes them,
constants as nodes of their own that share their reader's device, and a mask that every layer reads. Times on an
accelerator and sizes of tensors follow from the widths of the matrices; a CPU core is 23 times slower. The other graph
has blocks of four parallel branches. Costs are synthetic.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from edgeplan.formulation import PartitionProblem
from edgeplan.profiles import write_dnn_partitioning

FOLDER = Path(__file__).parent


class Graph:
    """Nodes and edges as they are added."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.time: list[float] = []
        self.move: list[float] = []
        self.size: list[float] = []
        self.colour: list[int | None] = []
        self.edges: list[tuple[int, int]] = []

    def add(self, time: float, move: float, inputs: list[int], size: float = 0.0, colour: int | None = None) -> int:
        """Add a node; costs vary by a tenth."""
        node = len(self.time)
        self.time.append(time * self.rng.uniform(0.9, 1.1))
        self.move.append(move)
        self.size.append(size)
        self.colour.append(colour)
        self.edges += [(i, node) for i in inputs]
        return node

    def with_constant(self, time: float, move: float, inputs: list[int], size: float) -> int:
        """Add an operator and the constant that it reads, on one device."""
        colour = len(self.time)
        constant = self.add(0.0, move / 4, [], size, colour)
        return self.add(time, move, [*inputs, constant], 0.0, colour)

    def instance(self, name: str, n_accelerators: int, slower: float) -> PartitionProblem:
        """The graph as a partition problem."""
        time = np.array(self.time)
        return PartitionProblem.build(
            name,
            range(len(time)),
            slower * time,
            time,
            self.edges,
            transfer_time=self.move,
            size_bytes=self.size,
            colour=self.colour,
            n_accelerators=n_accelerators,
            n_cpus=1,
            accelerator_bytes=16e9,
        )


def transformer(layers: int, seed: int) -> Graph:
    """An encoder of `layers` layers with a large embedding and a small head."""
    g = Graph(seed)
    hidden, scores, wide = 0.75, 1.5, 3.0
    mask = g.add(0.05, 0.4, [g.add(0.02, 0.01, [])])
    x = g.with_constant(1.5, hidden, [g.add(0.01, 0.01, [])], 60e6)
    for _ in range(layers):
        heads = []
        for _ in range(3):
            y = g.with_constant(0.5, hidden, [x], 2.4e6)
            y = g.with_constant(0.05, hidden, [y], 3e3)
            heads.append(g.add(0.08, hidden, [g.add(0.02, hidden, [y])]))
        y = g.add(0.4, scores, heads[:2])
        y = g.add(0.1, scores, [g.add(0.15, scores, [g.add(0.1, scores, [y]), mask])])
        y = g.add(0.4, hidden, [y, heads[2]])
        y = g.add(0.02, hidden, [g.add(0.08, hidden, [y])])
        y = g.with_constant(0.05, hidden, [g.with_constant(0.5, hidden, [y], 2.4e6)], 3e3)
        x = normalised(g, g.add(0.06, hidden, [x, y]), hidden)
        y = g.with_constant(0.1, wide, [g.with_constant(2.0, wide, [x], 9.4e6)], 12e3)
        z = g.add(0.2, wide, [g.add(0.2, wide, [g.add(0.2, wide, [y])])])
        y = g.add(0.1, wide, [y, z])
        y = g.with_constant(0.05, hidden, [g.with_constant(2.0, hidden, [y], 9.4e6)], 3e3)
        x = normalised(g, g.add(0.06, hidden, [x, y]), hidden)
    g.with_constant(0.2, 0.01, [g.with_constant(1.5, 0.01, [x], 2.4e6)], 60e6)
    return g


def normalised(g: Graph, x: int, move: float) -> int:
    """Layer normalisation, operator by operator."""
    centred = g.add(0.06, move, [x, g.add(0.08, 0.01, [x])])
    spread = g.add(0.02, 0.01, [g.add(0.08, 0.01, [g.add(0.06, move, [centred])])])
    y = g.with_constant(0.05, move, [g.add(0.06, move, [centred, spread])], 3e3)
    return g.with_constant(0.05, move, [y], 3e3)


def branches(blocks: int, seed: int) -> Graph:
    """Convolutions, then blocks of four parallel branches that a concatenation joins."""
    g = Graph(seed)
    x = g.add(1.0, 0.3, [])
    for _ in range(15):
        x = g.add(float(g.rng.uniform(0.02, 3)), float(g.rng.uniform(0.02, 0.3)), [x], 1e6)
    for _ in range(blocks):
        ends = []
        for _ in range(4):
            y = x
            for _ in range(3 * int(g.rng.integers(1, 4))):
                time = g.rng.uniform(0.01, 0.1) if g.rng.random() < 0.5 else g.rng.uniform(0.3, 2)
                y = g.add(float(time), float(g.rng.uniform(0.02, 0.3)), [y], 1e6)
            ends.append(y)
        x = g.add(0.05, 0.3, ends)
    return g


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, graph, k, slower in (
        ("transformer_6_layers", transformer(6, 1), 3, 23.0),
        ("transformer_12_layers", transformer(12, 2), 6, 23.0),
        ("branches_11_blocks", branches(11, 3), 6, 10.0),
    ):
        path = FOLDER / f"{name}.json"
        write_dnn_partitioning(graph.instance(name, k, slower), path)
        print(path.name, len(graph.time), "nodes")


if __name__ == "__main__":
    main()
