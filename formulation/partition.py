"""Partition problems: which device runs each operator of one model, for throughput or for the latency of one sample.

Device Placement of DNN Graph Operators: Tarnawski et al., NeurIPS 2020, arXiv 2006.16423. Unlike a `Problem`, there
is one cost a node and device kind, devices of a kind are alike, and any DAG may be cut anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import CostError, GraphError, PlatformError, capped

PartitionObjective = Literal["max-load", "latency"]
"""``max-load``: the largest time that a device is busy for one sample, whose inverse is a full pipeline's throughput;
``latency``: when one sample ends in an empty pipeline."""


@dataclass(frozen=True, eq=False)
class PartitionProblem:
    """A DAG of n nodes, k like accelerators with own memories and like CPU cores. Make one with `build`.

    Times have whatever unit they came in, one for all.

    Attributes
    ----------
    name : str
    ids : tuple of str
        Names of the nodes, unique.
    cpu_time, accelerator_time : ndarray, shape (n,)
        ``accelerator_time`` is infinite where a node cannot run on an accelerator.
    size_bytes : ndarray, shape (n,)
        Bytes that a node keeps in an accelerator's memory.
    transfer_time : ndarray, shape (n,)
        To move a node's output between an accelerator's memory and the host's, once a device that does not hold it.
    edges : ndarray of int, shape (m, 2)
        Indices of producer and consumer, sorted, each pair once.
    backward : ndarray of bool, shape (n,)
        Nodes of a backward pass; `precedence` says what they mean for contiguity.
    colour : ndarray of int, shape (n,)
        Nodes of one colour share a device. Every node has one; 0, 1, … in order of first use.
    n_accelerators, n_cpus : int
        The CPU is as wide as the graph under objective ``latency``.
    accelerator_bytes : float
        Memory of each accelerator.
    objective : {'max-load', 'latency'}
    contiguous : bool
        Whether the graph of devices over `precedence` must be acyclic, so that samples move one way. Under
        ``latency`` every block must be contiguous in any case.
    blocks : int
        Under ``latency``: how many blocks, one after the other, each accelerator may run a sample in.
    """

    name: str
    ids: tuple[str, ...]
    cpu_time: NDArray[np.float64]
    accelerator_time: NDArray[np.float64]
    size_bytes: NDArray[np.float64]
    transfer_time: NDArray[np.float64]
    edges: NDArray[np.int64]
    backward: NDArray[np.bool_]
    colour: NDArray[np.int64]
    n_accelerators: int
    n_cpus: int
    accelerator_bytes: float
    objective: PartitionObjective = "max-load"
    contiguous: bool = True
    blocks: int = 1

    def __post_init__(self) -> None:
        _check_costs(self)
        _check_devices(self)
        if not np.array_equal(np.unique(self.colour), np.arange(self.n_colours)):
            raise GraphError(
                f"colours of {self.name!r}", expected="0, 1, … without gaps", got="gaps", remedy="Use `build`."
            )
        if self.objective == "latency" and self.backward.any():
            raise GraphError(
                f"graph {self.name!r}",
                expected="no backward nodes where the latency of one sample is asked for",
                got=f"{int(self.backward.sum())} of them",
                remedy="Ask for max-load, or take the inference graph.",
            )
        for array in (self.cpu_time, self.accelerator_time, self.size_bytes, self.transfer_time, self.edges):
            array.flags.writeable = False

    @classmethod
    def build(
        cls,
        name: str,
        ids: Sequence[object],
        cpu_time: ArrayLike,
        accelerator_time: ArrayLike,
        edges: Sequence[tuple[object, object]],
        *,
        transfer_time: Mapping[object, float] | ArrayLike = 0.0,
        size_bytes: ArrayLike = 0.0,
        backward: ArrayLike = False,
        colour: Sequence[object] | None = None,
        n_accelerators: int,
        n_cpus: int = 1,
        accelerator_bytes: float = float("inf"),
        objective: PartitionObjective = "max-load",
        contiguous: bool = True,
        blocks: int = 1,
    ) -> PartitionProblem:
        """Validate the parts of a partition problem.

        Parameters
        ----------
        name : str
        ids : sequence
            One a node, unique as text; edges refer to them.
        cpu_time, accelerator_time, size_bytes, backward : array_like, broadcast to shape (n,)
        edges : sequence of pairs of ids
        transfer_time : mapping from id to time, or array_like broadcast to shape (n,)
            A mapping may leave out nodes whose output nobody reads.
        colour : sequence, optional
            One a node; None among them stands for a colour of its own.
        n_accelerators, n_cpus, accelerator_bytes, objective, contiguous, blocks
            See the class.

        Raises
        ------
        GraphError
            Ids that are not unique, edges of unknown nodes, a cycle.
        CostError
            Costs that are negative or not numbers; a node that no device can run.
        PlatformError
            Fewer than no devices, or none at all.
        """
        texts = tuple(str(i) for i in ids)
        n = len(texts)
        if n == 0:
            raise GraphError(f"graph {name!r}", expected="at least one node", got="none", remedy="Add nodes.")
        if len(set(texts)) < n:
            twice = sorted({t for t in texts if texts.count(t) > 1})
            raise GraphError(f"graph {name!r}", expected="unique ids", got=capped(twice), remedy="Rename nodes.")
        index = {text: i for i, text in enumerate(texts)}
        lost = sorted({str(end) for edge in edges for end in edge if str(end) not in index})
        if lost:
            raise GraphError(
                f"edges of graph {name!r}", expected="ids of nodes", got=capped(lost), remedy="Add these nodes."
            )
        pairs = sorted({(index[str(u)], index[str(v)]) for u, v in edges})
        if isinstance(transfer_time, Mapping):
            moved = {str(k): v for k, v in transfer_time.items()}
            transfer = np.array([moved.get(t, 0.0) for t in texts], dtype=np.float64)
        else:
            transfer = _spread(transfer_time, n)
        colours = list(colour) if colour is not None else [None] * n
        keys = [("own", i) if c is None else ("shared", c) for i, c in enumerate(colours)]
        numbered: dict[object, int] = {}
        for key in keys:
            numbered.setdefault(key, len(numbered))
        problem = cls(
            name=name,
            ids=texts,
            cpu_time=_spread(cpu_time, n),
            accelerator_time=_spread(accelerator_time, n),
            size_bytes=_spread(size_bytes, n),
            transfer_time=transfer,
            edges=np.array(pairs, dtype=np.int64).reshape(-1, 2),
            backward=np.broadcast_to(np.asarray(backward, dtype=np.bool_), (n,)).copy(),
            colour=np.array([numbered[key] for key in keys], dtype=np.int64),
            n_accelerators=n_accelerators,
            n_cpus=n_cpus,
            accelerator_bytes=float(accelerator_bytes),
            objective=objective,
            contiguous=contiguous,
            blocks=blocks,
        )
        _refuse_cycle(problem)
        return problem

    @property
    def n_nodes(self) -> int:
        """Number of nodes n."""
        return len(self.ids)

    @property
    def n_colours(self) -> int:
        """Number of colours, which is the number of nodes where none are shared."""
        return int(self.colour.max()) + 1

    @cached_property
    def precedence(self) -> NDArray[np.int64]:
        """Pairs of colours whose order counts for contiguity, each once, shape (p, 2).

        They come from edges between forward nodes. A colour of backward nodes only has no such edge; as in the
        published program it stands for a forward node whose edges are the mirror image of the backward ones.
        """
        u, v = self.edges[:, 0], self.edges[:, 1]
        back_u, back_v = self.backward[u], self.backward[v]
        forward = self.colour[self.edges[~(back_u | back_v)]]
        orphan = np.ones(self.n_colours, dtype=np.bool_)
        orphan[self.colour[~self.backward]] = False
        mirrored = back_u & back_v & (orphan[self.colour[u]] | orphan[self.colour[v]])
        pairs = np.concatenate([forward, self.colour[self.edges[mirrored]][:, ::-1]])
        return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0).reshape(-1, 2)

    def replace(self, **changes: Any) -> PartitionProblem:
        """Copy with some parts exchanged, validated again."""
        return replace(self, **changes)

    def device_name(self, device: int) -> str:
        """Name of a device by index: ``accelerator-0`` and so on, then ``cpu-0`` and so on."""
        k = self.n_accelerators
        return f"accelerator-{device}" if device < k else f"cpu-{device - k}"


def _spread(values: ArrayLike, n: int) -> NDArray[np.float64]:
    return np.broadcast_to(np.asarray(values, dtype=np.float64), (n,)).copy()


def _check_costs(problem: PartitionProblem) -> None:
    for what, values in (
        ("cpu_time", problem.cpu_time),
        ("accelerator_time", problem.accelerator_time),
        ("size_bytes", problem.size_bytes),
        ("transfer_time", problem.transfer_time),
    ):
        wrong = np.flatnonzero(np.isnan(values) | (values < 0))
        if what != "accelerator_time":
            wrong = np.union1d(wrong, np.flatnonzero(np.isinf(values)))
        if len(wrong):
            raise CostError(
                f"{what} of graph {problem.name!r}",
                expected="a number, 0 or more, for every node",
                got=capped(f"{values[i]} for {problem.ids[i]}" for i in wrong),
                remedy="Correct these costs; say that an accelerator cannot run a node by an infinite time.",
            )


def _check_devices(problem: PartitionProblem) -> None:
    k, c = problem.n_accelerators, problem.n_cpus
    if k < 0 or c < 0 or k + c == 0 or not problem.accelerator_bytes >= 0 or problem.blocks < 1:
        raise PlatformError(
            f"devices of {problem.name!r}",
            expected="no negative counts, at least one device and at least one block an accelerator",
            got=f"{k} accelerators of {problem.accelerator_bytes} bytes, {c} CPU cores, {problem.blocks} blocks",
            remedy="Correct the number of devices.",
        )


def _refuse_cycle(problem: PartitionProblem) -> None:
    n = problem.n_nodes
    waiting = np.bincount(problem.edges[:, 1], minlength=n)
    followers: list[list[int]] = [[] for _ in range(n)]
    for u, v in problem.edges:
        followers[u].append(int(v))
    ready = [int(i) for i in np.flatnonzero(waiting == 0)]
    seen = 0
    while ready:
        seen += 1
        for v in followers[ready.pop()]:
            waiting[v] -= 1
            if waiting[v] == 0:
                ready.append(v)
    if seen < n:
        raise GraphError(
            f"graph {problem.name!r}",
            expected="no cycle",
            got=f"one through or before {capped(problem.ids[i] for i in np.flatnonzero(waiting > 0))}",
            remedy="Take out the edge that leads back.",
        )
