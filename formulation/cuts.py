"""Cut points: where a DAG may be split into a chain of convex segments.

Every prefix of a topological order is an ideal (closed under predecessors), so the layers between two prefixes form a
convex set: no path leaves it and comes back. A chain of prefixes therefore cuts any DAG into segments that can run one
after the other. Which prefixes to offer is a choice: those that a single tensor crosses are the natural ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .errors import GraphError
from .graph import LayerGraph


@dataclass(frozen=True, eq=False)
class CutChain:
    """Cut positions of one graph.

    Attributes
    ----------
    graph : LayerGraph
    positions : tuple of int
        Ascending, first 0, last `graph.n_layers`. Position p parts the layers before p from the others; unit k is the
        layers from ``positions[k]`` up to ``positions[k + 1]``.
    """

    graph: LayerGraph
    positions: tuple[int, ...]

    def __post_init__(self) -> None:
        ends_right = len(self.positions) >= 2 and self.positions[0] == 0 and self.positions[-1] == self.graph.n_layers
        if not ends_right or any(b <= a for a, b in zip(self.positions, self.positions[1:], strict=False)):
            raise GraphError(
                f"cut positions of graph {self.graph.name!r}",
                expected=f"strictly ascending from 0 to {self.graph.n_layers}",
                got=str(self.positions[:8]),
                remedy="Use `cut_chain(graph)`.",
            )

    @property
    def n_units(self) -> int:
        """Number of units between neighbouring cuts."""
        return len(self.positions) - 1


def cut_chain(
    graph: LayerGraph,
    max_frontier_tensors: int | None = 1,
    max_units: int | None = None,
    weights: ArrayLike | None = None,
) -> CutChain:
    """Choose the cut positions of a graph.

    Parameters
    ----------
    graph : LayerGraph
    max_frontier_tensors : int or None
        Offer the positions that at most so many tensors cross; None offers every position.
    max_units : int or None
        Keep at most so many units: of the positions offered, those nearest to equal shares of `weights`.
    weights : array_like, shape (n,), optional
        What to balance, for instance each layer's time. Layers count equally where it is left out.

    Returns
    -------
    CutChain
        Always has at least one unit, the whole graph.
    """
    n = graph.n_layers
    offered = np.arange(1, n)
    if max_frontier_tensors is not None:
        offered = offered[graph.frontier_tensors[1:n] <= max_frontier_tensors]
    if max_units is not None and len(offered) > max_units - 1:
        offered = _balanced(offered, max_units, np.ones(n) if weights is None else np.asarray(weights, dtype=float))
    return CutChain(graph, (0, *(int(p) for p in offered), n))


def _balanced(offered: np.ndarray, max_units: int, weights: np.ndarray) -> Sequence[int]:
    done = np.concatenate([[0.0], np.cumsum(weights)])[offered]
    total = float(np.sum(weights))
    targets = total * np.arange(1, max_units) / max_units
    nearest = np.unique(np.abs(done[None, :] - targets[:, None]).argmin(axis=1))
    return offered[nearest].tolist()
