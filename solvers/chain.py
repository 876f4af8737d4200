"""A model as a chain: what every segment between two cuts costs under every usable configuration, as arrays.

All solvers over cut points read costs here, in the same numbers that the evaluator uses, so that they agree to the
last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..formulation import Configuration, LayerGraph, Model, PlatformError, Problem


@dataclass(frozen=True, eq=False)
class Chain:
    """Costs of one model over K + 1 cut positions, C usable configurations and M memories that they work in.

    Attributes
    ----------
    model : Model
    positions : tuple of int
        Cut positions, first 0, last the number of layers.
    configurations : tuple of Configuration
        Those this platform can run.
    memories : tuple of str
        Names of the memories that the configurations work in, in the platform's order.
    memory : ndarray of int, shape (C,)
        Index into `memories` for each configuration.
    latency_us, resident_bytes, transient_bytes : ndarray, shape (K + 1, K + 1, C)
        Entry (a, b, c): the segment from cut a to cut b under configuration c; infinite where there is none.
    move_us : ndarray, shape (K + 1, M, M)
        Entry (k, m, n): to move what crosses cut k from memory m to memory n. Cut 0 is left out (zeros).
    arrive_us, leave_us : ndarray, shape (M,)
        To bring the graph's inputs from the host's memory, and its outputs back; infinite without a link.
    """

    model: Model
    positions: tuple[int, ...]
    configurations: tuple[Configuration, ...]
    memories: tuple[str, ...]
    memory: NDArray[np.int64]
    latency_us: NDArray[np.float64]
    resident_bytes: NDArray[np.float64]
    transient_bytes: NDArray[np.float64]
    move_us: NDArray[np.float64]
    arrive_us: NDArray[np.float64]
    leave_us: NDArray[np.float64]

    @classmethod
    def of(cls, problem: Problem, model: Model, positions: tuple[int, ...] | None = None) -> Chain:
        """Read the costs of a model at the given cut positions, by default all those of `model.cuts`."""
        at = model.cuts.positions if positions is None else positions
        usable = problem.usable[model.name]
        configurations = tuple(model.costs.configurations[c] for c in usable)
        processors = problem.platform.processor_by_name
        names = [processors[c.processor].memory for c in configurations]
        memories = tuple(memory.name for memory in problem.platform.memories if memory.name in names)
        move_us, arrive_us, leave_us = transfers(problem, model.graph, at, memories)
        return cls(
            model,
            tuple(at),
            configurations,
            memories,
            np.array([memories.index(name) for name in names], dtype=np.int64),
            model.costs.interval_us(at)[:, :, usable],
            model.costs.resident_bytes(model.graph, at)[:, :, usable],
            model.costs.transient_bytes(model.graph, at)[:, :, usable],
            move_us,
            arrive_us,
            leave_us,
        )

    @property
    def n_units(self) -> int:
        """Number K of units between neighbouring cuts."""
        return len(self.positions) - 1

    @cached_property
    def threads(self) -> NDArray[np.int64]:
        """Threads of each configuration, shape (C,)."""
        return np.array([c.threads for c in self.configurations], dtype=np.int64)


def transfers(
    problem: Problem, graph: LayerGraph, at: tuple[int, ...], memories: tuple[str, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Times to move tensors, by the platform's links; infinite where no link joins two memories.

    Returns
    -------
    move_us, shape (K + 1, M, M); arrive_us, shape (M,); leave_us, shape (M,). See `Chain`.
    """
    platform = problem.platform
    sample = {p.memory: p.name for p in reversed(platform.processors)}
    host = platform.processors[0].memory

    def between(source: str, target: str, n_bytes: float) -> float:
        try:
            return platform.transfer_us(sample[source], sample[target], n_bytes)
        except PlatformError:
            return np.inf

    read = {graph.tensor_index[tensor] for layer in graph.layers for tensor in layer.inputs}
    brought = [t for t in sorted(read) if graph.tensor_producer[t] < 0]
    left = [t for name in graph.outputs if graph.tensor_producer[t := graph.tensor_index[name]] >= 0]
    move_us = np.zeros((len(at), len(memories), len(memories)))
    for k in range(1, len(at) - 1):
        crossing = float(graph.frontier_bytes[at[k]])
        for m, source in enumerate(memories):
            move_us[k, m] = [between(source, target, crossing) for target in memories]
    arrive_us = [between(host, m, float(graph.tensor_bytes[brought].sum())) if brought else 0.0 for m in memories]
    leave_us = [between(m, host, float(graph.tensor_bytes[left].sum())) if left else 0.0 for m in memories]
    return move_us, np.array(arrive_us), np.array(leave_us)


def not_serial(problem: Problem, model: Model) -> str | None:
    """Why segments between the cuts of a model need not run one after the other, or None where they always do.

    Between any two cuts a segment must feed the next one: then its time adds up whatever cores it runs on. That holds
    where at every cut a tensor written in the unit before is read in the unit after. With several memories, that
    tensor must also be the only one that crosses, and outputs must leave the last unit, so that what moves over a
    link depends on two neighbours only.
    """
    graph, at = model.graph, model.cuts.positions
    unit_of = np.searchsorted(np.array(at[1:]), np.arange(graph.n_layers), side="right")
    fed = np.zeros(len(at) - 1, dtype=bool)
    for producer, consumers in zip(graph.tensor_producer, graph.tensor_consumers, strict=True):
        if producer >= 0:
            following = unit_of[producer] + 1
            if any(unit_of[c] == following for c in consumers):
                fed[following] = True
    apart = np.flatnonzero(~fed[1:])
    n_cores = sum(len(p.cores) for p in problem.platform.processors)
    if len(apart) and (n_cores > 1 or len(problem.platform.memories) > 1):
        return f"nothing written in the unit before the cut at layer {at[int(apart[0]) + 1]} is read in the unit after"
    names = {problem.platform.processor_by_name[c.processor].memory for c in _usable(problem, model)}
    if len(names | {problem.platform.processors[0].memory}) > 1:
        crossings = graph.frontier_tensors[list(at[1:-1])]
        if np.any(crossings > 1):
            where = at[int(np.argmax(crossings > 1)) + 1]
            return f"{int(crossings.max())} tensors cross the cut at layer {where}, between several memories"
        written = [int(graph.tensor_producer[graph.tensor_index[name]]) for name in graph.outputs]
        if any(0 <= p < at[-2] for p in written):
            return "an output leaves before the last unit, with several memories"
    return None


def _usable(problem: Problem, model: Model) -> list[Configuration]:
    return [model.costs.configurations[c] for c in problem.usable[model.name]]
