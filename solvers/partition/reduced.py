"""A partition problem without what cannot matter: nodes that must share a device become one group, nets replace edges.

A net is a producer's output: the groups that write or read it. An accelerator pays a net's cost if it holds some but
not all of its groups, whichever of them is the producer; so nets with the same groups add up to one, and a net within
one group never costs anything. Both steps keep every load as it is, up to the order of sums.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ...formulation import Partition, PartitionProblem


@dataclass(frozen=True, eq=False)
class Rows:
    """Lists of numbers of different lengths: row i is ``value[start[i]:start[i + 1]]``."""

    start: NDArray[np.int64]
    value: NDArray[np.int64]

    @classmethod
    def of(cls, row: NDArray[np.int64], value: NDArray[np.int64], n_rows: int) -> Rows:
        """Gather pairs of row and value; values of a row stay in the order given."""
        order = np.argsort(row, kind="stable")
        start = np.zeros(n_rows + 1, dtype=np.int64)
        start[1:] = np.cumsum(np.bincount(row, minlength=n_rows))
        return cls(start, value[order].astype(np.int64))

    def __getitem__(self, i: int) -> NDArray[np.int64]:
        return self.value[self.start[i] : self.start[i + 1]]

    def __len__(self) -> int:
        return len(self.start) - 1


@dataclass(frozen=True, eq=False)
class Reduced:
    """Groups of nodes that share a device, and nets between them.

    Attributes
    ----------
    problem : PartitionProblem
    group : ndarray of int, shape (n,)
        Of each node; groups are 0 … g-1 in topological order where `successors` is acyclic.
    cpu, accelerator, size : ndarray, shape (g,)
        Sums over the nodes of a group; ``accelerator`` is infinite where one of them cannot run there.
    net_cost : ndarray, shape (e,)
    pins : Rows
        Groups of each net, two or more.
    nets : Rows
        Nets of each group.
    edges : ndarray of int, shape (m, 2)
        `PartitionProblem.precedence` between groups.
    """

    problem: PartitionProblem
    group: NDArray[np.int64]
    cpu: NDArray[np.float64]
    accelerator: NDArray[np.float64]
    size: NDArray[np.float64]
    net_cost: NDArray[np.float64]
    pins: Rows
    nets: Rows
    edges: NDArray[np.int64]

    @classmethod
    def of(cls, problem: PartitionProblem, group: NDArray[np.int64]) -> Reduced:
        """Reduce by groups of nodes that are given.

        Parameters
        ----------
        problem : PartitionProblem
        group : ndarray of int, shape (n,)
            Any numbers; nodes of one colour must share one.
        """
        by_colour = np.empty(problem.n_colours, dtype=np.int64)
        by_colour[problem.colour] = group
        edges = _between(by_colour, problem.precedence)
        names, index = np.unique(group, return_inverse=True)
        place = _topological_places(len(names), np.searchsorted(names, edges))
        index = place[index]
        n_groups = len(names)
        u, v = problem.edges[:, 0], problem.edges[:, 1]
        touched = np.unique(
            np.column_stack([np.concatenate([u, u]), np.concatenate([index[u], index[v]])]).reshape(-1, 2), axis=0
        )
        by_pins: dict[tuple[int, ...], float] = {}
        producers, first = np.unique(touched[:, 0], return_index=True)
        for producer, found in zip(producers, np.split(touched[:, 1], first[1:]), strict=False):
            cost = float(problem.transfer_time[producer])
            if len(found) > 1 and cost > 0:
                key = tuple(found.tolist())
                by_pins[key] = by_pins.get(key, 0.0) + cost
        net = np.repeat(np.arange(len(by_pins)), [len(p) for p in by_pins]).astype(np.int64)
        pin = np.array([g for p in by_pins for g in p], dtype=np.int64)
        return cls(
            problem=problem,
            group=index,
            cpu=_sums(index, problem.cpu_time, n_groups),
            accelerator=_sums(index, problem.accelerator_time, n_groups),
            size=_sums(index, problem.size_bytes, n_groups),
            net_cost=np.array(list(by_pins.values()), dtype=np.float64),
            pins=Rows.of(net, pin, len(by_pins)),
            nets=Rows.of(pin, net, n_groups),
            edges=place[np.searchsorted(names, edges)].reshape(-1, 2),
        )

    @property
    def n_groups(self) -> int:
        """Number of groups g."""
        return len(self.cpu)

    @property
    def n_nets(self) -> int:
        """Number of nets e."""
        return len(self.net_cost)

    def partition(self, device: NDArray[np.int64], block: NDArray[np.int64] | None = None) -> Partition:
        """Partition of the nodes from one of the groups."""
        return Partition.of(device[self.group], 0 if block is None else block[self.group])

    def with_problem(self, problem: PartitionProblem) -> Reduced:
        """The same groups for a variant of the problem with the same nodes."""
        return replace(self, problem=problem)

    def merged(self, label: NDArray[np.int64]) -> Reduced:
        """Reduce further: groups with the same label become one."""
        return Reduced.of(self.problem, label[self.group])


def reduced(problem: PartitionProblem) -> Reduced:
    """Groups by colour; under a contiguous max-load, groups that wait for each other become one, too.

    Groups on a cycle must share a device, for a chain of devices has no way back.
    """
    group = problem.colour
    if problem.objective == "max-load" and problem.contiguous:
        group = strong_components(problem.n_colours, problem.precedence)[group]
    return Reduced.of(problem, group)


def _sums(index: NDArray[np.int64], values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.bincount(index, weights=values, minlength=n).astype(np.float64)


def strong_components(n: int, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Label of the strongly connected component of each of n things, shape (n,)."""
    graph = coo_array((np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(n, n))
    return connected_components(graph, directed=True, connection="strong")[1].astype(np.int64)


def _between(group: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.int64]:
    pairs = group[edges].reshape(-1, 2)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0).reshape(-1, 2)


def _topological_places(n: int, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each thing in a stable topological order; things on cycles come last, in their own order."""
    waiting = np.bincount(edges[:, 1], minlength=n) if len(edges) else np.zeros(n, dtype=np.int64)
    followers = Rows.of(edges[:, 0], edges[:, 1], n)
    ready = np.flatnonzero(waiting == 0).tolist()
    order: list[int] = []
    for i in ready:
        order.append(i)
        for j in followers[i]:
            waiting[j] -= 1
            if waiting[j] == 0:
                ready.append(int(j))
    order += np.flatnonzero(waiting > 0).tolist()
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    return place
