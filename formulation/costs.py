"""Cost tables: what layers and segments cost under each execution configuration, and where the figures come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from .errors import CostError, capped
from .graph import LayerGraph


class Configuration(BaseModel):
    """How a segment is executed.

    Attributes
    ----------
    processor : str
        Name of the processor of the platform.
    backend : str
        Runtime or execution provider, for instance ``onnxruntime-cpu``.
    threads : int
        Cores it occupies while it runs.
    batch : int
        Samples in one run.
    form : str
        Form of the session, where the backend has several: ``mapped`` or ``prepacked`` weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    processor: str = "cpu"
    backend: str
    threads: int = Field(default=1, ge=1)
    batch: int = Field(default=1, ge=1)
    form: str = "default"

    @property
    def name(self) -> str:
        """Short unique label, for instance ``onnxruntime-cpu/t1/b1/mapped``."""
        return f"{self.backend}/t{self.threads}/b{self.batch}/{self.form}"


class LatencySummary(BaseModel):
    """Robust summary of repeated timings of one thing, in microseconds.

    Attributes
    ----------
    median_us : float
        Median of the timings.
    low_us : float
        Lower end of the 95 % confidence interval of the median.
    high_us : float
        Its upper end.
    spread_us : float
        Median absolute deviation × 1.4826 (the standard deviation, were the timings normal).
    repeats : int
        Timings summarised, warm-up left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    median_us: FiniteFloat = Field(ge=0)
    low_us: FiniteFloat = Field(ge=0)
    high_us: FiniteFloat = Field(ge=0)
    spread_us: FiniteFloat = Field(ge=0)
    repeats: int = Field(ge=1)


class MeasuredSegment(BaseModel):
    """A segment that was timed itself: layers ``[start, stop)`` under one configuration.

    Attributes
    ----------
    start : int
        First layer, counted from 0 in the graph's order.
    stop : int
        The layer after the last one.
    configuration : int
        Its position in the table's configurations.
    latency : LatencySummary
        Of the whole segment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: int = Field(ge=0)
    stop: int
    configuration: int = Field(ge=0)
    latency: LatencySummary


class Provenance(BaseModel):
    """Where costs come from; an estimate never passes for a measurement.

    Attributes
    ----------
    kind : {'measured', 'imported', 'estimated', 'synthetic', 'adapted'}
        ``adapted`` costs are measured ones corrected by observation of the live system.
    source : str
        File, publication or generator.
    fingerprint : str
        Digest of the machine and versions measured on; empty where that makes no sense.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["measured", "imported", "estimated", "synthetic", "adapted"] = "synthetic"
    source: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, eq=False)
class CostTable:
    """Costs of one model's n layers under C configurations.

    A segment ``[start, stop)`` under configuration c takes ``fixed_us[c] + Σ layer_us[start:stop, c]``, unless that
    very segment was measured: then its median counts. It keeps ``weight_scale[c] · Σ weight bytes + session_bytes[c]``
    resident, and needs ``max(live tensor bytes + workspace_bytes[l, c])`` while it runs; a configuration with
    ``holds_workspace`` keeps that memory between runs too (an arena).

    Attributes
    ----------
    configurations : tuple of Configuration
    layer_us : ndarray, shape (n, C)
        Microseconds; NaN where the configuration cannot run the layer.
    fixed_us : ndarray, shape (C,)
        Microseconds a segment costs whatever is in it.
    weight_scale : ndarray, shape (C,)
        Resident bytes for each byte of weights.
    session_bytes : ndarray, shape (C,)
        Bytes a segment's session needs besides.
    workspace_bytes : ndarray, shape (n, C)
        Bytes needed while a layer runs, beyond the tensors alive.
    holds_workspace : ndarray of bool, shape (C,)
    measured : tuple of MeasuredSegment
    provenance : Provenance

    Raises
    ------
    CostError
        A wrong shape; a negative, infinite or missing cost; a layer that no configuration can run.
    """

    configurations: tuple[Configuration, ...]
    layer_us: NDArray[np.float64]
    fixed_us: NDArray[np.float64]
    weight_scale: NDArray[np.float64]
    session_bytes: NDArray[np.float64]
    workspace_bytes: NDArray[np.float64]
    holds_workspace: NDArray[np.bool_]
    measured: tuple[MeasuredSegment, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    @classmethod
    def create(
        cls,
        configurations: Sequence[Configuration],
        layer_us: ArrayLike,
        *,
        fixed_us: ArrayLike = 0.0,
        weight_scale: ArrayLike = 1.0,
        session_bytes: ArrayLike = 0.0,
        workspace_bytes: ArrayLike = 0.0,
        holds_workspace: ArrayLike = False,
        measured: Sequence[MeasuredSegment] = (),
        provenance: Provenance | None = None,
    ) -> CostTable:
        """Build a table; scalars are broadcast to every layer and configuration."""
        layers = np.asarray(layer_us, dtype=np.float64)
        if layers.ndim != 2 or layers.shape[1] != len(configurations) or layers.size == 0:
            raise CostError(
                "layer costs",
                expected=f"shape (layers, {len(configurations)}) for {len(configurations)} configurations",
                got=f"shape {layers.shape}",
                remedy="Give one row a layer and one column a configuration.",
            )
        each = (len(configurations),)
        return cls(
            tuple(configurations),
            layers,
            _spread("fixed_us", fixed_us, each),
            _spread("weight_scale", weight_scale, each),
            _spread("session_bytes", session_bytes, each),
            _spread("workspace_bytes", workspace_bytes, layers.shape),
            _spread("holds_workspace", holds_workspace, each).astype(np.bool_),
            tuple(measured),
            provenance or Provenance(),
        )

    def __post_init__(self) -> None:
        names = [c.name + "@" + c.processor for c in self.configurations]
        if len(set(names)) < len(names):
            raise CostError("configurations", expected="each once", got=capped(names), remedy="Remove the repeats.")
        _refuse_bad_layers(self.layer_us)
        for label, values in (
            ("fixed_us", self.fixed_us),
            ("weight_scale", self.weight_scale),
            ("session_bytes", self.session_bytes),
            ("workspace_bytes", self.workspace_bytes),
        ):
            if not np.all(np.isfinite(values)) or np.any(values < 0):
                bad = values[~np.isfinite(values) | (values < 0)]
                raise CostError(label, expected="finite numbers of 0 or more", got=capped(bad), remedy="Measure again.")
        n, c = self.layer_us.shape
        for segment in self.measured:
            if not (0 <= segment.start < segment.stop <= n and segment.configuration < c):
                raise CostError(
                    f"measured segment [{segment.start}, {segment.stop}) of configuration {segment.configuration}",
                    expected=f"a range within {n} layers and an index below {c}",
                    got="one outside",
                    remedy="Profile this model again.",
                )

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return self.layer_us.shape[0]

    @cached_property
    def _prefix_us(self) -> NDArray[np.float64]:
        zeros = np.zeros((1, len(self.configurations)))
        return np.concatenate([zeros, np.cumsum(np.nan_to_num(self.layer_us), axis=0)])

    @cached_property
    def _prefix_unsupported(self) -> NDArray[np.int64]:
        zeros = np.zeros((1, len(self.configurations)), dtype=np.int64)
        return np.concatenate([zeros, np.cumsum(np.isnan(self.layer_us), axis=0)])

    def segment_us(self, start: int, stop: int) -> NDArray[np.float64]:
        """Microseconds of layers ``[start, stop)`` under each configuration, shape (C,); infinite where unsupported."""
        return self.interval_us((start, stop))[0, 1]

    def interval_us(self, positions: Sequence[int]) -> NDArray[np.float64]:
        """Microseconds of every segment between two of the given positions.

        Parameters
        ----------
        positions : sequence of int
            K + 1 ascending cut positions.

        Returns
        -------
        ndarray, shape (K + 1, K + 1, C)
            Entry (a, b, c): layers from ``positions[a]`` up to ``positions[b]`` under configuration c. Infinite for
            b ≤ a and where the configuration cannot run one of the layers.
        """
        at = np.asarray(positions, dtype=np.int64)
        sums = self._prefix_us[at]
        us = sums[None, :, :] - sums[:, None, :] + self.fixed_us
        unsupported = self._prefix_unsupported[at]
        us = np.where(unsupported[None, :, :] > unsupported[:, None, :], np.inf, us)
        where = {int(p): k for k, p in enumerate(at)}
        for segment in self.measured:
            if segment.start in where and segment.stop in where:
                us[where[segment.start], where[segment.stop], segment.configuration] = segment.latency.median_us
        us[np.tril_indices(len(at))] = np.inf
        return us

    def resident_bytes(self, graph: LayerGraph, positions: Sequence[int]) -> NDArray[np.float64]:
        """Bytes each segment keeps resident between runs, shape (K + 1, K + 1, C); infinite for b ≤ a."""
        at = np.asarray(positions, dtype=np.int64)
        weights = np.concatenate([[0], np.cumsum(graph.weight_bytes)])[at].astype(np.float64)
        held = weights[None, :, None] - weights[:, None, None]
        resident = held * self.weight_scale + self.session_bytes
        resident = resident + np.where(self.holds_workspace, self._peak_bytes(graph, at), 0.0)
        resident[np.tril_indices(len(at))] = np.inf
        return resident

    def transient_bytes(self, graph: LayerGraph, positions: Sequence[int]) -> NDArray[np.float64]:
        """Bytes each segment needs only while it runs, shape (K + 1, K + 1, C); infinite for b ≤ a."""
        at = np.asarray(positions, dtype=np.int64)
        transient = np.where(self.holds_workspace, 0.0, self._peak_bytes(graph, at))
        transient[np.tril_indices(len(at))] = np.inf
        return transient

    def _peak_bytes(self, graph: LayerGraph, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Largest live tensors plus workspace over the layers of each segment, shape (K + 1, K + 1, C)."""
        need = graph.live_bytes[:, None] + self.workspace_bytes
        peak = np.zeros((len(at), len(at), need.shape[1]))
        for a in range(len(at) - 1):
            unit_peaks = np.maximum.reduceat(need[at[a] : at[-1]], at[a:-1] - at[a], axis=0)
            peak[a, a + 1 :] = np.maximum.accumulate(unit_peaks, axis=0)
        return peak

    def corrected(self, factors: ArrayLike, provenance: Provenance) -> CostTable:
        """Copy with every time of configuration c multiplied by ``factors[c]``, shape (C,)."""
        scale = np.broadcast_to(np.asarray(factors, dtype=np.float64), (len(self.configurations),))
        measured = tuple(
            segment.model_copy(update={"latency": _scaled(segment.latency, float(scale[segment.configuration]))})
            for segment in self.measured
        )
        return replace(
            self,
            layer_us=self.layer_us * scale,
            fixed_us=self.fixed_us * scale,
            measured=measured,
            provenance=provenance,
        )

    def only(self, configurations: Sequence[int]) -> CostTable:
        """Copy with these configurations, by index, and no others.

        Raises
        ------
        CostError
            A layer would be left that none of them can run.
        """
        kept = list(configurations)
        measured = tuple(
            segment.model_copy(update={"configuration": kept.index(segment.configuration)})
            for segment in self.measured
            if segment.configuration in kept
        )
        return CostTable(
            tuple(self.configurations[c] for c in kept),
            self.layer_us[:, kept],
            self.fixed_us[kept],
            self.weight_scale[kept],
            self.session_bytes[kept],
            self.workspace_bytes[:, kept],
            self.holds_workspace[kept],
            measured,
            self.provenance,
        )


def _scaled(latency: LatencySummary, factor: float) -> LatencySummary:
    return LatencySummary(
        median_us=latency.median_us * factor,
        low_us=latency.low_us * factor,
        high_us=latency.high_us * factor,
        spread_us=latency.spread_us * factor,
        repeats=latency.repeats,
    )


def _spread(label: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Broadcast figures to every layer and configuration, or say that they do not fit."""
    try:
        return np.broadcast_to(np.asarray(values, dtype=np.float64), shape)
    except ValueError as error:  # numpy's words name neither the figures nor the remedy
        raise CostError(
            label,
            expected=f"one number, or numbers of shape {shape}",
            got=" ".join(str(error).split()),
            remedy="Give one row a layer and one column a configuration.",
        ) from error


def _refuse_bad_layers(layer_us: NDArray[np.float64]) -> None:
    bad = np.argwhere(np.isinf(layer_us) | (layer_us < 0))
    if len(bad):
        raise CostError(
            "layer costs",
            expected="finite microseconds of 0 or more, or NaN where a layer is not supported",
            got=capped(f"{layer_us[i, c]:g} (layer {i}, configuration {c})" for i, c in bad),
            remedy="Measure these layers again.",
        )
    missing = np.flatnonzero(np.all(np.isnan(layer_us), axis=1))
    if len(missing):
        raise CostError(
            "layer costs",
            expected="a cost for every layer under at least one configuration",
            got=f"none for layers {capped(missing)}",
            remedy="Profile the model with a backend that runs these layers.",
        )
