"""Which segments of a model to measure, and which of them to keep out of the fit."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..formulation import CutChain, LayerGraph, cut_chain

Range = tuple[int, int]
"""Layers ``[start, stop)``."""


@dataclass(frozen=True)
class Design:
    """Segments of one model to measure.

    Attributes
    ----------
    chain : CutChain
        Units, the cuts that plans may use.
    fitted : tuple of Range
        The whole model, every unit, both parts of the model cut near the middle, the shortest runs between neighbouring
        cuts (they show the fixed cost), and some random longer runs of units.
    held_out : tuple of Range
        Other random runs of units, only used to state the prediction's error.
    """

    chain: CutChain
    fitted: tuple[Range, ...]
    held_out: tuple[Range, ...]

    @property
    def segments(self) -> tuple[Range, ...]:
        """All of them."""
        return self.fitted + self.held_out

    @property
    def units(self) -> tuple[Range, ...]:
        """Runs of layers between neighbouring cuts."""
        return tuple(itertools.pairwise(self.chain.positions))

    @property
    def halves(self) -> tuple[Range, ...]:
        """Both parts of the model cut near the middle; none where there is one unit."""
        positions = self.chain.positions
        middle = positions[len(positions) // 2]
        return ((0, middle), (middle, positions[-1])) if middle < positions[-1] else ()

    @property
    def memory_fit(self) -> tuple[Range, ...]:
        """Segments whose memory is measured for the fit."""
        return ((0, self.chain.positions[-1]), *self.halves)

    @property
    def memory_check(self) -> tuple[Range, ...]:
        """Segments whose memory is measured to see how good the fit is."""
        return self.held_out[:1]


def design_segments(
    graph: LayerGraph,
    layer_us: NDArray[np.float64],
    *,
    max_units: int,
    n_tiny: int,
    n_random: int,
    n_held_out: int,
    seed: int,
) -> Design:
    """Choose the segments of one model, the same for every configuration.

    Parameters
    ----------
    graph : LayerGraph
    layer_us : ndarray, shape (n,)
        Times that the units are to share evenly.
    max_units, n_tiny, n_random, n_held_out : int
        Most units, and how many segments of each kind. Fewer are taken where there are no more.
    seed : int
    """
    cuts = _clean_cuts(graph, layer_us)
    chain = CutChain(graph, (0, *_evenly(cuts, layer_us, max_units), graph.n_layers))
    runs = itertools.pairwise((0, *cuts, graph.n_layers))
    shortest = sorted(runs, key=lambda r: (layer_us[r[0] : r[1]].sum(), r))
    bare = Design(chain, (), ())
    fitted = list(dict.fromkeys([*bare.memory_fit, *bare.units, *shortest[:n_tiny]]))
    longer = [run for run in itertools.combinations(chain.positions, 2) if run not in fitted]
    drawn = np.random.default_rng(seed).permutation(len(longer))
    held_out = tuple(longer[k] for k in drawn[:n_held_out])
    fitted += [longer[k] for k in drawn[n_held_out : n_held_out + n_random]]
    return Design(chain, tuple(fitted), held_out)


def _clean_cuts(graph: LayerGraph, layer_us: NDArray[np.float64]) -> list[int]:
    """Positions that one tensor crosses and where no fusion is torn.

    A layer without time of its own is done along with one before it; cut off, it would cost a pass over memory.
    """
    inner = cut_chain(graph).positions[1:-1]
    return [p for p in inner if layer_us[p] > 0] or list(inner)


def _evenly(cuts: list[int], layer_us: NDArray[np.float64], max_units: int) -> list[int]:
    """Of the cuts, those nearest to even shares of the time; at most ``max_units − 1``."""
    if len(cuts) < max_units:
        return cuts
    done = np.concatenate([[0.0], np.cumsum(layer_us)])[cuts]
    targets = layer_us.sum() * np.arange(1, max_units) / max_units
    return [cuts[k] for k in np.unique(np.abs(done[None, :] - targets[:, None]).argmin(axis=1))]
