"""Layer-by-layer dynamic program for chain fronts: values forward, choices backward, in bounded memory.

Only every √n-th layer's labels are kept. Choices of some points are found by running a block of layers again, so that
64,000 points of a chain of 1000 layers need no table of a hundred million parents. (Checkpointing as in Griewank 1992,
doi 10.1080/10556789208805505.)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from ..stop import Stop
from .chain_costs import ChainCosts

Arrays = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]
"""Latency, memory and third figure of labels, and where each configuration's begin, shape (C + 1,)."""


@dataclass(frozen=True)
class Caps:
    """Largest latency and memory at the end that are still of interest."""

    latency_us: float = np.inf
    memory_bytes: float = np.inf


@dataclass(frozen=True, eq=False)
class _Room:
    latency: NDArray[np.float64]
    memory: NDArray[np.float64]
    third: NDArray[np.float64]
    parent: NDArray[np.int32]

    @classmethod
    def of(cls, size: int, has_third: bool) -> _Room:
        third = np.empty(size if has_third else 0)
        return cls(np.empty(size), np.empty(size), third, np.empty(size, dtype=np.int32))


class ForwardPass:
    """All labels that matter, layer by layer.

    A label at (i, c) is the cost of one way to run layers 0 … i, the last one under configuration c. Two labels at the
    same (i, c) have the same futures, so that one that another is no worse than is dropped.

    Parameters
    ----------
    costs : ChainCosts
    tolerance : float
        A label is also dropped where memory is within the factor 1 + tolerance of one that is no worse otherwise.
    caps : Caps
    """

    def __init__(self, costs: ChainCosts, tolerance: float = 0.0, caps: Caps | None = None) -> None:
        self.costs, self.tolerance = costs, tolerance
        caps = caps or Caps()
        latency, memory = costs.to_go()
        # The bounds add the same figures in another order than the labels do, hence the slack.
        leads_on = np.isfinite(latency)
        rest = np.where(leads_on, latency, 0.0), np.where(leads_on, memory, 0.0)
        self._latency_cap = np.where(leads_on, caps.latency_us * (1 + 1e-9) - rest[0], -np.inf)
        self._memory_cap = np.where(leads_on, caps.memory_bytes * (1 + 1e-9) - rest[1], -np.inf)
        self.stride = max(1, ceil(sqrt(costs.n_layers)))
        self._kept: dict[int, Arrays] = {}
        self.last: Arrays | None = None
        self.n_labels = 0
        self._room: dict[int, _Room] = {}
        self._turn = 0

    def run(self, stop: Stop | None = None) -> bool:
        """Run over all layers; False where it was stopped."""
        arrays = self._first()
        for i in range(self.costs.n_layers):
            if stop is not None and stop():
                return False
            arrays, _ = self._appended(i, arrays)
            self.n_labels += len(arrays[0])
            if (i + 1) % self.stride == 0:
                self._kept[i] = _copied(arrays)
        self.last = _copied(arrays)
        self._room.clear()
        return True

    def choices(self, configuration: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.int16]:
        """Configurations of some finished labels, layer by layer, shape (p, n).

        Parameters
        ----------
        configuration, index : ndarray of int, shape (p,)
            Configuration of each label after the last layer, and its place there.
        """
        from .kernels import follow_parents

        n = self.costs.n_layers
        way = np.empty((len(index), n), dtype=np.int16)
        c, k = configuration.astype(np.int16), index.astype(np.int64)
        end = n
        while end > 0:
            begin = ((end - 1) // self.stride) * self.stride
            arrays = self._kept[begin - 1] if begin else self._first()
            parents = []
            for i in range(begin, end):
                arrays, parent = self._appended(i, arrays)
                parents.append((parent.copy(), arrays[3].copy()))
            block = np.empty((end - begin, len(index)), dtype=np.int16)
            for i in range(end - 1, begin - 1, -1):
                block[i - begin] = c
                parent, offsets = parents[i - begin]
                follow_parents(parent, offsets, c, k)
            way[:, begin:end] = block.T
            end = begin
        self._room.clear()
        return way

    def _first(self) -> Arrays:
        """One empty way, as if it stood under configuration 0: layer 0 is entered alike from anywhere."""
        offsets = np.ones(self.costs.n_configurations + 1, dtype=np.int64)
        offsets[0] = 0
        return np.zeros(1), np.zeros(1), np.zeros(1), offsets

    def _appended(self, i: int, arrays: Arrays) -> tuple[Arrays, NDArray[np.int32]]:
        from .kernels import append_layer, append_layer_three

        costs = self.costs
        latency, memory, third, offsets = arrays
        room = self._space(len(latency) * costs.n_configurations)
        new_latency, new_memory, new_third, parent = room.latency, room.memory, room.third, room.parent
        new_offsets = np.zeros(costs.n_configurations + 1, dtype=np.int64)
        if costs.third == "none":
            append_layer(
                latency,
                memory,
                offsets,
                costs.enter_us[i],
                costs.enter_bytes[i],
                costs.layer_us[i],
                costs.layer_bytes[i],
                self.tolerance,
                self._latency_cap[i],
                self._memory_cap[i],
                new_latency,
                new_memory,
                parent,
                new_offsets,
            )
        else:
            append_layer_three(
                latency,
                memory,
                third,
                offsets,
                costs.enter_us[i],
                costs.enter_bytes[i],
                costs.enter_third[i],
                costs.layer_us[i],
                costs.layer_bytes[i],
                costs.layer_third[i],
                costs.third == "sum",
                self.tolerance,
                self._latency_cap[i],
                self._memory_cap[i],
                new_latency,
                new_memory,
                new_third,
                parent,
                new_offsets,
            )
        used = int(new_offsets[-1])
        return (new_latency[:used], new_memory[:used], new_third[:used], new_offsets), parent[:used]

    def _space(self, size: int) -> _Room:
        """Room for the next labels, other than that of the current ones; it is reused, for fresh pages are slow."""
        self._turn = 1 - self._turn
        room = self._room.get(self._turn)
        if room is None or len(room.parent) < size:
            room = self._room[self._turn] = _Room.of(2 * size, self.costs.third != "none")
        return room


def _copied(arrays: Arrays) -> Arrays:
    return arrays[0].copy(), arrays[1].copy(), arrays[2].copy(), arrays[3]
