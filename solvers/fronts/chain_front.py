"""`chain_front`: the exact or nearly exact latency/memory front of a chain, from plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...formulation import CostError
from ..pareto import non_dominated
from ..stop import Stop
from .chain_costs import ChainCosts, Third
from .labels import Arrays, Caps, ForwardPass

ROUNDING = 1e-9
"""Where sums of memory carry rounding, points this near to another in memory may be left out (a share)."""


@dataclass(frozen=True, eq=False)
class ChainFront:
    """Front of a chain; the choices behind its points are found when they are asked for.

    Attributes
    ----------
    figures : ndarray, shape (p, 2) or (p, 3)
        Latency in microseconds, memory in bytes and, where it was asked for, the third figure; in lexicographic order.
    complete : bool
        Whether nothing was left out but what `epsilon` allows; False where time ran out.
    epsilon : float
        For every way to run the chain there is a point that is at most a factor 1 + epsilon worse in every figure.
    n_labels : int
        Labels kept on the way, a measure of the effort.
    n_layers : int
    """

    figures: NDArray[np.float64]
    complete: bool
    epsilon: float
    n_labels: int
    n_layers: int
    _ways: tuple[Ways, ...]
    _place: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.figures)

    @property
    def latency_us(self) -> NDArray[np.float64]:
        """Latency of each point, shape (p,)."""
        return self.figures[:, 0]

    @property
    def memory_bytes(self) -> NDArray[np.float64]:
        """Memory of each point, shape (p,)."""
        return self.figures[:, 1]

    def choices(self, points: ArrayLike | None = None) -> NDArray[np.int16]:
        """Configuration of every layer for some points, by default all, shape (points, n)."""
        wanted = np.arange(len(self)) if points is None else np.atleast_1d(np.asarray(points, dtype=np.int64))
        origin, label = self._place[wanted].T
        result = np.empty((len(wanted), self.n_layers), dtype=np.int16)
        for k, ways in enumerate(self._ways):
            rows = np.flatnonzero(origin == k)
            if len(rows):
                result[rows] = ways.choices(label[rows])
        return result


class Ways(Protocol):
    """Numbered ways through a chain."""

    def choices(self, points: NDArray[np.int64], /) -> NDArray[np.int16]:
        """Configurations of some of them, shape (points, n)."""
        ...


class _Given:
    def __init__(self, choices: NDArray[np.int16]) -> None:
        self._choices = choices

    def choices(self, points: NDArray[np.int64], /) -> NDArray[np.int16]:
        return self._choices[points]


class _Finished:
    """Finished labels of a forward pass."""

    def __init__(self, labels: ForwardPass, arrays: Arrays) -> None:
        latency, memory, third, offsets = arrays
        self._labels = labels
        self._configuration = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        self._index = np.arange(len(latency)) - offsets[self._configuration]
        last = third if len(third) else np.zeros(len(latency))
        self.figures = np.column_stack([latency + labels.costs.end_us[self._configuration], memory, last])

    def choices(self, points: NDArray[np.int64], /) -> NDArray[np.int16]:
        return self._labels.choices(self._configuration[points], self._index[points])


def chain_front(
    latency_us: ArrayLike,
    memory_bytes: ArrayLike,
    *,
    switch_us: ArrayLike = 0.0,
    fixed_us: ArrayLike = 0.0,
    fixed_bytes: ArrayLike = 0.0,
    start_us: ArrayLike = 0.0,
    end_us: ArrayLike = 0.0,
    workspace_bytes: ArrayLike | None = None,
    energy_uj: ArrayLike | None = None,
    latency_limit_us: float = np.inf,
    memory_limit_bytes: float = np.inf,
    epsilon: float = 0.0,
    stop: Stop | None = None,
) -> ChainFront:
    """Front of a chain of n layers, each under one of C configurations (backends).

    Parameters
    ----------
    latency_us : array_like, shape (n, C)
        NaN or infinite where a configuration cannot run a layer.
    memory_bytes : array_like, shape (n, C)
        Bytes resident for each layer, which add up.
    switch_us : array_like, shape (C, C) or (n, C, C)
        From configuration s (row) to c (column), before layer i; infinite where there is no way. What is before layer
        0 and on the diagonal does not count.
    fixed_us, fixed_bytes : array_like, shape (C,)
        What each segment (a run of layers under one configuration) costs besides.
    start_us, end_us : array_like, shape (C,)
        Before the first and after the last layer.
    workspace_bytes : array_like, shape (n, C), optional
        Bytes needed only while a layer runs; the largest along the way is added to the memory.
    energy_uj : array_like, shape (n, C), optional
        Third objective, which adds up.
    latency_limit_us, memory_limit_bytes : float
        Points beyond are left out.
    epsilon : float
        0 for the exact front. Otherwise for every way there is a point at most a factor 1 + epsilon worse in each
        figure: see `supported_front`.
    stop : Stop, optional

    Returns
    -------
    ChainFront

    Raises
    ------
    CostError
        Costs that do not fit together; workspace and energy at once.

    Notes
    -----
    At (i, c) stand the non-dominated costs of layers 0 … i with layer i under c, sorted; the next layer merges C sorted
    lists for each configuration. O(n · C² · N) for at most N labels at a place; N is at most the number of distinct
    memory sums. Multi-criteria shortest paths: Martins 1984, doi 10.1016/0377-2217(84)90077-8.

    Float rule: figures are sums in layer order. Where memory sums are exact (integers, say) so is the front, bit for
    bit; otherwise a point may be left out whose memory is within 1e-9 (a share) of a point that is no slower.
    """
    if workspace_bytes is not None and energy_uj is not None:
        raise CostError(
            "chain front",
            expected="workspace or energy",
            got="both",
            remedy="Leave one out; three figures are the most that this dynamic program keeps apart.",
        )
    third_is: Third = "max" if energy_uj is None else "sum"
    costs = ChainCosts.of(
        latency_us,
        memory_bytes,
        switch_us=switch_us,
        fixed_us=fixed_us,
        fixed_bytes=fixed_bytes,
        start_us=start_us,
        end_us=end_us,
        third=workspace_bytes if energy_uj is None else energy_uj,
        third_is=third_is,
    )
    return front_of_costs(costs, Caps(latency_limit_us, memory_limit_bytes), epsilon, stop)


def front_of_costs(
    costs: ChainCosts, caps: Caps | None = None, epsilon: float = 0.0, stop: Stop | None = None
) -> ChainFront:
    """Front of checked costs; see `chain_front`. A third figure that is a maximum is added to the memory."""
    caps = caps or Caps()
    if not 0 <= epsilon < 1:
        raise CostError("epsilon", expected="0 or more, below 1", got=f"{epsilon}", remedy="Ask for 0.01, say.")
    costs = _without_constant_third(costs)
    if epsilon > 0 and costs.third == "none":
        from .supported import supported_front

        return supported_front(costs, caps, epsilon, stop)
    return label_front(costs, caps, epsilon, stop)


def label_front(costs: ChainCosts, caps: Caps, epsilon: float, stop: Stop | None) -> ChainFront:
    """Front by labels alone; trimmed at each layer where epsilon is not 0: in all, with rounding, by 1 + epsilon."""
    tolerance = (1 + epsilon) ** (1 / (costs.n_layers + 2)) - 1 if epsilon else 0.0
    if not costs.sums_are_exact():
        tolerance = max(tolerance, _rounding_step(costs))
        epsilon = max(epsilon, ROUNDING)
    labels = ForwardPass(costs, tolerance, caps)
    if not labels.run(stop) or labels.last is None:
        return empty_front(costs, labels.n_labels)
    ways = _Finished(labels, labels.last)
    return joined_front(costs, (ways,), (ways.figures,), caps, epsilon, labels.n_labels)


def given_ways(choices: NDArray[np.int16]) -> Ways:
    """Ways that are known already, shape (p, n)."""
    return _Given(choices)


def joined_front(
    costs: ChainCosts,
    ways: tuple[Ways, ...],
    figures: tuple[NDArray[np.float64], ...],
    caps: Caps,
    epsilon: float,
    n_labels: int,
) -> ChainFront:
    """Non-dominated points of several sets of ways; figures of each have shape (points, 3)."""
    rows = np.concatenate(figures)
    place = np.concatenate([np.column_stack([np.full(len(f), k), np.arange(len(f))]) for k, f in enumerate(figures)])
    if costs.third == "max":
        rows = np.column_stack([rows[:, 0], rows[:, 1] + rows[:, 2]])
    elif costs.third == "none":
        rows = rows[:, :2]
    within = np.flatnonzero(
        np.isfinite(rows[:, 0]) & (rows[:, 0] <= caps.latency_us) & (rows[:, 1] <= caps.memory_bytes)
    )
    kept = within[non_dominated(rows[within])] if len(within) else within
    if rows.shape[1] == 2 and not costs.sums_are_exact():
        kept = kept[_clear_steps(rows[kept, 1], 1.0 + _rounding_step(costs))]
    return ChainFront(rows[kept], True, epsilon, n_labels, costs.n_layers, ways, place[kept])


def _rounding_step(costs: ChainCosts) -> float:
    """What rounding may cost at each layer and at the end, so that all together stay within `ROUNDING`."""
    return ROUNDING / (costs.n_layers + 2)


def _clear_steps(falling: NDArray[np.float64], factor: float) -> list[int]:
    """Indices of falling numbers that fall by more than a factor below the last one that is kept."""
    kept: list[int] = []
    last = np.inf
    for k, value in enumerate(falling.tolist()):
        if value * factor < last:
            kept.append(k)
            last = value
    return kept


def empty_front(costs: ChainCosts, n_labels: int = 0, complete: bool = False) -> ChainFront:
    """No points: nothing fits, or time ran out."""
    width = 3 if costs.third == "sum" else 2
    nowhere = np.empty((0, 2), dtype=np.int64)
    return ChainFront(np.empty((0, width)), complete, 0.0, n_labels, costs.n_layers, (), nowhere)


def _without_constant_third(costs: ChainCosts) -> ChainCosts:
    """Where the largest third figure is the same for every way, it is a constant and moves into layer 0's memory."""
    if costs.third != "max":
        return costs
    needs = np.where(np.isfinite(costs.layer_us), costs.layer_third, np.inf)
    least = needs.min(axis=1).max()
    # Below what some layer needs in any case, differences do not matter.
    raised = np.maximum(costs.layer_third, least)
    if np.any(raised[np.isfinite(costs.layer_us)] > least):
        return costs.replace_third(raised, "max")
    return costs.with_constant_bytes(float(least))
