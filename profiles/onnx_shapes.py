"""Types and sizes of every tensor of a model, once its inputs have sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .onnx_file import OnnxFile, tensor_bytes

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


@dataclass(frozen=True)
class TensorType:
    """Element type (ONNX's number) and sizes of a tensor."""

    element: int
    sizes: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        """Bytes it occupies."""
        return tensor_bytes(self.element, self.sizes)


def infer_types(file: OnnxFile, sizes: Mapping[str, Sequence[int]]) -> dict[str, TensorType]:
    """Types of all tensors whose sizes follow from those of the inputs; what does not follow is left out."""
    from onnx import ModelProto, shape_inference

    model = ModelProto()
    model.CopyFrom(file.model)
    _set_inputs(model, sizes)
    # What the file says of other tensors holds for the sizes it was exported with, not for these.
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    known: dict[str, TensorType] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        inferred = _static(value)
        if inferred is not None:
            known[value.name] = inferred
    for tensor in graph.initializer:
        known[tensor.name] = TensorType(tensor.data_type, tuple(tensor.dims))
    return known


def _set_inputs(model: ModelProto, sizes: Mapping[str, Sequence[int]]) -> None:
    for value in model.graph.input:
        if value.name in sizes:
            value.type.tensor_type.ClearField("shape")
            value.type.tensor_type.shape.SetInParent()  # a scalar has a shape without dimensions
            for size in sizes[value.name]:
                value.type.tensor_type.shape.dim.add(dim_value=size)


def _static(value: ValueInfoProto) -> TensorType | None:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        return None
    if any(not dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    return TensorType(tensor.elem_type, tuple(dim.dim_value for dim in tensor.shape.dim))
