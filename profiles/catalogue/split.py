"""How totals of a model are split over its layers: estimates by a stated rule, never measurements.

The rule is written down for users in docs/catalogue.md; the figures that it takes are those of the catalogue's
accelerator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .data import AcceleratorFigures
from .layers import Network

MIB = 1 << 20
MOST_POINTS = 30
"""Partition points kept of a network with more cuts, the two ends counted."""


@dataclass(frozen=True)
class Totals:
    """What is known of a whole model.

    Attributes
    ----------
    service_us : float, optional
        Time on the accelerator, streaming included; None: by the rule alone.
    on_chip_bytes, off_chip_bytes : int, optional
        Both or none: bytes that stay and that are streamed; None: counted.
    reload_us : float, optional
        Time to bring in what stays; None: by the accelerator's rule.
    cpu_us : float
    """

    cpu_us: float
    service_us: float | None = None
    on_chip_bytes: int | None = None
    off_chip_bytes: int | None = None
    reload_us: float | None = None


@dataclass(frozen=True, eq=False)
class SplitCosts:
    """Costs at every partition point, shape (points,); see `edgeplan.formulation.Tenant`."""

    points: tuple[str, ...]
    accelerator_us: NDArray[np.float64]
    streaming_us: NDArray[np.float64]
    cpu_us: NDArray[np.float64]
    weight_bytes: NDArray[np.int64]
    resident_bytes: NDArray[np.int64]
    reload_us: NDArray[np.float64]
    handover_bytes: NDArray[np.int64]

    @property
    def streaming_us_per_byte(self) -> float | None:
        """Of the bytes that do not fit; None where all do."""
        streamed = int(self.weight_bytes[-1] - self.resident_bytes[-1])
        return float(self.streaming_us[-1]) / streamed if streamed else None


def layer_times_us(network: Network, figures: AcceleratorFigures) -> NDArray[np.float64]:
    """Time of each layer with its weights resident, shape (layers,): its arithmetic or its bytes, what takes longer."""
    layers = network.layers
    operations = 2.0 * np.array([layer.macs for layer in layers])
    sizes = [layer.output_bytes for layer in layers]
    moved = [
        layer.weight_bytes + layer.output_bytes + sum(sizes[i] if i >= 0 else network.input_bytes for i in layer.inputs)
        for layer in layers
    ]
    return 1e6 * np.maximum(operations / figures.compute.value, np.array(moved) / figures.bytes.value)


def split(network: Network, totals: Totals, figures: AcceleratorFigures, most_points: int = MOST_POINTS) -> SplitCosts:
    """Split totals over the partition points of a network.

    Parameters
    ----------
    network : Network
    totals : Totals
    figures : AcceleratorFigures
    most_points : int
        At least 2.
    """
    resident, streamed = _layer_bytes(network, totals, int(figures.weight_capacity.value))
    times_us = layer_times_us(network, figures)
    off = float(streamed.sum())
    streaming_us = 0.0
    if off:
        rule_us = figures.streaming_fixed.value + figures.streaming_per_mib.value * off / MIB
        # Where the total leaves less than the rule asks, arithmetic has its share first.
        room_us = np.inf if totals.service_us is None else max(0.0, totals.service_us - float(times_us.sum()))
        # Whole microseconds, so that both parts add up to the measured total exactly.
        streaming_us = float(np.floor(min(rule_us, room_us)))
    compute_us = float(times_us.sum()) if totals.service_us is None else totals.service_us - streaming_us
    cuts = _kept(network, times_us, most_points)
    ends = [network.cuts[i].layers for i in cuts]

    def before(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([[0.0], np.cumsum(values)[np.array(ends) - 1]])

    kept = before(resident)
    macs = before(np.array([float(layer.macs) for layer in network.layers]))
    full_us = figures.reload_fixed.value + figures.reload_per_mib.value * kept[-1] / MIB
    if totals.reload_us is not None:
        full_us = totals.reload_us
    fixed_us = min(figures.reload_fixed.value, full_us)
    reload_us = np.where(kept > 0, fixed_us + (full_us - fixed_us) * kept / kept[-1], 0.0)
    resident_bytes = np.rint(kept).astype(np.int64)
    return SplitCosts(
        ("none", *(network.cuts[i].name for i in cuts)),
        compute_us * _share(before(times_us)),
        streaming_us * _share(before(streamed)) if off else np.zeros(len(kept)),
        totals.cpu_us * (1.0 - _share(macs)),
        resident_bytes + np.rint(before(streamed)).astype(np.int64),
        resident_bytes,
        reload_us,
        np.array([network.input_bytes, *(network.cuts[i].tensor_bytes for i in cuts)], dtype=np.int64),
    )


def _share(cumulated: NDArray[np.float64]) -> NDArray[np.float64]:
    share = cumulated / cumulated[-1]
    share[-1] = 1.0
    return share


def _layer_bytes(network: Network, totals: Totals, capacity: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Resident and streamed bytes of each layer, shape (layers,): the first layers stay, whole layers only."""
    counted = np.array([float(layer.weight_bytes) for layer in network.layers])
    cumulated = np.cumsum(counted)
    first = np.zeros(len(counted), dtype=np.bool_)
    if totals.on_chip_bytes is None or totals.off_chip_bytes is None:
        first[:] = cumulated <= capacity
        return np.where(first, counted, 0.0), np.where(first, 0.0, counted)
    on, off = totals.on_chip_bytes, totals.off_chip_bytes
    if off == 0:
        return counted * (on / cumulated[-1]), np.zeros(len(counted))
    # The boundary between layers that comes nearest to the measured share; then both sides are scaled to what was
    # measured, for a compiler pads and reorders weights.
    last = int(np.argmin(np.abs(cumulated / cumulated[-1] - on / (on + off))))
    first[: last + 1] = True
    resident, streamed = np.where(first, counted, 0.0), np.where(first, 0.0, counted)
    return resident * (on / resident.sum()), streamed * (off / streamed.sum())


def _kept(network: Network, times_us: NDArray[np.float64], most_points: int) -> list[int]:
    """Cuts to keep, the last always: as long as there are too many, the one goes whose neighbours lie nearest.

    The distance is the share of time plus the share of weights between two cuts, so that what remains is spread by work
    and by weight alike.
    """
    weights = np.array([float(layer.weight_bytes) for layer in network.layers])
    done = np.concatenate([[0.0], np.cumsum(times_us) / times_us.sum() + np.cumsum(weights) / weights.sum()])
    at = [float(done[cut.layers]) for cut in network.cuts]
    kept = list(range(len(at)))
    while len(kept) + 1 > max(2, most_points):
        gaps = [at[kept[i + 1]] - (at[kept[i - 1]] if i else 0.0) for i in range(len(kept) - 1)]
        kept.pop(int(np.argmin(gaps)))
    return kept
