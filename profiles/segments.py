"""Submodels: layers ``[start, stop)`` of a model as a model of their own, kept in the cache.

All segments of a model share one folder and one file for each of its weights, so that a segment costs a few kilobytes
and sessions on overlapping segments map the same pages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..formulation import Layer, LayerGraph, StalePlanError
from .artefacts import Build, artefact, is_current
from .cache import cache_root
from .onnx_extract import segment_tensors, write_segment, write_skeleton
from .onnx_file import model_sha256

FORMAT = "v1"
"""Goes into the cache path; raise it when the files change."""


@dataclass(frozen=True)
class SegmentFiles:
    """A segment as files.

    Attributes
    ----------
    source : Path
        ONNX with static sizes; weights by reference to files beside it.
    label : str
        ``start-stop``, for names of files made from it.
    input_names, output_names : tuple of str
        Tensors it needs from before, and those it writes that are needed later or leave the model.
    """

    source: Path
    label: str
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]

    def prepared(self, kind: str, build: Build) -> Path:
        """A backend's own form of this segment, built on first use.

        Parameters
        ----------
        kind : str
            Names all that the form depends on besides the segment: backend, version, processor model.
        build : callable
            Writes the path it is given; returns the names of the blobs it needs.
        """
        return artefact(self.source.parent, f"{self.label}.{kind}", build)


class SegmentStore:
    """Segments of one model.

    Parameters
    ----------
    path : str or Path
        The ONNX file; its inputs static but for an open leading dimension.
    graph : LayerGraph
        As `import_onnx` reads it from that file.

    Raises
    ------
    ModelError
        The file cannot be read.
    """

    def __init__(self, path: str | Path, graph: LayerGraph) -> None:
        self.path = Path(path)
        self.graph = graph
        self.sha256 = model_sha256(self.path)
        # Segments are numbered by the layers of this graph, which another version may read in another order.
        order = "\n".join(layer.outputs[0][0] for layer in graph.layers)
        self._key = f"{self.sha256[:24]}-{hashlib.sha256(order.encode()).hexdigest()[:8]}"

    def segment(self, start: int, stop: int, batch: int = 1) -> SegmentFiles:
        """Files of layers ``[start, stop)`` for `batch` samples, extracted on first use.

        Raises
        ------
        StalePlanError
            The model has no such layers.
        UnsupportedError
            A batch other than 1, and the model's leading dimension is fixed.
        """
        if not 0 <= start < stop <= self.graph.n_layers:
            raise StalePlanError(
                f"segment [{start}, {stop}) of model {self.path.name}",
                expected=f"layers of 0 … {self.graph.n_layers}",
                got="others",
                remedy="Plan again with the present model.",
            )
        inputs, outputs = segment_tensors(self.graph, start, stop)
        return self._submodel(f"{start}-{stop}", self.graph.layers[start:stop], inputs, outputs, batch)

    def probe(self, tensors: Sequence[str], batch: int = 1) -> SegmentFiles:
        """Files of the whole model with inner tensors as its outputs."""
        inputs, _ = segment_tensors(self.graph, 0, self.graph.n_layers)
        digest = hashlib.sha256("\n".join(tensors).encode()).hexdigest()[:12]
        return self._submodel(f"probe-{digest}", self.graph.layers, inputs, tuple(tensors), batch)

    def _submodel(
        self, label: str, layers: Sequence[Layer], inputs: tuple[str, ...], outputs: tuple[str, ...], batch: int
    ) -> SegmentFiles:
        folder = cache_root() / "segments" / FORMAT / f"{self._key}-b{batch}"
        name = f"{label}.onnx"
        if not is_current(folder, name):
            skeleton = artefact(folder, "model.onnx", lambda target: self._skeleton(batch, target))
            artefact(folder, name, lambda target: write_segment(skeleton, layers, inputs, outputs, target))
        return SegmentFiles(folder / name, label, inputs, outputs)

    def _skeleton(self, batch: int, target: Path) -> Iterable[str]:
        """What all segments share, as files. The model's file may have been exchanged since it was looked at first."""
        blobs = write_skeleton(self.path, batch, target)
        if (now := model_sha256(self.path)) != self.sha256:
            raise StalePlanError(
                f"model {self.path.name}",
                expected=f"the file that was there before (SHA-256 {self.sha256[:12]}…)",
                got=f"one with {now[:12]}…",
                remedy="Put the file back, or profile the new one and plan again.",
            )
        return blobs
