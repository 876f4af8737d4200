"""Submodels: the layers of a segment as an ONNX file of their own, prepared once and kept in the cache.

A segment is kept in two forms. The plain one is what other runtimes read. The optimised one has been through ONNX Runtime's
graph optimiser already, with its weights in a file beside it: a session opens it in milliseconds without optimising again,
and the weights are mapped pages that sessions and processes share.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..formulation import LayerGraph, ModelError
from .cache import build_once, cache_dir, file_sha256
from .machine import cpu_name

if TYPE_CHECKING:
    import onnx

_FORMAT = 1
"""Part of every cache key; counted up when what is written changes."""


@dataclass(frozen=True)
class SegmentFiles:
    """A prepared segment.

    Attributes
    ----------
    plain : Path
        The submodel as it was cut out.
    optimised : Path
        The same, optimised by ONNX Runtime for this processor.
    input_names, output_names : tuple of str
        Tensors it needs from outside, and tensors needed outside, the graph's own inputs and outputs among them.
    """

    plain: Path
    optimised: Path
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


class SegmentStore:
    """Cuts segments out of one model and keeps them in the cache. Threads and processes may share it.

    Parameters
    ----------
    path : Path
        The ONNX file.
    graph : LayerGraph
        As `import_onnx` made it of that file.
    cache : Path, optional
    """

    def __init__(self, path: Path, graph: LayerGraph, cache: Path | None = None) -> None:
        import onnxruntime

        self._path = path
        self._graph = graph
        self._model: onnx.ModelProto | None = None
        self._lock = threading.Lock()
        key = [_FORMAT, file_sha256(path), graph.sha256, onnxruntime.__version__, cpu_name()]
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
        self._folder = (cache or cache_dir()) / "segments" / f"{path.stem[:40]}-{digest[:16]}"

    def segment(self, start: int, stop: int) -> SegmentFiles:
        """Layers ``[start, stop)``, cut out and optimised unless the cache has them whole.

        Raises
        ------
        ModelError
            ONNX Runtime refuses the submodel.
        """
        folder = self._folder / f"{start}-{stop}"
        inputs, outputs = self._interface(start, stop)
        with self._lock:
            if not _is_whole(folder):
                shutil.rmtree(folder, ignore_errors=True)
                build_once(folder, lambda made: self._build(made, inputs, outputs))
        return SegmentFiles(folder / "plain.onnx", folder / "optimised.onnx", inputs, outputs)

    def _interface(self, start: int, stop: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        graph = self._graph
        read = {graph.tensor_index[t] for i in range(start, stop) for t in graph.layers[i].inputs}
        inputs = sorted(t for t in read if not start <= graph.tensor_producer[t] < stop)
        outputs = [
            t
            for t in range(len(graph.tensor_names))
            if start <= graph.tensor_producer[t] < stop and graph.tensor_last_use[t] >= stop
        ]
        return tuple(graph.tensor_names[t] for t in inputs), tuple(graph.tensor_names[t] for t in outputs)

    def _build(self, folder: Path, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        import onnx
        import onnxruntime

        submodel = self._extract(inputs, outputs)
        plain, optimised = folder / "plain.onnx", folder / "optimised.onnx"
        onnx.save(submodel, plain, save_as_external_data=True, location="plain.data", size_threshold=1024)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.optimized_model_filepath = str(optimised)
        options.log_severity_level = 3  # it warns that the file fits this processor only, which the cache key says
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "optimised.data")
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
        try:
            onnxruntime.InferenceSession(str(plain), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise ModelError(
                f"segment {folder.name.lstrip('.')} of {self._path.name}",
                expected="a submodel that ONNX Runtime can run",
                got=" ".join(str(error).split())[:300],
                remedy="Cut elsewhere, or keep the model whole.",
            ) from error
        sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
        (folder / "sizes.json").write_text(json.dumps(sizes))

    def _extract(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> onnx.ModelProto:
        import onnx
        import onnx.utils

        if self._model is None:
            self._model = onnx.shape_inference.infer_shapes(onnx.load(self._path))
        return onnx.utils.Extractor(self._model).extract_model(list(inputs), list(outputs))


def _is_whole(folder: Path) -> bool:
    """Whether every file is there with the size it was written with: a full disk or a crash leaves less."""
    try:
        sizes = json.loads((folder / "sizes.json").read_text())
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False
