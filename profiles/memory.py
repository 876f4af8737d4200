"""What sessions need in memory: measured in fresh processes, and modelled for segments not measured.

A session keeps its weights, something for itself, and its working memory, which grows with the largest set of tensors
alive at once:

    resident = weight_scale · weights + session + activation_scale · live tensors

The three unknowns of each model and configuration are fitted to the whole model and its two halves; another segment
says how far off the model is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..formulation import Configuration, LayerGraph, ProfileError
from .design import Range
from .segments import SegmentFiles

MEBIBYTE = 2.0**20


class SessionMemory(BaseModel):
    """Memory of one session, in bytes above the process's size before.

    Attributes
    ----------
    opened_bytes : int
        Resident once open, before any run.
    anonymous_bytes : int
        Resident after runs, the session's own.
    mapped_bytes : int
        Resident after runs, pages of files, which sessions and processes share.
    peak_bytes : int
        Most that was resident at any time, opening included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    opened_bytes: int
    anonymous_bytes: int
    mapped_bytes: int
    peak_bytes: int

    @property
    def resident_bytes(self) -> int:
        """All that is resident after runs; never 0, for errors are relative."""
        return max(self.anonymous_bytes + self.mapped_bytes, 1)


class MemoryProbe:
    """A helper process that measures sessions, one fresh child each. Use it as a context manager."""

    def __enter__(self) -> MemoryProbe:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.memory_probe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def measure(
        self,
        segment: SegmentFiles,
        configuration: Configuration,
        cores: Sequence[int],
        feeds: Mapping[str, np.ndarray],
    ) -> SessionMemory:
        """Open a segment in a fresh process, run it, and see what it takes.

        Parameters
        ----------
        segment : SegmentFiles
        configuration : Configuration
        cores : sequence of int
        feeds : mapping of str to ndarray
            Only their types and shapes matter.

        Raises
        ------
        ProfileError
            The session does not open or run there.
        """
        task = {
            "source": str(segment.source),
            "label": segment.label,
            "inputs": segment.input_names,
            "outputs": segment.output_names,
            "configuration": configuration.model_dump(),
            "cores": list(cores),
            "feeds": {name: (str(feeds[name].dtype), feeds[name].shape) for name in segment.input_names},
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        result: dict[str, Any] = json.loads(answer) if answer else {"error": "the measuring process ended"}
        if "error" in result:
            raise ProfileError(
                f"memory of segment {segment.label} under {configuration.name}",
                expected="a session that opens and runs in a process of its own",
                got=result["error"],
                remedy="Look at the runtime's message; leave this configuration out if it persists.",
            )
        return SessionMemory.model_validate(result)


@dataclass(frozen=True)
class MemoryModel:
    """Memory of one model's sessions under one configuration.

    Attributes
    ----------
    weight_scale : float
        Resident bytes a byte of weights.
    session_bytes : float
    activation_scale : float
        Bytes of working memory a byte of live tensors.
    """

    weight_scale: float
    session_bytes: float
    activation_scale: float

    def predict_bytes(self, graph: LayerGraph, segment: Range) -> float:
        """Resident bytes of a segment's session after runs, as the cost table counts them."""
        weights, live = _sizes(graph, segment)
        # The table has the live tensors in any case, and on top only what a runtime needs beyond.
        return self.weight_scale * weights + self.session_bytes + max(self.activation_scale, 1.0) * live

    def workspace_bytes(self, graph: LayerGraph) -> np.ndarray:
        """Bytes beyond the live tensors while each layer runs, shape (n,)."""
        return max(self.activation_scale - 1.0, 0.0) * graph.live_bytes


def fit_memory(graph: LayerGraph, measured: Mapping[Range, float]) -> MemoryModel:
    """Fit the three unknowns, none negative, to resident bytes of segments.

    Least squares of relative errors with a light pull towards one byte a byte of weights and tensors and one MiB a
    session, which decides where segments are too alike to tell them apart.
    """
    from scipy.optimize import nnls

    sizes = np.array([(*_sizes(graph, segment), MEBIBYTE) for segment in measured])
    resident = np.maximum(np.array(list(measured.values()), dtype=np.float64), 1.0)
    rows = np.concatenate([sizes / resident[:, None], 0.05 * np.eye(3)])
    targets = np.concatenate([np.ones(len(resident)), np.full(3, 0.05)])
    weight_scale, activation_scale, session_mebibytes = nnls(rows, targets)[0]
    return MemoryModel(float(weight_scale), float(session_mebibytes * MEBIBYTE), float(activation_scale))


def _sizes(graph: LayerGraph, segment: Range) -> tuple[float, float]:
    """Weights and largest live tensors of a segment, bytes."""
    start, stop = segment
    return float(graph.weight_bytes[start:stop].sum()), float(graph.live_bytes[start:stop].max())
