"""ONNX Runtime on its own CPU provider.

Choices, with what was seen (ONNX Runtime 1.31, four image models, AVX-512 machine):

- Level ALL. It saves 10 to 35 per cent of the time against EXTENDED (squeezenet 6.9 ms for 8.5, shufflenet 4.6 for
  7.1); a cut costs more, for the blocked layout ends there. A segment is optimised once, written with its weights
  beside it, and loaded as it is from then on: a session opens in milliseconds.
- The weights of the file are mapped, so that sessions share them and they cost no anonymous memory (form ``mapped``).
  Form ``prepacked`` lets the runtime make its own packed copies: up to 5 per cent faster.
- ``run`` and not IO binding: its outputs are not copied but wrapped (5 µs a call; binding 10 µs), and each owns its
  memory, so that no later run touches it.
- Helper threads spin while a run lasts and stop with it. Without spinning, shufflenet on two threads takes 3.9 ms for
  2.7; with the default, an idle session burns a core for another 15 ms, and eight sessions of two threads in a row
  gain nothing over one thread, since the helpers of those before hold the core.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

import numpy as np

from ...formulation import Configuration
from ..artefacts import write_blob
from ..machine import processor_key
from ..onnx_extract import set_reference
from ..segments import SegmentFiles
from .base import Session
from .checks import check_cores, check_form, refused

if TYPE_CHECKING:
    import onnxruntime

_QUIET = 3  # errors only: a warning says that level ALL suits this processor only, which the file's name says too


class OnnxRuntimeCpu:
    """Backend ``onnxruntime-cpu``. Importing ONNX Runtime happens when it is made."""

    name = "onnxruntime-cpu"
    forms = ("mapped", "prepacked")
    holds_workspace = True  # the arena stays as large as the largest run made it

    def __init__(self) -> None:
        import onnxruntime

        self.version: str = onnxruntime.__version__

    def open(self, segment: SegmentFiles, configuration: Configuration, cores: tuple[int, ...]) -> Session:
        """See `Backend.open`."""
        check_form(self, configuration)
        check_cores(configuration, cores)
        options = session_options(configuration.threads, cores)
        options.add_session_config_entry("session.disable_prepacking", str(int(configuration.form == "mapped")))
        with refused(self.name, segment):
            return OnnxRuntimeSession(self.prepare(segment), options, "CPUExecutionProvider")

    def prepare(self, segment: SegmentFiles) -> Path:
        """The segment optimised for this processor, with weights as blobs."""
        kind = f"onnxruntime-{self.version}-{processor_key()}.onnx"
        return segment.prepared(kind, lambda target: _optimise(segment.source, target))


class OnnxRuntimeSession:
    """An open segment in ONNX Runtime."""

    def __init__(self, path: Path, options: onnxruntime.SessionOptions, provider: str) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
        self.provider = self._session.get_providers()[0]
        self.input_names = tuple(value.name for value in self._session.get_inputs())
        self.output_names = tuple(value.name for value in self._session.get_outputs())

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Session.run`."""
        values = cast(list[np.ndarray], self._session.run(self.output_names, feeds))
        return dict(zip(self.output_names, values, strict=True))

    def close(self) -> None:
        """See `Session.close`."""
        del self._session


def session_options(threads: int, cores: tuple[int, ...], level: str = "ORT_DISABLE_ALL") -> onnxruntime.SessionOptions:
    """Options of every session here: an explicit number of threads, helpers on ``cores[1:]``, no memory pattern."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads
    # The pattern would hold one block for all activations, sized for the worst case.
    options.enable_mem_pattern = False
    if threads > 1:
        helpers = ";".join(str(core + 1) for core in cores[1:threads])  # the runtime counts processors from 1
        options.add_session_config_entry("session.intra_op_thread_affinities", helpers)
        options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _optimise(source: Path, target: Path) -> Iterable[str]:
    """Write the optimised form of a segment; returns the blobs it needs."""
    import onnx
    import onnxruntime
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    blobs = []
    with TemporaryDirectory(dir=target.parent) as folder:
        written = Path(folder) / "optimised.onnx"
        options = session_options(1, (), "ORT_ENABLE_ALL")
        options.optimized_model_filepath = str(written)
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights")
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        model = onnx.load(str(written), load_external_data=False)
        external = [tensor for tensor in model.graph.initializer if uses_external_data(tensor)]
        if external:
            with (Path(folder) / "weights").open("rb") as handle:
                mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
                for tensor in external:
                    info = ExternalDataInfo(tensor)
                    begin = info.offset or 0
                    end = begin + info.length if info.length else None
                    with memoryview(mapped)[begin:end] as values:
                        blobs.append(write_blob(target.parent, values))
                    set_reference(tensor, blobs[-1])
                mapped.close()
        onnx.save(model, str(target))
    return blobs
