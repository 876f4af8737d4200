"""Reads an ONNX file as a layer graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..formulation import Layer, LayerGraph, ModelError, capped

if TYPE_CHECKING:
    import onnx

Shapes = Mapping[str, Sequence[int]]


def load_onnx(path: Path) -> onnx.ModelProto:
    """Read an ONNX file with its external data.

    Raises
    ------
    ModelError
        The file cannot be read or is not ONNX.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path)
    except OSError as error:
        got = error.strerror or str(error)
        raise ModelError(f"model {path}", expected="a readable file", got=got, remedy="Check the path.") from error
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        got = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"model {path}", expected="an ONNX file", got=got, remedy="Export the model to ONNX."
        ) from error
    if not model.graph.node:
        raise ModelError(
            f"model {path}", expected="an ONNX file with operators", got="none", remedy="Export the model to ONNX."
        )
    return model


def with_shapes(model: onnx.ModelProto, shapes: Shapes, subject: str) -> onnx.ModelProto:
    """Copy of a model whose inputs have the given sizes, every shape inferred.

    Raises
    ------
    ModelError
        An unknown input, a size that contradicts the model, or a dimension that stays dynamic.
    """
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    constants = {initializer.name for initializer in fixed.graph.initializer}
    inputs = {i.name: i for i in fixed.graph.input if i.name not in constants}
    unknown = sorted(set(shapes) - set(inputs))
    if unknown:
        raise ModelError(
            f"shapes for {subject}",
            expected=f"inputs named {capped(inputs)}",
            got=capped(unknown),
            remedy="Correct the names.",
        )
    for name, declared in inputs.items():
        _fix_shape(declared, shapes.get(name), subject)
    for info in [*fixed.graph.output, *fixed.graph.value_info]:
        info.type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(fixed, data_prop=True)


def _fix_shape(declared: onnx.ValueInfoProto, sizes: Sequence[int] | None, subject: str) -> None:
    dims = declared.type.tensor_type.shape.dim
    example = ",".join(str(d.dim_value) if d.dim_value > 0 else "1" for d in dims)
    remedy = f"Give the size: --shape {declared.name}={example} (or `shapes` in the scenario)."
    if sizes is not None:
        contradicts = len(sizes) != len(dims) or any(
            s < 1 or (d.dim_value > 0 and d.dim_value != s) for s, d in zip(sizes, dims, strict=False)
        )
        if contradicts:
            raise ModelError(
                f"shape of input {declared.name!r} of {subject}",
                expected=f"sizes that fit {_shape_text(declared)}",
                got=str(tuple(sizes)),
                remedy=remedy,
            )
        for dim, size in zip(dims, sizes, strict=True):
            dim.dim_value = size
    dynamic = [k for k, d in enumerate(dims) if d.dim_value <= 0]
    if dynamic:
        raise ModelError(
            f"input {declared.name!r} of {subject}",
            expected="a size for every dimension",
            got=f"{_shape_text(declared)}, where dimension {dynamic[0]} is dynamic",
            remedy=remedy,
        )


def _shape_text(declared: onnx.ValueInfoProto) -> str:
    dims = declared.type.tensor_type.shape.dim
    return "[" + ", ".join(str(d.dim_value) if d.dim_value > 0 else d.dim_param or "?" for d in dims) + "]"


def import_onnx(path: str | Path, shapes: Shapes | None = None, name: str | None = None) -> LayerGraph:
    """Read an ONNX file as a layer graph.

    Layers are the file's operators. Constants (initialisers, ``Constant`` nodes and what is computed from them alone) are
    weights of the layers that read them.

    Parameters
    ----------
    path : str or Path
    shapes : mapping of str to sequence of int, optional
        Sizes of inputs with dynamic dimensions.
    name : str, optional
        Of the graph; the file's stem where left out.

    Raises
    ------
    ModelError
        Not ONNX, dynamic dimensions without sizes, or a tensor whose size cannot be inferred.
    GraphError
        The operators do not form a DAG.
    """
    path = Path(path)
    return graph_of(with_shapes(load_onnx(path), shapes or {}, path.name), name or path.stem, path.name)


def graph_of(model: onnx.ModelProto, name: str, subject: str) -> LayerGraph:
    """Layer graph of a model whose shapes have been inferred."""
    constants = {initializer.name: _tensor_bytes(initializer) for initializer in model.graph.initializer}
    sizes = _inferred_bytes(model)
    layers: list[Layer] = []
    names: set[str] = set()
    needed = {t for node in model.graph.node for t in node.input} | {o.name for o in model.graph.output}
    for node in _constants_first(model, constants, sizes):
        inputs = [t for t in node.input if t]
        outputs = [t for t in node.output if t in needed] or list(node.output[:1])  # a mask nobody reads is no tensor
        layer_name = node.name if node.name and node.name not in names else f"{node.op_type}:{outputs[0]}"
        names.add(layer_name)
        missing = [t for t in outputs if t not in sizes]
        if missing:
            raise ModelError(
                f"tensor {missing[0]!r} of {subject}",
                expected="a shape that can be inferred",
                got=f"none, behind operator {node.op_type}",
                remedy="Run onnxruntime's symbolic shape inference over the model first.",
            )
        weights = sum(constants[t] for t in dict.fromkeys(inputs) if t in constants)
        read = tuple(dict.fromkeys(t for t in inputs if t not in constants))
        layers.append(Layer(layer_name, node.op_type, weights, read, tuple((t, sizes[t]) for t in outputs)))
    given = {i.name: sizes[i.name] for i in model.graph.input if i.name not in constants}
    return LayerGraph.build(name, layers, given, tuple(o.name for o in model.graph.output))


def _constants_first(
    model: onnx.ModelProto, constants: dict[str, int], sizes: Mapping[str, int]
) -> list[onnx.NodeProto]:
    """Operators that depend on an input; the others are folded into `constants`."""
    kept = []
    outputs = {o.name for o in model.graph.output}
    random = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial"}
    for node in model.graph.node:
        computed = all(t in constants for t in node.input if t)
        if computed and node.op_type not in random and not outputs.intersection(node.output):
            constants.update({t: sizes.get(t, 0) for t in node.output if t})
        else:
            kept.append(node)
    return kept


def _tensor_bytes(tensor: onnx.TensorProto) -> int:
    return math.prod(tensor.dims) * _item_bytes(tensor.data_type)


def _inferred_bytes(model: onnx.ModelProto) -> dict[str, int]:
    sizes = {}
    for info in [*model.graph.input, *model.graph.value_info, *model.graph.output]:
        tensor = info.type.tensor_type
        if tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim):
            sizes[info.name] = math.prod(d.dim_value for d in tensor.shape.dim) * _item_bytes(tensor.elem_type)
    return sizes


def _item_bytes(element_type: int) -> int:
    import onnx

    return int(onnx.helper.tensor_dtype_to_np_dtype(element_type).itemsize)
