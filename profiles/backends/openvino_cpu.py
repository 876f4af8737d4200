"""OpenVINO on the CPU.

Choices, with what was seen (OpenVINO 2026.4, four image models, two cores):

- Precision float32. The default on a processor with bfloat16 instructions is bfloat16: two to three times faster, and
  outputs that differ from the model's in the third digit.
- A segment is compiled once and exported; the export is imported for any number of threads (resnet50: 0.12 s for 0.6).
  It is mapped while it is imported; the weights are then copies in the plugin's own layout, and the mapped pages, never
  written to, are given back.
- One thread, one stream: the inference runs on the calling thread (seen in the threads' CPU time: all of it is the
  caller's, on the core that it is pinned to), whatever ``ENABLE_CPU_PINNING`` says.
- More threads: the caller works too, helpers come from one pool that all sessions of the process share (oneTBB). A
  helper inherits the cores of the thread that happens to start it, so the pool is started in full by a thread that may
  use all cores, before any pinned worker can; what runs then holds it to its cores (`openvino_helpers`). Helpers with
  nothing to do sleep after some tens of microseconds.
- Each compiled model has two threads of its own (idle here). When it goes they stay, for the next one of the same
  settings: as many as were ever open at once, which two plans at a time while they are exchanged take ever higher. They
  end when a plugin does (1 ms), so with every session a plugin of no use is made and ended (six sessions: 2 threads
  before, 14 while they are open and after all of them, 4 then; an inference in another session runs on).
- A request object cannot run twice at once: each caller takes one from a pool. Outputs are written straight into fresh
  arrays (20 µs a call; the default ``infer`` 56 µs, and a copy of every tensor). That fails silently where the last
  operator only passes its input's memory on (a lone dropout or reshape leaves the array as it was), so it is only done
  where every output comes from an operator known to write.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from ...formulation import Configuration
from ..machine import processor_key
from ..segments import SegmentFiles
from .base import Session
from .checks import check_cores, check_form, refused
from .openvino_helpers import HelperThreads

if TYPE_CHECKING:
    import openvino

_DEVICE = "CPU"

_WRITING = frozenset(
    {
        "Convolution",
        "Deconvolution",
        "Eltwise",
        "FullyConnected",
        "Lrn",
        "MatMul",
        "Pooling",
        "Reduce",
        "Reorder",
        "Softmax",
        "Subgraph",
    }
)
"""Kinds of executed nodes that write their output, and do not pass on what they were given."""


def properties(threads: int) -> dict[str, Any]:
    """Properties that a segment is compiled and imported with."""
    return {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }


class OpenVinoCpu:
    """Backend ``openvino-cpu``. Importing OpenVINO happens when it is made."""

    name = "openvino-cpu"
    forms = ("default",)
    holds_workspace = True  # each request keeps its buffers

    def __init__(self) -> None:
        import openvino

        self._build = openvino.__version__.replace("/", "-")
        self.version: str = self._build.partition("-")[0]
        self._core = openvino.Core()
        self._helpers = HelperThreads(self._multiply)

    def open(self, segment: SegmentFiles, configuration: Configuration, cores: tuple[int, ...]) -> Session:
        """See `Backend.open`."""
        check_form(self, configuration)
        check_cores(configuration, cores)
        session = partial(OpenVinoSession, self._core, segment=segment, properties=properties(configuration.threads))
        with refused(self.name, segment):
            if configuration.threads == 1:
                return session(self.prepare(segment))
            self._helpers.start()
            return session(self.prepare(segment), helping=partial(self._helpers.helping, cores))

    def prepare(self, segment: SegmentFiles) -> Path:
        """The segment compiled for this processor and exported."""
        kind = f"openvino-{self._build}-{processor_key()}.blob"
        return segment.prepared(kind, lambda target: self._compile(segment.source, target))

    def _compile(self, source: Path, target: Path) -> Iterable[str]:
        stream = io.BytesIO()
        self._core.compile_model(str(source), _DEVICE, properties(1)).export_model(stream)
        target.write_bytes(stream.getbuffer())
        return ()

    def _multiply(self, threads: int) -> None:
        """Multiply matrices on that many threads."""
        import openvino
        from openvino import opset8

        value = opset8.parameter([threads, 64, 64], np.float32)
        product = opset8.matmul(value, value, False, True)
        # OpenVINO's Python class wraps a compiled one, whose stub wants `self` to be the compiled class itself: no call
        # of this constructor passes the type check, whatever its arguments.
        model = openvino.Model([product], [value], "start")  # type: ignore[reportGeneralTypeIssues]
        compiled = self._core.compile_model(model, _DEVICE, properties(threads))
        compiled.create_infer_request().infer([np.ones((threads, 64, 64), np.float32)])


class OpenVinoSession:
    """An open segment in OpenVINO."""

    def __init__(
        self,
        core: openvino.Core,
        path: Path,
        segment: SegmentFiles,
        properties: Mapping[str, Any],
        helping: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        import openvino

        self._helping = helping
        with path.open("rb") as handle:
            # Copy on write, for OpenVINO takes writable memory only; it does not write.
            self._file = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_COPY)
        self._bytes = np.frombuffer(self._file, dtype=np.uint8)
        tensor = openvino.Tensor(self._bytes, shared_memory=True)
        self._compiled = core.import_model(tensor, _DEVICE, dict(properties))
        # The pages come back from the file, should a constant still be read from there.
        self._file.madvise(mmap.MADV_DONTNEED)
        self.input_names, self.output_names = segment.input_names, segment.output_names
        # By position, the order of the file: names are lost where an operator at the border is removed as idle.
        self._inputs = list(zip(self.input_names, self._compiled.inputs, strict=True))
        self._outputs = [
            (name, port, tuple(port.shape), port.element_type.to_dtype())
            for name, port in zip(self.output_names, self._compiled.outputs, strict=True)
        ]
        self._writes_outputs = all(
            result.input_value(0).get_node().rt_info["layerType"].astype(str) in _WRITING
            for result in self._compiled.get_runtime_model().get_results()
        )
        self._idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Session.run`."""
        from openvino import Tensor

        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        # OpenVINO takes writable memory only, which the bytes of a message, for one, are not; and does not keep it.
        inputs = [np.require(feeds[name], requirements=["C", "W"]) for name in self.input_names]
        for value, (_, port) in zip(inputs, self._inputs, strict=True):
            request.set_tensor(port, Tensor(value, shared_memory=True))
        if self._writes_outputs:
            outputs = {name: np.empty(shape, dtype) for name, _, shape, dtype in self._outputs}
            for name, port, *_ in self._outputs:
                request.set_tensor(port, Tensor(outputs[name], shared_memory=True))
            with self._helping():
                request.infer(None, share_inputs=True, share_outputs=True)
        else:
            with self._helping():
                values = request.infer(None, share_inputs=True, share_outputs=True)
            outputs = {name: np.array(values[k]) for k, (name, *_) in enumerate(self._outputs)}
        self._idle.put(request)
        return outputs

    def close(self) -> None:
        """See `Session.close`."""
        del self._idle, self._inputs, self._outputs, self._compiled, self._bytes
        _end_idle_threads()


def _end_idle_threads() -> None:
    """End the threads of compiled models that are gone: the end of any plugin gives up those that nobody holds."""
    import openvino

    openvino.Core().get_versions(_DEVICE)
