"""ONNX files as layer graphs, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeplan.formulation import GraphError, LayerGraph, ModelError
from edgeplan.profiles import import_onnx, model_sha256, resolve_model, sample_inputs
from onnx import TensorProto, helper, numpy_helper


def saved(
    folder: Path, nodes: Sequence[onnx.NodeProto], inputs: dict[str, list], outputs: Sequence[str], *weights: np.ndarray
) -> Path:
    """A model of these nodes; weights are called w0, w1, …"""
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(w, f"w{k}") for k, w in enumerate(weights)],
    )
    path = folder / "made.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_layers_are_the_nodes_that_depend_on_an_input(branching: LayerGraph) -> None:
    names = [layer.name for layer in branching.layers]
    assert "halve" not in names
    assert len(names) == 15
    assert dict(branching.inputs) == {"image": 4 * 8 * 144, "bias": 40}
    assert branching.outputs == ("scores", "gates")


def test_folded_constants_are_weights_of_the_layer_that_reads_them(branching: LayerGraph) -> None:
    weights = {layer.name: layer.weight_bytes for layer in branching.layers}
    assert weights["conv0"] == weights["conv1"] == 4 * 8 * 8 * 9
    assert weights["norm1"] == 4 * 4 * 8
    assert weights["flatten"] == 16
    assert weights["relu0"] == 0


def test_outputs_that_nobody_reads_are_no_tensors(branching: LayerGraph) -> None:
    dropout = next(layer for layer in branching.layers if layer.op_type == "Dropout")
    assert dropout.outputs == (("d", 4 * 8 * 36),)


def test_tensor_bytes_follow_the_batch(branching_path: Path, branching: LayerGraph) -> None:
    three = import_onnx(branching_path, batch=3)
    assert np.array_equal(three.tensor_bytes, 3 * branching.tensor_bytes)
    assert np.array_equal(three.weight_bytes, branching.weight_bytes)


def test_nodes_without_a_name_or_with_a_shared_one_are_called_by_operator_and_output(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "same"),
        helper.make_node("Relu", ["a"], ["b"], "same"),
        helper.make_node("Relu", ["b"], ["c"]),
    ]
    graph = import_onnx(saved(tmp_path, nodes, {"x": [1, 4]}, ["c"]))
    assert [layer.name for layer in graph.layers] == ["Relu:a", "Relu:b", "Relu:c"]


def test_tensors_that_only_a_subgraph_reads_count_as_read(tmp_path: Path) -> None:
    def branch(name: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, [4])
        return helper.make_graph([helper.make_node("Neg", [name], [f"{name}_out"])], name, [], [out])

    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "relu"),
        helper.make_node("ReduceSum", ["x"], ["sum"], "sum", keepdims=0),
        helper.make_node("Cast", ["sum"], ["which"], "cast", to=TensorProto.BOOL),
        helper.make_node("If", ["which"], ["y"], "if", then_branch=branch("a"), else_branch=branch("x")),
    ]
    graph = import_onnx(saved(tmp_path, nodes, {"x": [4]}, ["y"]))
    assert set(graph.layers[-1].inputs) == {"which", "a", "x"}


def test_a_cycle_is_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"], "first"), helper.make_node("Relu", ["a"], ["b"], "second")]
    with pytest.raises(GraphError, match=r"cycle through .*(first|second)"):
        import_onnx(saved(tmp_path, nodes, {"x": [1, 4]}, ["b"]))


def test_a_tensor_that_nothing_writes_is_named(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="ghost"):
        import_onnx(saved(tmp_path, [helper.make_node("Add", ["x", "ghost"], ["y"])], {"x": [1, 4]}, ["y"]))


@pytest.mark.parametrize("content", [b"", b"not a model at all", bytes(range(256)) * 40, b"\x08\x08"])
def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="an ONNX model"):
        import_onnx(path)


def test_a_truncated_model_is_refused(tmp_path: Path, branching_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(branching_path.read_bytes()[:-2000])
    with pytest.raises(ModelError):
        import_onnx(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        import_onnx(tmp_path / "none.onnx")


def test_dynamic_dimensions_without_sizes_name_input_dimension_and_remedy(tmp_path: Path) -> None:
    path = saved(tmp_path, [helper.make_node("Relu", ["x"], ["y"])], {"x": ["n", 3, "height", 8]}, ["y"])
    with pytest.raises(ModelError, match=r"input 'x' .*dimension 0.*--shape x=1,3,1,8"):
        import_onnx(path)
    graph = import_onnx(path, {"x": (2, 3, 16, 8)})
    assert dict(graph.inputs) == {"x": 4 * 2 * 3 * 16 * 8}


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"x": (1, 4, 8, 8)}, "sizes of 1 or more that fit"),
        ({"x": (1, 3, 8)}, "sizes of 1 or more that fit"),
        ({"x": (1, 3, 0, 8)}, "sizes of 1 or more that fit"),
        ({"x": (1, 3, 8, 8), "z": (1,)}, "names among x"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(tmp_path: Path, shapes: dict, message: str) -> None:
    path = saved(tmp_path, [helper.make_node("Relu", ["x"], ["y"])], {"x": ["n", 3, "height", 8]}, ["y"])
    with pytest.raises(ModelError, match=message):
        import_onnx(path, shapes)


def test_sizes_that_depend_on_values_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("NonZero", ["x"], ["where"]), helper.make_node("Cast", ["where"], ["y"], to=1)]
    with pytest.raises(ModelError, match=r"none for .*where"):
        import_onnx(saved(tmp_path, nodes, {"x": [4]}, ["y"]))


def test_a_resolved_model_is_static_and_the_same_every_time(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "w0"], ["y"])]
    path = saved(tmp_path, nodes, {"x": [1, 3, "height", "width"]}, ["y"], weights)
    first = resolve_model(path, shapes={"x": (1, 3, 10, 10)})
    again = resolve_model("made.onnx", tmp_path, {"x": (1, 3, 10, 10)})
    other = resolve_model(path, shapes={"x": (1, 3, 20, 20)})
    assert first == again != other
    assert dict(import_onnx(first).inputs) == {"x": 4 * 3 * 100}
    assert sample_inputs(other)["x"].shape == (1, 3, 20, 20)


def test_the_digest_covers_external_data(tmp_path: Path, branching_path: Path) -> None:
    path = tmp_path / "external.onnx"
    onnx.save(onnx.load(branching_path), path, save_as_external_data=True, location="data.bin", size_threshold=0)
    before = model_sha256(path)
    data = bytearray((tmp_path / "data.bin").read_bytes())
    data[100] ^= 1
    (tmp_path / "data.bin").write_bytes(data)
    assert model_sha256(path) != before
    (tmp_path / "data.bin").unlink()
    with pytest.raises(ModelError, match="external data"):
        model_sha256(path)


def test_inputs_are_seeded(branching_path: Path) -> None:
    a, b, c = sample_inputs(branching_path), sample_inputs(branching_path), sample_inputs(branching_path, seed=1)
    assert np.array_equal(a["image"], b["image"])
    assert not np.array_equal(a["image"], c["image"])
    assert sample_inputs(branching_path, batch=4)["bias"].shape == (4, 10)
