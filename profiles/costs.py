"""From measurements to costs: one model's cost table and how well it predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..formulation import Configuration, CostTable, LatencySummary, LayerGraph, MeasuredSegment, ProfileError
from .backends import open_backend
from .design import Design, Range
from .fit import Calibration, calibrate
from .memory import MemoryModel, SessionMemory, fit_memory
from .profile import PredictionError


@dataclass(frozen=True)
class Measurements:
    """What was measured of one model.

    Attributes
    ----------
    layer_us : dict
        Layer times by kind of runtime (the part of a backend's name before the dash), shape (n,) each.
    times : dict
        Summaries by configuration and segment; segments that a backend refused are missing.
    memory : dict
        Resident memory by configuration and segment.
    """

    layer_us: dict[str, NDArray[np.float64]]
    times: dict[Configuration, dict[Range, LatencySummary]]
    memory: dict[Configuration, dict[Range, SessionMemory]]

    def medians_us(self, configuration: Configuration, segments: Sequence[Range]) -> dict[Range, float]:
        """Medians of those of the segments that were measured."""
        times = self.times[configuration]
        return {segment: times[segment].median_us for segment in segments if segment in times}

    def prior_us(self, configuration: Configuration) -> NDArray[np.float64]:
        """Layer times in the configuration's own kind of runtime, else in ONNX Runtime."""
        return self.layer_us.get(configuration.backend.partition("-")[0], self.layer_us["onnxruntime"])


def fit_costs(
    graph: LayerGraph, design: Design, measurements: Measurements
) -> tuple[CostTable, tuple[PredictionError, ...]]:
    """Fit one model's costs to the segments of the design that are for it, and hold them against the others.

    Raises
    ------
    ProfileError
        No backend could run any segment.
    """
    configurations = tuple(c for c in measurements.times if measurements.medians_us(c, design.fitted))
    if not configurations:
        raise ProfileError(
            f"measurements of model {graph.name!r}",
            expected="a backend that runs at least one segment",
            got="none",
            remedy="Look at the warnings for what the backends said.",
        )
    calibrations, memories, errors = [], [], []
    for configuration in configurations:
        fitted = measurements.medians_us(configuration, design.fitted)
        held_out = measurements.medians_us(configuration, design.held_out)
        calibration = calibrate(measurements.prior_us(configuration), design.chain.positions, fitted)
        memory, memory_error = _memory(graph, design, measurements, configuration)
        calibrations.append(calibration)
        memories.append(memory)
        errors.append(
            PredictionError(
                fit_mape=calibration.mape(fitted),
                held_out_mape=calibration.mape(held_out),
                fit_segments=len(fitted),
                held_out_segments=len(held_out),
                memory_error=memory_error,
            )
        )
    table = CostTable.create(
        configurations,
        np.column_stack(
            [
                _supported(calibration, design, measurements.times[configuration])
                for calibration, configuration in zip(calibrations, configurations, strict=True)
            ]
        ),
        fixed_us=[calibration.fixed_us for calibration in calibrations],
        weight_scale=[memory.weight_scale for memory in memories],
        session_bytes=[memory.session_bytes for memory in memories],
        workspace_bytes=np.column_stack([memory.workspace_bytes(graph) for memory in memories]),
        holds_workspace=[open_backend(c.backend).holds_workspace for c in configurations],
        measured=measured_segments(measurements, configurations, design.fitted),
    )
    return table, tuple(errors)


def measured_segments(
    measurements: Measurements, configurations: Sequence[Configuration], segments: Sequence[Range]
) -> tuple[MeasuredSegment, ...]:
    """Summaries of those of the segments that were measured, as cost tables keep them."""
    return tuple(
        MeasuredSegment(start=start, stop=stop, configuration=k, latency=measurements.times[c][start, stop])
        for k, c in enumerate(configurations)
        for start, stop in segments
        if (start, stop) in measurements.times[c]
    )


def _supported(calibration: Calibration, design: Design, times: Mapping[Range, LatencySummary]) -> NDArray[np.float64]:
    """Layer times, NaN in units that the backend refused."""
    layer_us = calibration.layer_us.copy()
    for unit in design.units:
        if unit not in times:
            layer_us[slice(*unit)] = np.nan
    return layer_us


def _memory(
    graph: LayerGraph, design: Design, measurements: Measurements, configuration: Configuration
) -> tuple[MemoryModel, float | None]:
    """Memory model of a configuration, and its relative error on a segment outside the fit."""
    kept = _memory_of_kind(measurements, configuration)
    fitted = {segment: kept[segment].resident_bytes for segment in design.memory_fit if segment in kept}
    model = fit_memory(graph, fitted)
    checks = [model.predict_bytes(graph, s) / kept[s].resident_bytes - 1 for s in design.memory_check if s in kept]
    return model, checks[0] if checks else None


def _memory_of_kind(measurements: Measurements, configuration: Configuration) -> Mapping[Range, SessionMemory]:
    """Measured memory of the configuration with this backend, form and batch."""
    wanted = (configuration.backend, configuration.form, configuration.batch)
    return next((m for c, m in measurements.memory.items() if (c.backend, c.form, c.batch) == wanted), {})
