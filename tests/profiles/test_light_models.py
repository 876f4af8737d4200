"""Light models: real weights in place of in-graph constants, the same every time, outputs that mean something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from edgeplan.formulation import ModelError
from edgeplan.profiles import light_model_names, resolve_model, sample_inputs

SMALL = ("squeezenet", "shufflenet")


def outputs(path: Path, feeds: dict[str, np.ndarray]) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0]).reshape(len(next(iter(feeds.values()))), -1)


def test_the_wheel_brings_the_models_that_the_demonstration_needs() -> None:
    assert {"squeezenet", "shufflenet", "inception_v1", "resnet50"} <= set(light_model_names())


@pytest.mark.parametrize("name", SMALL)
def test_outputs_are_finite_and_depend_on_the_input(name: str) -> None:
    path = resolve_model(name)
    a, b = (outputs(path, sample_inputs(path, seed=seed))[0] for seed in (1, 2))
    assert np.isfinite(a).all()
    assert a.sum() == pytest.approx(1, abs=1e-4)
    assert a.max() < 0.5  # not one class whatever the input
    assert np.abs(a - b).mean() > 0.02 * a.mean()


@pytest.mark.parametrize("name", SMALL)
def test_any_batch_gives_the_same_answers(name: str) -> None:
    path = resolve_model(name)
    feeds = sample_inputs(path, batch=2)
    both = outputs(path, feeds)
    for k in range(2):
        alone = outputs(path, {key: value[k : k + 1] for key, value in feeds.items()})
        assert np.allclose(both[k], alone[0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_weights_are_initialisers_and_no_inputs(name: str) -> None:
    graph = onnx.load(resolve_model(name)).graph
    assert not [node for node in graph.node if node.op_type == "ConstantOfShape"]
    assert len(graph.input) == 1
    assert not {value.name for value in graph.input} & {tensor.name for tensor in graph.initializer}


def test_the_same_bytes_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = resolve_model("squeezenet").read_bytes()
    monkeypatch.setenv("EDGEPLAN_CACHE", str(tmp_path))
    assert resolve_model("squeezenet").read_bytes() == first


def test_neither_a_file_nor_a_name_is_refused() -> None:
    with pytest.raises(ModelError, match=r"an ONNX file or one of .*squeezenet"):
        resolve_model("squeezenot")
