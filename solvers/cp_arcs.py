"""Arcs of one model for CP-SAT: every segment that an optimal plan could contain, in integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .chain import Chain

TIME_QUANTUM_US = 2.0**-10
"""One tick of CP-SAT's integer time. A power of two, so that whole microseconds are exact; about a nanosecond, so that
durations rounded up miss no plan that keeps a deadline by more than a nanosecond a segment."""

BYTES_QUANTUM = 2.0**-4
"""One unit of CP-SAT's integer memory, for the same reasons."""


def ticks(duration_us: float) -> int:
    """Microseconds as ticks, rounded up."""
    return math.ceil(duration_us / TIME_QUANTUM_US)


def memory_units(n_bytes: float) -> int:
    """Bytes as units, rounded up."""
    return math.ceil(n_bytes / BYTES_QUANTUM)


@dataclass(frozen=True, slots=True)
class Arc:
    """A segment from cut `a` to cut `b`: how, and after which memory.

    Attributes
    ----------
    a, b : int
        Cuts.
    before, memory : int
        Memory that the crossing tensor comes from (0 at cut 0) and that this segment works in: chain indices.
    configuration : int
        Index into the chain's configurations.
    path_ticks : int
        Time it adds to one request, transfers included.
    run_ticks : int
        Time it occupies its threads.
    core_ticks : int
        `run_ticks` times threads.
    resident, transient : int
        Memory units.
    """

    a: int
    b: int
    before: int
    memory: int
    configuration: int
    path_ticks: int
    run_ticks: int
    core_ticks: int
    resident: int
    transient: int

    def node_after(self, n_units: int) -> tuple[int, int]:
        """Cut and memory that the arc leads to; the last cut is one node, whatever the memory."""
        return (self.b, self.memory if self.b < n_units else 0)


def arcs_of(chain: Chain, longest_us: float = np.inf) -> tuple[Arc, ...]:
    """Arcs of a chain.

    Parameters
    ----------
    chain : Chain
    longest_us : float
        Arcs through which no way takes at most this long are left out.

    Notes
    -----
    An arc is left out if another configuration on the same processor runs the same segment on the same cores and is no
    worse in time, threads, resident and transient bytes. Exchanging the one for the other in any plan raises no
    response, no use of memory and no load, so some optimal plan is without it. One thread may run on any core set that
    a gang fills, so it can replace a gang; a gang can only replace a gang of its size.
    """
    through_us = _fastest_through(chain)
    undominated = _undominated(chain)
    arcs: list[Arc] = []
    for a in range(chain.n_units):
        for b in range(a + 1, chain.n_units + 1):
            for c in np.flatnonzero(undominated[a, b]).tolist():
                m = int(chain.memory[c])
                run = ticks(float(chain.latency_us[a, b, c]))
                for before in range(len(chain.memories) if a else 1):
                    if not through_us[a, b, c, before] <= longest_us * (1 + 1e-9):
                        continue
                    moved_us = float(chain.move_us[a, before, m] if a else chain.arrive_us[m])
                    left_us = float(chain.leave_us[m]) if b == chain.n_units else 0.0
                    arcs.append(
                        Arc(
                            a,
                            b,
                            before,
                            m,
                            c,
                            run + ticks(moved_us) + ticks(left_us),
                            run,
                            run * int(chain.threads[c]),
                            memory_units(float(chain.resident_bytes[a, b, c])),
                            memory_units(float(chain.transient_bytes[a, b, c])),
                        )
                    )
    return tuple(arcs)


def _undominated(chain: Chain) -> NDArray[np.bool_]:
    """Which configurations of every segment no other one replaces, shape (K + 1, K + 1, C); of equals the first."""
    figures = (chain.latency_us, chain.resident_bytes, chain.transient_bytes)
    kept = np.isfinite(chain.latency_us)
    for c, configuration in enumerate(chain.configurations):
        for k, other in enumerate(chain.configurations):
            if k == c or other.processor != configuration.processor or other.threads not in (1, configuration.threads):
                continue
            replaced = np.logical_and.reduce([figure[:, :, k] <= figure[:, :, c] for figure in figures])
            if k > c and other.threads == configuration.threads:
                replaced &= np.logical_or.reduce([figure[:, :, k] < figure[:, :, c] for figure in figures])
            kept[:, :, c] &= ~replaced
    return kept


def _fastest_through(chain: Chain) -> NDArray[np.float64]:
    """Time of the fastest way through each arc, shape (K + 1, K + 1, C, M); the last index is the memory before."""
    last, n_memories = chain.n_units, len(chain.memories)
    ahead = np.full((last + 1, n_memories), np.inf)
    ahead[last] = chain.leave_us
    for a in range(last - 1, 0, -1):
        rest = chain.latency_us[a, a + 1 :] + ahead[a + 1 :, chain.memory]
        for m in range(n_memories):
            ahead[a, m] = (rest + chain.move_us[a, m, chain.memory]).min()
    behind = np.full((last + 1, n_memories), np.inf)
    through = np.full((last + 1, last + 1, len(chain.configurations), n_memories), np.inf)
    for a in range(last):
        for before in range(n_memories if a else 1):
            came = behind[a, before] + chain.move_us[a, before, chain.memory] if a else chain.arrive_us[chain.memory]
            reached = chain.latency_us[a, a + 1 :] + came
            for m in range(n_memories):
                inside = reached[:, chain.memory == m]
                behind[a + 1 :, m] = np.minimum(behind[a + 1 :, m], inside.min(axis=1))
            through[a, a + 1 :, :, before] = reached + ahead[a + 1 :, chain.memory]
    return through
