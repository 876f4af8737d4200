"""Takes one model's measurements: layer times, segments under every configuration, memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..formulation import Configuration, LatencySummary, ModelError, UnsupportedError
from .backends import open_backend
from .backends.onnxruntime_cpu import OnnxRuntimeSession, session_options
from .costs import Measurements
from .design import Design, Range, design_segments
from .inputs import sample_inputs
from .journal import Journal
from .layer_times import onnxruntime_layer_us, openvino_layer_us
from .measure import StopRule, on_core, time_session
from .memory import MemoryProbe, SessionMemory
from .onnx_import import import_onnx
from .segments import SegmentStore
from .settings import ProfileSettings

N_TINY = 2
"""Shortest segments in the fit, for the fixed cost."""


class ModelProfiler:
    """One model's measurements; what the journal has already is not measured again.

    Parameters
    ----------
    name : str
    path : Path
        Static but for an open leading dimension.
    configurations : sequence of Configuration
    cores : sequence of int
        Cores of the processor; a configuration with k threads is measured on the first k.
    settings : ProfileSettings
    journal : Journal, optional

    Raises
    ------
    ModelError, GraphError
        The file is no model that can be planned.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        configurations: Sequence[Configuration],
        cores: Sequence[int],
        settings: ProfileSettings,
        journal: Journal | None = None,
    ) -> None:
        self.graph = import_onnx(path, name=name)
        self.store = SegmentStore(path, self.graph)
        self.configurations = tuple(configurations)
        self.measurements = Measurements({}, {}, {})
        self.refusals: dict[str, str] = {}
        self._cores = tuple(cores)
        self._settings = settings
        self._journal = journal
        self._tensors: dict[int, dict[str, np.ndarray]] = {}

    def measure_layers(self) -> None:
        """Take the time of every layer in each kind of runtime that can tell; the segments are chosen by it."""
        kinds: dict[str, Callable] = {"onnxruntime": onnxruntime_layer_us}
        if any(c.backend.startswith("openvino") for c in self.configurations):
            kinds["openvino"] = openvino_layer_us
        for kind, layer_times in kinds.items():

            def measure(layer_times: Callable = layer_times) -> list[float] | None:
                model, feeds = self.store.segment(0, self.graph.n_layers), sample_inputs(self.store.path)
                taken = on_core(self._cores[0], lambda: layer_times(model, self.graph, feeds))
                return None if taken is None else [float(us) for us in taken]

            taken = self._remembered(f"layers {kind}", measure)
            if taken is not None:
                self.measurements.layer_us[kind] = np.array(taken)

    @cached_property
    def design(self) -> Design:
        """The segments to measure; to be asked for after `measure_layers`."""
        layer_us = self.measurements.layer_us
        taken_us = np.mean(list(layer_us.values()), axis=0)
        sizes = self._settings.sizes
        return design_segments(
            self.graph,
            # What ONNX Runtime does along with another layer stays without time, and so is no place to cut.
            np.where(layer_us["onnxruntime"] > 0, taken_us, 0.0),
            max_units=sizes.units,
            n_tiny=N_TINY,
            n_random=sizes.random_segments,
            n_held_out=sizes.held_out,
            seed=self._settings.seed,
        )

    def timings(self) -> Iterator[tuple[Range, Configuration]]:
        """What `measure_segment` is to be called for."""
        return ((segment, c) for c in self.configurations for segment in self.design.segments)

    def measure_segment(self, segment: Range, configuration: Configuration, rule: StopRule) -> None:
        """Time a segment the way it is served: opened by its backend and called on a pinned thread."""
        key = f"time {segment[0]}-{segment[1]} {configuration.name}"
        taken = self._remembered(key, lambda: self._time(segment, configuration, rule))
        if taken is not None:
            times = self.measurements.times.setdefault(configuration, {})
            times[segment] = LatencySummary.model_validate(taken)

    def _time(self, segment: Range, configuration: Configuration, rule: StopRule) -> dict[str, Any] | None:
        cores = self._cores[: configuration.threads]
        files = self.store.segment(*segment, configuration.batch)
        tensors = self._tensors_at(configuration.batch)
        feeds = {name: tensors[name] for name in files.input_names}
        try:
            session = open_backend(configuration.backend).open(files, configuration, cores)
        except UnsupportedError as error:
            self.refusals.setdefault(configuration.name, error.got)
            return None
        try:
            return on_core(cores[0], lambda: time_session(session, feeds, rule)).model_dump()
        finally:
            session.close()

    def memory_kinds(self) -> tuple[Configuration, ...]:
        """Configurations whose memory is measured: the fewest threads of each backend, form and batch. More threads
        add next to nothing (2 % at most where it was tried)."""
        fewest: dict[tuple[str, str, int], Configuration] = {}
        for c in sorted(self.configurations, key=lambda c: c.threads):
            fewest.setdefault((c.backend, c.form, c.batch), c)
        return tuple(c for c in fewest.values() if self.measurements.times.get(c))

    def measure_memory(self, configuration: Configuration, probe: MemoryProbe) -> None:
        """Measure what sessions on the segments of the design that are for this keep resident."""
        cores = self._cores[: configuration.threads]
        tensors = self._tensors_at(configuration.batch)
        for segment in (*self.design.memory_fit, *self.design.memory_check):
            if segment in self.measurements.times[configuration]:
                files = self.store.segment(*segment, configuration.batch)
                taken = self._remembered(
                    f"memory {segment[0]}-{segment[1]} {configuration.name}",
                    lambda files=files: probe.measure(files, configuration, cores, tensors).model_dump(),
                )
                kept = self.measurements.memory.setdefault(configuration, {})
                kept[segment] = SessionMemory.model_validate(taken)

    def _tensors_at(self, batch: int) -> dict[str, np.ndarray]:
        """Real values of every tensor that a segment of the design reads."""
        if batch not in self._tensors:
            feeds = sample_inputs(self.store.path, batch=batch, seed=self._settings.seed)
            read = {name for segment in self.design.segments for name in self.store.segment(*segment).input_names}
            inner = sorted(read - set(feeds))
            if inner:
                source = self.store.probe(inner, batch).source
                session = OnnxRuntimeSession(source, session_options(1, (), "ORT_ENABLE_ALL"), "CPUExecutionProvider")
                try:
                    feeds = feeds | session.run({name: feeds[name] for name in session.input_names})
                except Exception as error:  # the runtime's exceptions share no base
                    raise ModelError(
                        f"model {self.store.path.name}",
                        expected=f"a graph that runs in batches of {batch}",
                        got=" ".join(str(error).split())[:300],
                        remedy="Leave this batch size out: a layer inside fixes the size, though the input does not."
                        if batch > 1
                        else "Correct the model, or give sizes for its inputs.",
                    ) from error
            self._tensors[batch] = feeds
        return self._tensors[batch]

    def _remembered(self, key: str, measure: Callable[[], Any]) -> Any:
        """What the journal has for this model and key, else what `measure` gives, noted."""
        if self._journal is None:
            return measure()
        key = f"{self.store.sha256} {key}"
        if key not in self._journal:
            self._journal.note(key, measure())
        return self._journal[key]
