"""Label setting over the cuts of a chain: every plan of one model that no other plan dominates.

A label is the cost so far of one way to run the layers before a cut. Two labels at the same cut, with the tensor in the
same memory, have the same futures, so one that is no better in any column is dropped. Multi-criteria shortest paths:
Martins 1984, doi 10.1016/0377-2217(84)90077-8; bounds on what is still to come: Dumitrescu, Boland 2003,
doi 10.1002/net.10090.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .assemble import Choice
from .label_space import LabelSpace
from .limits import Limit, highest_accepted, limits_of
from .pareto import non_dominated
from .stop import Stop

_ROUNDING = 1e-9
"""Relative slack of the bounds that prune: they add the same figures in another order than the labels do."""

_CANDIDATES_AT_ONCE = 100_000
"""Candidates gathered at a cut before dominated ones are removed; bounds the memory used."""


@dataclass(frozen=True, eq=False)
class Node:
    """Labels at one cut in one memory, and how each was reached.

    Attributes
    ----------
    values : ndarray, shape (m, width)
    source : ndarray of int, shape (m, 4)
        Cut, memory and label that each comes from, and the option of the segment between.
    """

    values: NDArray[np.float64]
    source: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Labels:
    """Finished labels, non-dominated, in lexicographic order, and the way back to the choices."""

    space: LabelSpace
    nodes: dict[tuple[int, int], Node]
    values: NDArray[np.float64]
    ends: NDArray[np.int64]

    def choices(self, label: int) -> tuple[Choice, ...]:
        """Segments of one finished label in order of execution."""
        b, (m, index) = self.space.chain.n_units, self.ends[label]
        found: list[Choice] = []
        while b > 0:
            a, before, previous, option = (int(v) for v in self.nodes[b, int(m)].source[index])
            found.append(self.space.choice(a, b, option))
            b, m, index = a, before, previous
        return tuple(reversed(found))


def label_setting(
    space: LabelSpace,
    kept: Collection[Limit],
    stop: Stop,
    known: NDArray[np.float64] | None = None,
    latency_only: bool = False,
) -> Labels | None:
    """All non-dominated ways to run a model that keep some limits.

    Parameters
    ----------
    space : LabelSpace
    kept : collection of Limit
        Limits to keep; the others are left out.
    stop : Stop
    known : ndarray, shape (p, 2), optional
        Latency and memory of plans in hand; ways that are worse in both are not followed.
    latency_only : bool
        Whether memory counts only against its limits; then known plans prune by latency alone.

    Returns
    -------
    Labels or None
        None where it was stopped. No labels: the limits clash.

    Notes
    -----
    With K cuts, O options and at most N labels a node there are O(K² · O · N) candidates, each compared with at most N.
    N is exponential in K at worst, a few thousand for real cost tables.
    """
    chain = space.chain
    last = chain.n_units
    pruning = _Pruning(space, kept, known, latency_only)
    start = Node(np.zeros((1, space.width)), np.zeros((1, 4), dtype=np.int64))
    nodes: dict[tuple[int, int], Node] = {}
    for b in range(1, last + 1):
        gathered: dict[int, list[Node]] = {m: [] for m in range(space.n_memories)}
        for a in range(b):
            if stop():
                return None
            added = space.added[a, b]
            for before in range(space.n_memories if a else 1):
                node = nodes.get((a, before)) if a else start
                if node is None or not len(node.values):
                    continue
                move_us = chain.move_us[a, before] if a else chain.arrive_us
                for m in range(space.n_memories):
                    options = np.flatnonzero((space.memory == m) & np.isfinite(added[:, 0]))
                    new = _extended(space, node.values, move_us[m], added[options])
                    if b == last:
                        new[:, 0] += chain.leave_us[m]
                    source = _sources(a, before, len(node.values), options)
                    promising = pruning.promising(b, m, new)
                    gathered[m].append(Node(new[promising], source[promising]))
                    if sum(len(g.values) for g in gathered[m]) > _CANDIDATES_AT_ONCE:
                        gathered[m] = [_merged(gathered[m])]
        for m, candidates in gathered.items():
            if candidates:
                nodes[b, m] = _merged(candidates)
    return _finished(space, nodes, kept)


def _extended(
    space: LabelSpace, values: NDArray[np.float64], move_us: float, added: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Every label followed by every option, shape (labels · options, width)."""
    new = values[:, None, :] + added[None, :, :]
    # The transfer comes first, as in the evaluator, and sums of floats depend on their order.
    new[:, :, 0] = (values[:, None, 0] + move_us) + added[None, :, 0]
    new[:, :, space.transient] = np.maximum(values[:, None, space.transient], added[None, :, space.transient])
    return new.reshape(-1, space.width)


def _sources(a: int, before: int, n_labels: int, options: NDArray[np.int64]) -> NDArray[np.int64]:
    source = np.empty((n_labels, len(options), 4), dtype=np.int64)
    source[:, :, 0] = a
    source[:, :, 1] = before
    source[:, :, 2] = np.arange(n_labels)[:, None]
    source[:, :, 3] = options
    return source.reshape(-1, 4)


def _merged(candidates: list[Node]) -> Node:
    values = np.concatenate([c.values for c in candidates])
    source = np.concatenate([c.source for c in candidates])
    kept = non_dominated(values)
    return Node(values[kept], source[kept])


def _finished(space: LabelSpace, nodes: dict[tuple[int, int], Node], kept: Collection[Limit]) -> Labels:
    last = space.chain.n_units
    ends = [(m, nodes[last, m]) for m in range(space.n_memories) if (last, m) in nodes]
    if not ends:
        return Labels(space, nodes, np.empty((0, space.width)), np.empty((0, 2), dtype=np.int64))
    values = np.concatenate([node.values for _, node in ends])
    where = np.concatenate([np.column_stack([np.full(len(n.values), m), np.arange(len(n.values))]) for m, n in ends])
    left = np.flatnonzero(space.accepted(values, kept) & np.isfinite(values[:, 0]))
    left = left[non_dominated(values[left])] if len(left) else left
    return Labels(space, nodes, values[left], where[left])


class _Pruning:
    """Tells which labels can still end within the limits and not worse than a plan in hand."""

    def __init__(
        self,
        space: LabelSpace,
        kept: Collection[Limit],
        known: NDArray[np.float64] | None,
        latency_only: bool,
    ) -> None:
        limits = limits_of(space.problem)
        self._space = space
        self._limits = [(limit, highest_accepted(limits[limit]) * (1 + _ROUNDING)) for limit in kept]
        self._known = np.empty((0, 2)) if known is None else known * (1 + _ROUNDING)
        if latency_only and len(self._known):
            self._known = np.array([[self._known[:, 0].min(), -np.inf]])
        self._to_go, self._memory_to_go = to_go(space)

    def promising(self, b: int, m: int, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Rows that are worth keeping at cut b in memory m."""
        least = values + self._to_go[b, m]
        passed = np.isfinite(least[:, 0])
        for limit, highest in self._limits:
            passed &= self._space.figures(least, limit) <= highest
        if len(self._known):
            transient = values[:, self._space.transient].sum(axis=1)
            memory = values[:, self._space.resident].sum(axis=1) + transient + self._memory_to_go[b, m]
            for latency_us, memory_bytes in self._known:
                passed &= ~((least[:, 0] > latency_us) & (memory > memory_bytes))
        return passed


def to_go(space: LabelSpace) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least that each column must still grow from every cut and memory to the end.

    Returns
    -------
    columns : ndarray, shape (K + 1, M, width)
        Each column on its own way; the transient columns, which do not add up, are 0.
    memory : ndarray, shape (K + 1, M)
        Resident bytes, summed over the memories.
    """
    chain, last = space.chain, space.chain.n_units
    additive = np.ones(space.width, dtype=bool)
    additive[space.transient] = False
    columns = np.full((last + 1, space.n_memories, space.width), np.inf)
    memory = np.full((last + 1, space.n_memories), np.inf)
    columns[last], memory[last] = 0.0, 0.0
    for a in range(last - 1, 0, -1):
        for b in range(a + 1, last + 1):
            added = space.added[a, b]
            fits = np.isfinite(added[:, 0])
            added, target = added[fits], space.memory[fits]
            if not len(added):
                continue
            resident = added[:, space.resident].sum(axis=1) + memory[b, target]
            leave_us = chain.leave_us[target] if b == last else 0.0
            for m in range(space.n_memories):
                total = added + columns[b, target]
                total[:, 0] += chain.move_us[a, m, target] + leave_us
                linked = np.isfinite(total[:, 0])
                if linked.any():
                    columns[a, m] = np.minimum(columns[a, m], total[linked].min(axis=0))
                    memory[a, m] = min(memory[a, m], resident[linked].min())
    columns[:, :, ~additive] = np.where(np.isfinite(columns[:, :, :1]), 0.0, np.inf)
    return columns, memory
