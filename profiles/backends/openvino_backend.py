"""OpenVINO's CPU plug-in as a backend, through the optional ``openvino`` package."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import openvino

from ...formulation import Configuration, UnsupportedError
from ..segments import SegmentFiles


class OpenVinoSession:
    """A compiled segment with one infer request a calling thread: a request holds buffers of its own."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._requests = threading.local()
        self.input_names = tuple(port.any_name for port in compiled.inputs)
        self.output_names = tuple(port.any_name for port in compiled.outputs)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once. Inputs are read in place; outputs are copied out of the request's buffers."""
        request = getattr(self._requests, "request", None)
        if request is None:
            request = self._requests.request = self._compiled.create_infer_request()
        outputs = request.infer(dict(feeds), share_inputs=True, share_outputs=True)
        return {name: np.array(outputs[k]) for k, name in enumerate(self.output_names)}

    def close(self) -> None:
        """Free the compiled model; requests of other threads go with those threads' next use."""
        self._requests = threading.local()
        self._compiled = None


class OpenVinoBackend:
    """OpenVINO on the CPU. With one thread and one stream, inference runs on the calling thread (seen in the threads'
    CPU times), so pinned callers stay on their core; with more, its further threads take the caller's cores."""

    name = "openvino-cpu"
    forms = ("default",)
    holds_workspace = True

    def __init__(self) -> None:
        self.version = openvino.__version__.split("-")[0]
        self._core = openvino.Core()

    def open(self, segment: SegmentFiles, configuration: Configuration, cores: tuple[int, ...]) -> OpenVinoSession:
        """Open a segment; see `Backend.open`."""
        properties = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": configuration.threads,
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "f32",  # processors with bfloat16 would silently compute in that
        }
        try:
            return OpenVinoSession(self._core.compile_model(str(segment.plain), "CPU", properties))
        except RuntimeError as error:
            raise UnsupportedError(
                f"segment {segment.plain.parent.name} on {self.name}",
                expected="a model that compiles",
                got=" ".join(str(error).split())[:300],
                remedy="Plan without this backend.",
            ) from error
