"""Cutting submodels out of an ONNX file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..formulation import Layer, LayerGraph, ModelError, UnsupportedError, capped
from .artefacts import write_blob
from .onnx_file import OnnxFile, fixed_sizes, has_open_batch
from .onnx_import import layer_names, node_inputs
from .onnx_shapes import infer_types

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
    from onnx import NodeProto, TensorProto


def segment_tensors(graph: LayerGraph, start: int, stop: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the tensors that layers ``[start, stop)`` need from before, and of theirs that are needed after.

    A segment that nobody needs (dead layers at the end of a file) keeps the outputs of its last layer.
    """
    producer, last_use, names = graph.tensor_producer, graph.tensor_last_use, graph.tensor_names
    read = {tensor for layer in graph.layers[start:stop] for tensor in layer.inputs}
    inputs = tuple(name for t, name in enumerate(names) if name in read and producer[t] < start)
    outputs = tuple(name for t, name in enumerate(names) if start <= producer[t] < stop <= last_use[t])
    return inputs, outputs or tuple(name for name, _ in graph.layers[stop - 1].outputs)


def write_skeleton(path: Path, batch: int, target: Path) -> tuple[str, ...]:
    """Write a model with static sizes, named nodes, every tensor's type, and large weights as blobs; returns the blobs.

    Raises
    ------
    UnsupportedError
        A batch other than 1, and the model's leading dimension is fixed.
    """
    import onnx
    from onnx import helper

    file = OnnxFile.read(path)
    if batch != 1 and not has_open_batch(file):
        raise UnsupportedError(
            f"batch {batch} of model {path.name}",
            expected="a leading dimension left open at every input",
            got="fixed sizes",
            remedy="Use batch 1, or export the model with a dynamic batch dimension.",
        )
    types = infer_types(file, fixed_sizes(file, None, batch))
    model = file.model
    # Runtimes report on nodes by name, so every node needs one of its own.
    for node, name in zip(model.graph.node, layer_names(model.graph.node), strict=True):
        node.name = name
    blobs = []
    for tensor in model.graph.initializer:
        if tensor.name in file.bulk:
            blob = write_blob(target.parent, file.constant(tensor.name).tobytes())
            set_reference(tensor, blob)
            blobs.append(blob)
    described = [helper.make_tensor_value_info(t, k.element, k.sizes) for t, k in types.items()]
    by_name = {value.name: value for value in described}
    _replace(model.graph.input, [by_name[value.name] for value in file.inputs()])
    _replace(model.graph.output, [by_name.get(value.name, value) for value in model.graph.output])
    _replace(model.graph.value_info, [v for v in described if v.name not in file.constants])
    onnx.save(model, str(target))
    return tuple(blobs)


def write_segment(
    skeleton: Path, layers: Sequence[Layer], inputs: Sequence[str], outputs: Sequence[str], target: Path
) -> tuple[str, ...]:
    """Write the submodel of some layers; returns the blobs it needs.

    Raises
    ------
    ModelError
        A layer is not in the model.
    """
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    model = onnx.load(str(skeleton), load_external_data=False)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    sparse = {tensor.values.name: tensor for tensor in model.graph.sparse_initializer}
    writer = {tensor: node for node in model.graph.node for tensor in node.output if tensor}
    missing = [layer.name for layer in layers if layer.outputs[0][0] not in writer]
    if missing:
        raise ModelError(
            f"model {skeleton.name}",
            expected="the layers of the profile",
            got=f"none called {capped(missing)}",
            remedy="Profile the model again.",
        )
    nodes = _with_constant_nodes([writer[layer.outputs[0][0]] for layer in layers], writer, set(inputs))
    read = {tensor for node in nodes for tensor in node_inputs(node)}
    described = {v.name: v for v in (*model.graph.value_info, *model.graph.input, *model.graph.output)}
    kept = [tensor for name, tensor in constants.items() if name in read]
    _replace(model.graph.sparse_initializer, [tensor for name, tensor in sparse.items() if name in read])
    _replace(model.graph.node, nodes)
    _replace(model.graph.input, [described[t] for t in inputs])
    _replace(model.graph.output, [described[t] for t in outputs])
    _replace(model.graph.value_info, [])
    _replace(model.graph.initializer, kept)
    onnx.save(model, str(target))
    return tuple(ExternalDataInfo(tensor).location for tensor in kept if uses_external_data(tensor))


def set_reference(tensor: TensorProto, blob: str) -> None:
    """Make a tensor take its values from a blob, a file named relative to the model's folder."""
    from onnx import TensorProto

    for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
        tensor.ClearField(field)
    del tensor.external_data[:]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=blob)


def _with_constant_nodes(
    nodes: Iterable[NodeProto], writer: Mapping[str, NodeProto], given: set[str]
) -> list[NodeProto]:
    """The nodes of a segment, each after the nodes that compute its constants."""
    ordered: list[NodeProto] = []
    have = set(given)

    def add(node: NodeProto) -> None:
        for tensor in node_inputs(node):
            if tensor not in have and tensor in writer:
                add(writer[tensor])
        if not have.issuperset(t for t in node.output if t):
            have.update(node.output)
            ordered.append(node)

    for node in nodes:
        add(node)
    return ordered


def _replace(field: RepeatedCompositeFieldContainer, values: Sequence) -> None:
    copies = list(values)
    del field[:]
    field.extend(copies)
