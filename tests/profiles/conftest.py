"""Small models with everything that makes cutting hard, and a cache of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeplan.formulation import LayerGraph
from edgeplan.profiles import SegmentStore, import_onnx
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for this test run, so that nothing of an earlier one is found."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEPLAN_CACHE", str(folder))
        yield folder


def branching_model(batch: int | str = "batch") -> onnx.ModelProto:
    """Two inputs, branches that cross every cut, constants computed in the graph, a reshape, and a dropout.

    Weights are random but seeded. The second convolution's weights are the first's, scaled by a constant node.
    """
    rng = np.random.default_rng(3)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array((rng.normal(size=shape) / np.sqrt(shape[-1] * 9)).astype(np.float32), name)

    nodes = [
        helper.make_node("Constant", [], ["half"], value=numpy_helper.from_array(np.float32(0.5), "half")),
        helper.make_node("Mul", ["w0", "half"], ["w1"], "halve"),
        helper.make_node("Conv", ["image", "w0"], ["c0"], "conv0", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c0"], ["r0"], "relu0"),
        helper.make_node("Conv", ["r0", "w1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "scale", "shift", "mean", "var"], ["b1"], "norm1"),
        helper.make_node("Add", ["b1", "r0"], ["s1"], "add1"),
        helper.make_node("Relu", ["s1"], ["r1"], "relu1"),
        helper.make_node("MaxPool", ["r1"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Dropout", ["p"], ["d", "mask"], "dropout"),
        helper.make_node("Conv", ["d", "w2"], ["c2"], "conv2"),
        helper.make_node("Concat", ["c2", "p"], ["cat"], "concat", axis=1),
        helper.make_node("Reshape", ["cat", "flat"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "w3"], ["g"], "gemm", transB=1),
        helper.make_node("Add", ["g", "bias"], ["a"], "offset"),
        helper.make_node("Softmax", ["a"], ["scores"], "softmax", axis=1),
        helper.make_node("Sigmoid", ["g"], ["gates"], "sigmoid"),
    ]
    ones = {"scale": 1.1, "shift": 0.1, "mean": 0.05, "var": 0.9}
    weights = [
        weight("w0", 8, 8, 3, 3),
        weight("w2", 4, 8, 1, 1),
        weight("w3", 10, 12 * 36),
        *(numpy_helper.from_array(np.full(8, value, np.float32), name) for name, value in ones.items()),
        numpy_helper.from_array(np.array([0, -1], np.int64), "flat"),
    ]
    graph = helper.make_graph(
        nodes,
        "branching",
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 8, 12, 12]),
            helper.make_tensor_value_info("bias", TensorProto.FLOAT, [batch, 10]),
        ],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 10]),
            helper.make_tensor_value_info("gates", TensorProto.FLOAT, [batch, 10]),
        ],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture(scope="session")
def branching_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "branching.onnx"
    onnx.save(branching_model(), path)
    return path


@pytest.fixture(scope="session")
def fixed_batch_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "fixed.onnx"
    onnx.save(branching_model(batch=1), path)
    return path


@pytest.fixture(scope="session")
def chain_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight convolutions in a row, with a cut after each."""
    rng = np.random.default_rng(0)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 8, 20, 20]) for name in ("t0", "t8")]
    weights = [(rng.normal(size=(8, 8, 3, 3)) / 8).astype(np.float32) for _ in range(8)]
    nodes = [helper.make_node("Conv", [f"t{k}", f"w{k}"], [f"t{k + 1}"], pads=[1, 1, 1, 1]) for k in range(8)]
    tensors = [numpy_helper.from_array(values, f"w{k}") for k, values in enumerate(weights)]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], tensors)
    path = tmp_path_factory.mktemp("models") / "chain.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.fixture(scope="session")
def branching(branching_path: Path) -> LayerGraph:
    return import_onnx(branching_path)


@pytest.fixture
def store(branching_path: Path, branching: LayerGraph) -> SegmentStore:
    return SegmentStore(branching_path, branching)
