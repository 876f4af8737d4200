"""Seeded random weights for models that come without.

The light models compute their weights in the graph, all equal, so that their outputs say nothing and a session without
optimisation makes the weights anew on every run. Here each becomes an initialiser drawn at random: convolutions and
fully connected layers after He et al. (doi 10.1109/ICCV.2015.123), normalisation near the identity, and the last
weights scaled so that the scores spread by about one. The leading dimension becomes a batch of any size.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

BATCH = "batch"
"""Name of the open leading dimension."""

SCORE_SPREAD = 1.0
"""Standard deviation of the scores before the last softmax."""


def materialise(path: Path, seed: int = 0) -> ModelProto:
    """Model with its in-graph weights replaced by random initialisers and an open batch dimension."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    rng = np.random.default_rng(seed)
    shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    generated = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    kept = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    through = {node.output[0]: node for node in kept if node.op_type in ("Unsqueeze", "Reshape")}
    weights = []
    for node in generated:
        dims = tuple(int(d) for d in shapes[node.input[0]])
        values = _draw(rng, node.output[0], dims, kept, through)
        weights.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
    _open_batch(model, kept, {t.name for t in weights})
    del graph.node[:]
    graph.node.extend(kept)
    read = {name for node in kept for name in node.input}
    small = [t for t in graph.initializer if t.name in read]
    del graph.initializer[:]
    graph.initializer.extend(small + weights)
    constants = {t.name for t in graph.initializer}
    inputs = [value for value in graph.input if value.name in read and value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 8)  # from 4 on, initialisers need not be inputs
    _spread_scores(model, rng)
    return model


def _draw(
    rng: np.random.Generator, tensor: str, dims: tuple[int, ...], nodes: list[NodeProto], through: dict[str, NodeProto]
) -> np.ndarray:
    """Values for a weight by the part it plays where it is read."""
    names = {tensor} | {out for out, node in through.items() if node.input[0] == tensor}
    for node in nodes:
        if node.output[0] in through:
            continue
        for k, name in enumerate(node.input):
            if name not in names:
                continue
            if node.op_type == "Conv" and k == 1:
                return _centred(rng, dims, int(np.prod(dims[1:])))
            if node.op_type == "Gemm" and k == 1:
                return _centred(rng, dims, dims[-1])
            if (node.op_type == "BatchNormalization" and k in (1, 4)) or node.op_type == "Mul":
                return rng.uniform(0.8, 1.2, dims)
    return rng.normal(0, 0.1, dims)  # biases, shifts and means


def _centred(rng: np.random.Generator, dims: tuple[int, ...], fan_in: int) -> np.ndarray:
    """Weights of which every filter sums to zero, with He's variance corrected for that.

    What a rectifier passes has a mean, the same for every input; layer by layer it would drown what differs. A centred
    filter is blind to it and sees the share 1 − 1/π of the power.
    """
    values = rng.standard_normal(dims, dtype=np.float32).reshape(dims[0], -1)
    values -= values.mean(axis=1, keepdims=True)
    return values.reshape(dims) * np.sqrt(2 / (1 - 1 / np.pi) / fan_in)


def _open_batch(model: ModelProto, nodes: list[NodeProto], weights: set[str]) -> None:
    from onnx import numpy_helper

    graph = model.graph
    constants = {t.name: t for t in graph.initializer}
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.name not in constants and len(dims):
            dims[0].ClearField("dim_value")
            dims[0].dim_param = BATCH
    for node in nodes:
        if node.op_type == "Reshape" and node.input[0] not in weights:
            target = constants[node.input[1]]
            sizes = numpy_helper.to_array(target).copy()
            sizes[0] = 0  # keep the leading size whatever it is
            target.CopyFrom(numpy_helper.from_array(sizes, target.name))


def _spread_scores(model: ModelProto, rng: np.random.Generator) -> None:
    """Scale the last weights so that the scores, over one random input, have standard deviation `SCORE_SPREAD`.

    Random residual networks grow their activations from block to block; without this a softmax would be all zeros and
    a one.
    """
    import onnxruntime
    from onnx import ModelProto, numpy_helper

    constants = {t.name: t for t in model.graph.initializer}
    weighted = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    last = weighted[-1]
    probe = ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.add(name=last.output[0])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    value = session.get_inputs()[0]
    feed = rng.normal(size=[1, *value.shape[1:]]).astype(np.float32)
    scores = np.asarray(session.run([last.output[0]], {value.name: feed})[0])
    through = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Reshape"}
    for name in last.input[1:]:
        tensor = constants[through.get(name, name)]
        values = numpy_helper.to_array(tensor) * np.float32(SCORE_SPREAD / np.std(scores))
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
