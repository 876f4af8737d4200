"""Job problems: requests of several networks, with deadlines, whose layers are spread over unlike processors.

It generalises GPU-CPU collaborative execution (RTCSA 2022), where two processors share chains that are cut once: here
networks are DAGs, cut anywhere, and there are any number of processors. Layers are never interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import CostError
from .job_checks import check_jobs, check_network, check_platform

JobObjective = Literal["deadlines", "makespan"]
"""``deadlines``: weight of the jobs that are late or dropped, and among equals the total tardiness; ``makespan``: when
the last job ends."""


@dataclass(frozen=True, eq=False)
class JobNetwork:
    """A DAG of n layers on P processors. Make one with `build`.

    Attributes
    ----------
    name : str
    duration_us : ndarray, shape (n, P)
        Time of each layer on each processor while all others are idle; infinite where it cannot run there.
    edges : ndarray of int, shape (m, 2)
        Producer and consumer; a producer has the smaller index. Sorted, each pair once.
    transfer_us : ndarray, shape (n, P, P)
        From the end of a layer on processor a until its output can be read on processor b; 0 where a = b. It delays
        the reader and keeps no processor busy.
    weight_bytes : ndarray, shape (n, P)
        What a layer keeps in the memory of a processor that runs it.
    """

    name: str
    duration_us: NDArray[np.float64]
    edges: NDArray[np.int64]
    transfer_us: NDArray[np.float64]
    weight_bytes: NDArray[np.float64]

    def __post_init__(self) -> None:
        check_network(self)
        for array in (self.duration_us, self.edges, self.transfer_us, self.weight_bytes):
            array.flags.writeable = False

    @classmethod
    def build(
        cls,
        name: str,
        duration_us: ArrayLike,
        *,
        edges: Sequence[tuple[int, int]] | None = None,
        transfer_us: ArrayLike = 0.0,
        weight_bytes: ArrayLike = 0.0,
    ) -> JobNetwork:
        """Validate the parts of a network.

        Parameters
        ----------
        name : str
        duration_us : array_like, shape (n, P)
        edges : sequence of (producer, consumer), optional
            A chain where left out.
        transfer_us : array_like
            A number, or of shape (n, P, P); entries from a processor to itself are not looked at.
        weight_bytes : array_like, shape (n,) or (n, P), or a number

        Raises
        ------
        GraphError
            Edges that lead backwards or to layers that there are not.
        CostError
            Costs that are negative, not numbers, or of a wrong shape; a layer that no processor can run.
        """
        duration = np.array(duration_us, dtype=np.float64)
        if duration.ndim != 2 or 0 in duration.shape:
            raise CostError(
                f"durations of network {name!r}",
                expected="a table of layers by processors",
                got=f"shape {duration.shape}",
                remedy="Give one row a layer and one column a processor.",
            )
        n, p = duration.shape
        pairs = [(i, i + 1) for i in range(n - 1)] if edges is None else sorted({(int(u), int(v)) for u, v in edges})
        transfer = np.broadcast_to(np.asarray(transfer_us, dtype=np.float64), (n, p, p)).copy()
        transfer[:, np.arange(p), np.arange(p)] = 0.0
        weights = np.asarray(weight_bytes, dtype=np.float64)
        weights = np.broadcast_to(weights[:, None] if weights.ndim == 1 else weights, (n, p)).copy()
        return cls(name, duration, np.array(pairs, dtype=np.int64).reshape(-1, 2), transfer, weights)

    @property
    def n_layers(self) -> int:
        """Number of layers n."""
        return self.duration_us.shape[0]

    @cached_property
    def is_chain(self) -> bool:
        """Whether each layer is read by the next one and by no other."""
        n = self.n_layers
        return np.array_equal(self.edges, np.column_stack([np.arange(n - 1), np.arange(1, n)]))

    @cached_property
    def least_us(self) -> float:
        """No processors, however many, run one request faster: the longest path of shortest durations."""
        finish = self.duration_us.min(axis=1).copy()
        shortest = finish.copy()
        for u, v in self.edges.tolist():
            finish[v] = max(finish[v], finish[u] + shortest[v])
        return float(finish.max())


@dataclass(frozen=True)
class Job:
    """One request of a network.

    Attributes
    ----------
    name : str
    network : str
    release_us : float
        It cannot start before.
    deadline_us : float
        Absolute; infinite where there is none.
    weight : float
        What being late or dropped costs.
    hard : bool
        Whether it must not be late.
    droppable : bool
        Whether it may be left out altogether, at the price of `weight`.
    """

    name: str
    network: str
    release_us: float = 0.0
    deadline_us: float = float("inf")
    weight: float = 1.0
    hard: bool = False
    droppable: bool = False


@dataclass(frozen=True, eq=False)
class JobProblem:
    """Jobs of networks on P processors. Validated as a whole when it is built.

    Attributes
    ----------
    processors : tuple of str
    networks : tuple of JobNetwork
    jobs : tuple of Job
    memory_bytes : ndarray, shape (P,)
        Each processor keeps the weights of all layers that it ever runs, once a network.
    slowdown : ndarray, shape (P, P)
        ``slowdown[a, b]``: how many times longer processor a takes while processor b is busy, 1 or more. With several
        busy, the losses of speed, 1 - 1/slowdown, add up.
    objective : {'deadlines', 'makespan'}

    Raises
    ------
    PlatformError
        Processors of one name, memories or slowdowns that make no sense.
    WorkloadError
        Jobs of unknown networks, of one name, with times that make no sense, or that may be dropped under ``makespan``.
    CostError
        Networks with costs for another number of processors.
    """

    processors: tuple[str, ...]
    networks: tuple[JobNetwork, ...]
    jobs: tuple[Job, ...]
    memory_bytes: NDArray[np.float64]
    slowdown: NDArray[np.float64]
    objective: JobObjective = "deadlines"

    def __post_init__(self) -> None:
        check_platform(self)
        check_jobs(self)
        self.memory_bytes.flags.writeable = False
        self.slowdown.flags.writeable = False

    @classmethod
    def build(
        cls,
        processors: Sequence[str],
        networks: Sequence[JobNetwork],
        jobs: Sequence[Job],
        *,
        memory_bytes: ArrayLike = float("inf"),
        slowdown: ArrayLike = 1.0,
        objective: JobObjective = "deadlines",
    ) -> JobProblem:
        """Validate the parts of a problem; `memory_bytes` and `slowdown` may be single numbers."""
        p = len(processors)
        slow = np.broadcast_to(np.asarray(slowdown, dtype=np.float64), (p, p)).copy()
        slow[np.arange(p), np.arange(p)] = 1.0
        memory = np.broadcast_to(np.asarray(memory_bytes, dtype=np.float64), (p,)).copy()
        return cls(tuple(processors), tuple(networks), tuple(jobs), memory, slow, objective)

    @property
    def n_processors(self) -> int:
        """Number of processors P."""
        return len(self.processors)

    @cached_property
    def network_of(self) -> tuple[JobNetwork, ...]:
        """Network of each job."""
        by_name = {network.name: network for network in self.networks}
        return tuple(by_name[job.network] for job in self.jobs)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Layers of all jobs in one line: job j has [offsets[j], offsets[j + 1]). Shape (jobs + 1,)."""
        return np.concatenate([[0], np.cumsum([network.n_layers for network in self.network_of])]).astype(np.int64)

    @cached_property
    def loss(self) -> NDArray[np.float64]:
        """Share of its speed that processor a loses while b is busy, shape (P, P)."""
        return 1.0 - 1.0 / self.slowdown

    @property
    def contended(self) -> bool:
        """Whether any processor slows another down."""
        return bool(np.any(self.slowdown > 1))

    def replace(self, **changes: Any) -> JobProblem:
        """Copy with some parts exchanged, validated again."""
        return replace(self, **changes)
