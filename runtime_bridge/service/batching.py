"""Requests put together along the batch dimension, run as one, and taken apart again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ...formulation import InferenceError, Model, Step, UnsupportedError, capped
from ...profiles import import_onnx
from ...profiles.onnx_file import OnnxFile, fixed_sizes, has_open_batch
from ..pipeline import Pipeline

Tensors = Mapping[str, np.ndarray]
Outputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class RequestShape:
    """What one request of a model must bring: one sample.

    Attributes
    ----------
    model : str
    inputs : mapping of str to (shape, dtype)
    """

    model: str
    inputs: Mapping[str, tuple[tuple[int, ...], np.dtype]]

    @classmethod
    def of(cls, model: str, path: Path) -> RequestShape:
        """Read it from the model's file."""
        from onnx import helper

        file = OnnxFile.read(path)
        sizes = fixed_sizes(file)
        return cls(
            model,
            {
                v.name: (sizes[v.name], np.dtype(helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type)))
                for v in file.inputs()
            },
        )

    def check(self, feeds: Tensors) -> None:
        """Refuse a request that does not fit before it can spoil others' batch.

        Raises
        ------
        InferenceError
        """
        if set(feeds) != set(self.inputs):
            raise InferenceError(
                f"request for model {self.model!r}",
                expected=f"inputs {', '.join(sorted(self.inputs))}",
                got=", ".join(sorted(feeds)) or "none",
                remedy="Name every input of the model and no other.",
            )
        for name, (shape, dtype) in self.inputs.items():
            value = feeds[name]
            array = isinstance(value, np.ndarray)
            if not array or value.shape != shape or value.dtype != dtype:
                raise InferenceError(
                    f"input {name!r} of a request for model {self.model!r}",
                    expected=f"one sample: {dtype} of shape {list(shape)}",
                    got=f"{value.dtype} of shape {list(value.shape)}" if array else type(value).__name__,
                    remedy="Send one sample a request; requests are put together here.",
                )


def refuse_fixed_batch(model: Model, path: Path) -> None:
    """Refuse a model whose requests cannot be put together.

    Raises
    ------
    UnsupportedError
        An input's leading dimension is fixed, or an output does not grow with it.
    """
    subject = f"batches of model {model.name!r}"
    file = OnnxFile.read(path)
    if not has_open_batch(file):
        shapes = [
            f"{v.name} [{', '.join(str(d.dim_value or d.dim_param or '?') for d in v.type.tensor_type.shape.dim)}]"
            for v in file.inputs()
        ]
        raise UnsupportedError(
            subject,
            expected="a leading dimension that every input leaves open, and nothing else open",
            got=capped(shapes),
            remedy="Plan this model with a batch of 1, or export it with a dynamic batch dimension.",
        )
    one, two = import_onnx(path, batch=1), import_onnx(path, batch=2)
    size_of = [dict(zip(graph.tensor_names, graph.tensor_bytes.tolist(), strict=True)) for graph in (one, two)]
    still = [name for name in one.outputs if size_of[1][name] != 2 * size_of[0][name]]
    if still:
        raise UnsupportedError(
            subject,
            expected="every output to hold one part a sample",
            got=f"{capped(still)} of the same size whatever the batch",
            remedy="Plan this model with a batch of 1.",
        )


@dataclass(frozen=True)
class BatchRun:
    """A batch on its way through an instance: what the executor runs.

    Attributes
    ----------
    pipeline : Pipeline
        Open for at least as many samples as there are requests.
    open_size : int
        Samples that it takes.
    feeds : sequence of mapping
        One a request.
    cores : sequence of tuple of int
        Those that each stage was given.
    begun, ended : callable
        Called on the worker's thread as a stage begins and, unless it fails, as it ends.
    """

    pipeline: Pipeline
    open_size: int
    feeds: Sequence[Tensors]
    cores: Sequence[tuple[int, ...]]
    begun: Callable[[int], None]
    ended: Callable[[int], None]

    @property
    def steps(self) -> Sequence[Step]:
        """The stages one after another, also where the graph would let two run at once, as was predicted.

        Each has the cores that it was given first among those that it may use. It takes those if they are free, and
        the system may still move a single thread among all out of the way of other processes.
        """
        return self._steps

    @cached_property
    def _steps(self) -> tuple[Step, ...]:
        return tuple(
            Step(step.threads, (*cores, *(core for core in step.cores if core not in cores)), (k - 1,) if k else ())
            for k, (step, cores) in enumerate(zip(self.pipeline.steps, self.cores, strict=True))
        )

    def check(self, feeds: Tensors) -> None:
        """Requests were checked one by one as they came."""

    def run_step(self, index: int, tensors: dict[str, np.ndarray], gang: int | None = None) -> None:
        """Run a stage; the first puts the requests together."""
        self.begun(index)
        if index == 0:
            tensors.update(joined(self.feeds, self.open_size))
        self.pipeline.run_step(index, tensors, gang)
        self.ended(index)

    def outputs(self, tensors: Tensors) -> Outputs:
        """What the batch as a whole gave."""
        return self.pipeline.outputs(tensors)


def joined(feeds: Sequence[Tensors], size: int) -> dict[str, np.ndarray]:
    """Samples behind each other, the last repeated until there are `size`."""
    if size == 1:
        return dict(feeds[0])
    padded = [*feeds, *[feeds[-1]] * (size - len(feeds))]
    return {name: np.concatenate([sample[name] for sample in padded]) for name in feeds[0]}


def parted(outputs: Tensors, requests: int, size: int) -> list[Outputs]:
    """Each request's own part of a batch's outputs."""
    if size == 1:
        return [dict(outputs)]
    # Copies: a caller that keeps one answer must not keep those of the whole batch alive.
    return [
        {
            name: value[k * (len(value) // size) : (k + 1) * (len(value) // size)].copy()
            for name, value in outputs.items()
        }
        for k in range(requests)
    ]
