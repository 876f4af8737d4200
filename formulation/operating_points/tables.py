"""A problem's points as arrays, and the one formula of responses, for choices and for levels of use alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .problem import OperatingPointProblem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PointTables:
    """Arrays over models i, their points j (padded to J) and processors p.

    Attributes
    ----------
    there : ndarray of bool, shape (n, J)
        Whether there is such a point.
    other_us : ndarray, shape (n, J)
        Latency that is not spent on processors.
    busy_us, sensitivity, servers : ndarray, shape (n, J, P)
        `busy_us` beside the background. `servers`: how many requests of that width a processor takes at once, the cores
        that the background leaves over cores held, 1 or more; may be broken.
    use : ndarray, shape (n, J, D)
        What adds up over models, D = 2 P + M columns: share of the core time that background leaves on each
        processor; share of time on each processor times pressure; bytes of each limited memory.
    highest : ndarray, shape (D,)
        Limit of each column (∞ for pressure).
    switch_us : ndarray, shape (n, J)
        Time to make a point ready; 0 for the one in force.
    factor : ndarray, shape (n,)
        ``weight · rate`` over their sum: a model's part in the objective.
    rate_per_us, deadline_us : ndarray, shape (n,)
        Deadline ∞ where there is none.
    horizon_us : float
    counts_misses : bool
    memories, processors : tuple of str
    """

    there: NDArray[np.bool_]
    other_us: Floats
    busy_us: Floats
    sensitivity: Floats
    servers: Floats
    use: Floats
    highest: Floats
    switch_us: Floats
    factor: Floats
    rate_per_us: Floats
    deadline_us: Floats
    horizon_us: float
    counts_misses: bool
    memories: tuple[str, ...]
    processors: tuple[str, ...]

    @classmethod
    def of(cls, problem: OperatingPointProblem) -> PointTables:
        """Tables of a problem."""
        models, processors = problem.models, problem.processors
        memories = tuple(problem.memory_limit_bytes)
        n, width, p = len(models), max(len(m.points) for m in models), len(processors)
        there = np.zeros((n, width), dtype=np.bool_)
        other, switch = np.full((n, width), np.inf), np.zeros((n, width))
        busy, sensitivity, servers = np.zeros((n, width, p)), np.zeros((n, width, p)), np.ones((n, width, p))
        use = np.full((n, width, 2 * p + len(memories)), np.inf)
        at = {processor.name: k for k, processor in enumerate(processors)}
        for i, model in enumerate(models):
            for j, point in enumerate(model.points):
                there[i, j] = True
                other[i, j] = max(0.0, point.latency_us - sum(u.busy_us for u in point.uses))
                use[i, j] = 0.0
                for u in point.uses:
                    k = at[u.processor]
                    busy[i, j, k] = u.busy_us * processors[k].stretch(u.cores)
                    sensitivity[i, j, k] = u.sensitivity
                    left = processors[k].cores_left(u.cores)
                    servers[i, j, k] = max(1.0, left / u.cores)
                    use[i, j, k] = model.rate_hz * u.busy_us * processors[k].slowdown / 1e6 * u.cores / left
                    use[i, j, p + k] = min(1.0, model.rate_hz * busy[i, j, k] / 1e6) * u.pressure
                use[i, j, 2 * p :] = [point.memory_bytes.get(memory, 0.0) for memory in memories]
                if model.current is not None and model.current != j:
                    switch[i, j] = point.recompile_us + point.reload_bytes / problem.reload_bytes_per_us
        demand = np.array([model.weight * model.rate_hz for model in models])
        limits = np.concatenate(
            [np.full(p, problem.max_utilisation), np.full(p, np.inf), [*problem.memory_limit_bytes.values()]]
        )
        return cls(
            there,
            other,
            busy,
            sensitivity,
            servers,
            use,
            limits.astype(np.float64),
            switch,
            demand / demand.sum(),
            np.array([model.rate_hz / 1e6 for model in models]),
            np.array([np.inf if model.deadline_us is None else model.deadline_us for model in models]),
            problem.horizon_us,
            problem.objective == "misses",
            memories,
            tuple(processor.name for processor in processors),
        )

    @property
    def n_processors(self) -> int:
        """P."""
        return len(self.processors)

    def levels(self, choices: Ints) -> Floats:
        """Use of every column by some choices: shape (B, n) to (B, D).

        Models are added in their order, so that every caller gets the same sums, bit by bit.
        """
        level = np.zeros((len(choices), self.use.shape[2]))
        for i in range(choices.shape[1]):
            level = level + self.use[i, choices[:, i]]
        return level

    def times_us(self, level: Floats, i: Ints, j: Ints) -> tuple[Floats, Floats]:
        """Execution and response of point j of model i while the device is used at a level.

        Parameters
        ----------
        level : ndarray, shape (..., D)
        i, j : ndarray of int, broadcast against level's leading axes

        Returns
        -------
        execution_us, response_us : ndarray
            ∞ where others leave no time, or where the model cannot keep up with its own requests.
        """
        p = self.n_processors
        own = self.use[i, j]
        others = np.maximum(level[..., :p] - own[..., :p], 0.0)
        beside = np.maximum(level[..., p : 2 * p] - own[..., p : 2 * p], 0.0)
        m, busy = self.servers[i, j], self.busy_us[i, j]
        with np.errstate(divide="ignore", invalid="ignore"):
            queued = others ** (np.sqrt(2.0 * (m + 1.0)) - 1.0) / (m * (1.0 - others))
            stretch = np.where(others < 1.0, 1.0 + queued, np.inf)
            on_processors = np.where(busy > 0.0, busy * (1.0 + self.sensitivity[i, j] * beside) * stretch, 0.0)
            execution = self.other_us[i, j] + on_processors.sum(axis=-1)
            asked = self.rate_per_us[i] * execution
            wait = np.where(asked < 1.0, asked * execution / (2.0 * (1.0 - asked)), np.inf)
        return execution, execution + wait

    def costs(self, level: Floats, i: Ints, j: Ints) -> Floats:
        """Part of the objective of point j of model i while the device is used at a level; switching included."""
        execution, response = self.times_us(level, i, j)
        switch = self.switch_us[i, j]
        if not self.counts_misses:
            return self.factor[i] * (response + switch * switch / (2.0 * self.horizon_us))
        missed = miss_probability(execution, response, self.deadline_us[i]) + switch / self.horizon_us
        return np.where(np.isfinite(response), self.factor[i] * np.minimum(1.0, missed), np.inf)

    def cost_rows(self, level: Floats) -> Floats:
        """`costs` of every point of every model at one level, shape (n, J)."""
        n, width = self.there.shape
        i, j = np.meshgrid(np.arange(n), np.arange(width), indexing="ij")
        rows = self.costs(np.broadcast_to(level, (n, width, len(level))), i, j)
        return np.where(self.there, rows, np.inf)

    def objectives(self, choices: Ints) -> Floats:
        """Objective of some choices, shape (B, n) to (B,); ∞ where a limit is broken or a queue grows for ever."""
        level = self.levels(choices)
        i = np.arange(choices.shape[1])
        total = np.zeros(len(choices))
        costs = self.costs(level[:, None, :], i[None, :], choices)
        for k in range(choices.shape[1]):
            total = total + costs[:, k]
        return np.where(np.all(level <= self.highest, axis=1), total, np.inf)


def miss_probability(execution_us: Floats, response_us: Floats, deadline_us: Floats) -> Floats:
    """Share of requests that end after the deadline: execution as predicted, an exponential wait of the mean predicted.

    1 where the execution alone takes longer. Grows with both times. The share that waits at all is not known and taken
    to be 1, which is on the safe side.
    """
    slack = deadline_us - execution_us
    with np.errstate(divide="ignore", invalid="ignore"):
        late = np.exp(-slack / (response_us - execution_us))
    late = np.where(response_us > execution_us, late, 0.0)
    return np.where(slack < 0, 1.0, np.where(np.isinf(deadline_us), 0.0, late))
