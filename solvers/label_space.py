"""What the labels of the dynamic program count: the columns, and what each segment adds to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..formulation import Model, Problem
from .assemble import Choice
from .chain import Chain
from .core_sets import CoreSet, families, fitting, widest
from .limits import Limit, highest_accepted, limits_of


@dataclass(frozen=True, eq=False)
class LabelSpace:
    """Columns of a label and what the O options (a configuration on a core set) add to them.

    A label has one latency column, one of resident bytes for each of M memories, one of transient bytes for each
    memory, and L load columns (share of a core's time), which are there only where the limit on utilisation can bind.

    Attributes
    ----------
    problem : Problem
    chain : Chain
    configuration : ndarray of int, shape (O,)
        Index into the chain's configurations.
    cores : tuple of CoreSet
        Core set of each option.
    load_cores : tuple of int
        Cores whose load is counted: one a processor where they all carry the same.
    """

    problem: Problem
    chain: Chain
    configuration: NDArray[np.int64]
    cores: tuple[CoreSet, ...]
    load_cores: tuple[int, ...]

    @classmethod
    def of(cls, problem: Problem, model: Model) -> LabelSpace:
        """Build the space of one model; core sets are told apart only where that can matter."""
        chain = Chain.of(problem, model)
        processors = problem.platform.processor_by_name
        alone = cls(
            problem,
            chain,
            np.arange(len(chain.configurations)),
            tuple(widest(processors[c.processor], c.threads) for c in chain.configurations),
            (),
        )
        if not alone._utilisation_can_bind():
            return alone
        if all(c.threads in (1, len(processors[c.processor].cores)) for c in chain.configurations):
            # Spread over all cores, every core of a processor carries the average, and none can carry less.
            cores = tuple(sorted({min(s) for s in alone.cores}))
            return cls(problem, chain, alone.configuration, alone.cores, cores)
        sets = families(problem)
        pairs = [(k, s) for k, c in enumerate(chain.configurations) for s in fitting(sets[c.processor], c.threads)]
        cores = tuple(sorted({core for _, s in pairs for core in s}))
        return cls(problem, chain, np.array([k for k, _ in pairs]), tuple(s for _, s in pairs), cores)

    def _utilisation_can_bind(self) -> bool:
        stream = self.problem.stream_of.get(self.chain.model.name)
        if stream is None:
            return False
        core_us = np.where(np.isfinite(self.chain.latency_us), self.chain.latency_us, 0.0) * self.chain.threads
        longest = np.zeros(len(self.chain.positions))
        for b in range(1, len(longest)):
            longest[b] = (longest[:b] + core_us[:b, b].max(axis=1)).max()
        return stream.rate_hz * longest[-1] / 1e6 > self.problem.limits.max_utilisation

    @property
    def n_memories(self) -> int:
        """Number M of memories."""
        return len(self.chain.memories)

    @property
    def width(self) -> int:
        """Columns of a label, 1 + 2 M + L."""
        return 1 + 2 * self.n_memories + len(self.load_cores)

    @property
    def resident(self) -> slice:
        """Columns of resident bytes."""
        return slice(1, 1 + self.n_memories)

    @property
    def transient(self) -> slice:
        """Columns of transient bytes."""
        return slice(1 + self.n_memories, 1 + 2 * self.n_memories)

    @property
    def load(self) -> slice:
        """Columns of load."""
        return slice(1 + 2 * self.n_memories, self.width)

    @cached_property
    def memory(self) -> NDArray[np.int64]:
        """Memory of each option, shape (O,)."""
        return self.chain.memory[self.configuration]

    @cached_property
    def added(self) -> NDArray[np.float64]:
        """What the segment from cut a to cut b adds to a label under each option, shape (K + 1, K + 1, O, width).

        The transient columns hold the need itself, to be taken as a maximum. Latency is infinite where there is none.
        """
        chain, options = self.chain, np.arange(len(self.configuration))
        n_cuts = len(chain.positions)
        added = np.zeros((n_cuts, n_cuts, len(options), self.width))
        added[..., 0] = chain.latency_us[:, :, self.configuration]
        added[:, :, options, 1 + self.memory] = chain.resident_bytes[:, :, self.configuration]
        added[:, :, options, 1 + self.n_memories + self.memory] = chain.transient_bytes[:, :, self.configuration]
        if self.load_cores:
            # In the evaluator's own order of operations, so that the sums agree to the last bit.
            rate_hz = self.problem.stream_of[chain.model.name].rate_hz
            core_us = added[..., 0] * chain.threads[self.configuration]
            sizes = np.array([len(s) for s in self.cores])
            for column, core in enumerate(self.load_cores, self.load.start):
                on_it = np.array([core in s for s in self.cores])
                added[..., column] = np.where(on_it, rate_hz * core_us / sizes / 1e6, 0.0)
        return added

    def figures(self, labels: NDArray[np.float64], limit: Limit) -> NDArray[np.float64]:
        """The figure of finished labels that a limit is held against, shape (m,)."""
        if limit.kind == "deadline":
            return labels[:, 0]
        if limit.kind == "utilisation":
            return labels[:, self.load].max(axis=1, initial=0.0)
        if limit.subject not in self.chain.memories:
            return np.zeros(len(labels))
        m = self.chain.memories.index(limit.subject)
        return labels[:, 1 + m] + labels[:, 1 + self.n_memories + m]

    def accepted(self, labels: NDArray[np.float64], kept: Iterable[Limit]) -> NDArray[np.bool_]:
        """Which finished labels the evaluator would let pass, shape (m,)."""
        limits = limits_of(self.problem)
        passed = np.ones(len(labels), dtype=bool)
        for limit in kept:
            passed &= self.figures(labels, limit) <= highest_accepted(limits[limit])
        return passed

    def memory_bytes(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Peak use summed over the memories, in the evaluator's order, shape (m,)."""
        total = np.zeros(len(labels))
        for m in range(self.n_memories):
            total = total + (labels[:, 1 + m] + labels[:, 1 + self.n_memories + m])
        return total

    def choice(self, a: int, b: int, option: int) -> Choice:
        """The segment from cut a to cut b under an option."""
        at = self.chain.positions
        return Choice(at[a], at[b], self.chain.configurations[self.configuration[option]], self.cores[option])
