"""ONNX graphs as layer graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..formulation import Layer, LayerGraph, ModelError, capped
from .onnx_file import OnnxFile, fixed_sizes
from .onnx_shapes import TensorType, infer_types

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

# Without inputs, or with constant ones, these still give another result every time.
_RANDOM_OPS = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)


def import_onnx(
    path: str | Path, shapes: Mapping[str, Sequence[int]] | None = None, *, batch: int = 1, name: str | None = None
) -> LayerGraph:
    """Read an ONNX file as a layer graph.

    A layer is a node that depends on an input. Nodes that depend on constants only become part of the weights of the
    layers that read them.

    Parameters
    ----------
    path : str or Path
    shapes : mapping of str to sequence of int, optional
        Sizes of inputs with dynamic dimensions.
    batch : int
        Size of an open leading dimension.
    name : str, optional
        The file's stem where left out.

    Raises
    ------
    ModelError
        Not an ONNX model, or a tensor whose size is not known before the run.
    GraphError
        A cycle, or a tensor that nothing writes.
    """
    file = OnnxFile.read(path)
    sizes = fixed_sizes(file, shapes, batch)
    name = name or Path(path).stem
    folded = constant_tensors(file)
    layers = [node for node in file.model.graph.node if not _is_folded(node, folded)]
    if not layers:
        raise ModelError(
            f"model {file.path.name}",
            expected="nodes that depend on an input",
            got="constants only",
            remedy="Export the model with its input.",
        )
    # First without sizes: a cycle or a missing tensor would make size inference fail in obscure ways.
    _build(name, file, layers, folded, {}, sizes)
    types = infer_types(file, sizes)
    outputs = [v.name for v in file.model.graph.output]
    written = {tensor for tensors in useful_outputs(layers, outputs) for tensor in tensors}
    unknown = [tensor for tensor in written if tensor not in types]
    if unknown:
        raise ModelError(
            f"tensors of model {file.path.name}",
            expected="sizes that follow from those of the inputs",
            got=f"none for {capped(sorted(unknown))}",
            remedy="Make the model static: export it with fixed sizes, or simplify shape computations first.",
        )
    return _build(name, file, layers, folded, types, sizes)


def constant_tensors(file: OnnxFile) -> dict[str, NodeProto | None]:
    """Tensors that do not depend on an input, with the node that computes them (None for initialisers)."""
    constant: dict[str, NodeProto | None] = dict.fromkeys(file.constants)
    size = -1
    while size < len(constant):  # twice for a sorted file: the second pass finds nothing new
        size = len(constant)
        for node in file.model.graph.node:
            if node.op_type not in _RANDOM_OPS and all(t in constant for t in node_inputs(node)):
                constant.update((t, node) for t in node.output if t and t not in constant)
    return constant


def node_inputs(node: NodeProto) -> tuple[str, ...]:
    """Tensors a node reads, each once, those that only its subgraphs name included."""
    names = [t for t in node.input if t]
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else list(attribute.graphs):
            names += _captured(graph)
    return tuple(dict.fromkeys(names))


def _captured(graph: GraphProto) -> list[str]:
    own = {v.name for v in graph.input} | {t.name for t in graph.initializer}
    captured = []
    for node in graph.node:
        captured += [t for t in node_inputs(node) if t not in own]
        own.update(node.output)
    return captured + [v.name for v in graph.output if v.name not in own]


def _is_folded(node: NodeProto, constant: Mapping[str, object]) -> bool:
    return all(t in constant for t in node.output if t)


def _build(
    name: str,
    file: OnnxFile,
    nodes: Sequence[NodeProto],
    constant: Mapping[str, NodeProto | None],
    types: Mapping[str, TensorType],
    sizes: Mapping[str, Sequence[int]],
) -> LayerGraph:
    def n_bytes(tensor: str) -> int:
        return types[tensor].n_bytes if tensor in types else file.constants.get(tensor, 0)

    outputs = [v.name for v in file.model.graph.output]
    names = layer_names(nodes)
    outputs_of = dict(zip(names, useful_outputs(nodes, outputs), strict=True))
    layers = []
    for node, layer_name in zip(nodes, names, strict=True):
        reads = node_inputs(node)
        layers.append(
            Layer(
                layer_name,
                node.op_type,
                sum(n_bytes(t) for t in reads if t in constant),
                tuple(t for t in reads if t not in constant),
                tuple((t, n_bytes(t)) for t in outputs_of[layer_name]),
            )
        )
    fixed = [t for t in outputs if t in constant]
    if fixed:
        raise ModelError(
            f"outputs of model {file.path.name}",
            expected="tensors that depend on an input",
            got=f"constants {capped(fixed)}",
            remedy="Remove constant outputs from the model.",
        )
    return LayerGraph.build(name, layers, {t: n_bytes(t) for t in sizes}, outputs)


def layer_names(nodes: Iterable[NodeProto]) -> list[str]:
    """Unique and stable names: the node's own where it is unique, else operator type and first output."""
    nodes = list(nodes)
    counts = Counter(node.name for node in nodes)
    used: set[str] = set()
    names = []
    for node in nodes:
        first = next((t for t in node.output if t), "")
        name = node.name if node.name and counts[node.name] == 1 else f"{node.op_type}:{first}"
        while name in used:
            name += "'"
        used.add(name)
        names.append(name)
    return names


def useful_outputs(nodes: Sequence[NodeProto], graph_outputs: Iterable[str]) -> list[tuple[str, ...]]:
    """Of each node the outputs that somebody reads (a Dropout's mask, for instance, is not), else the first."""
    read = {t for node in nodes for t in node_inputs(node)} | set(graph_outputs)
    written = [[t for t in node.output if t] for node in nodes]
    return [tuple(t for t in tensors if t in read) or tuple(tensors[:1]) for tensors in written]
