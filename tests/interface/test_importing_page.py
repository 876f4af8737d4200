"""The examples of docs/importing.md run as they stand, on small files such as those other tools write."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeplan.profiles import Profile, read_dnn_partitioning
from edgeplan.profiles.imports import BackendSettings
from onnx import TensorProto, helper, numpy_helper

from .test_cli import answer, edgeplan
from .test_documentation import blocks, page_of
from .test_import_export import INSTANCE

PAGE = page_of("importing.md")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's own files, and a model of a convolution with what is fused into it."""
    for block in blocks(PAGE):
        if block.title:
            (tmp_path / block.title).write_text(block.text)
    rng = np.random.default_rng(0)
    values = {name: np.ones(4) for name in ("scale", "shift", "mean", "var")} | {
        "kernel": rng.normal(size=(4, 3, 3, 3))
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "kernel"], ["c"], "conv", pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["n"], "norm"),
            helper.make_node("Relu", ["n"], ["out"], "relu"),
        ],
        "camera",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 4, 8, 8])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "camera.onnx"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(part: str) -> list[str]:
    """Run the commands of the page that name a part; what each printed."""
    lines = [line for b in blocks(PAGE, "sh") if not b.not_run for line in b.text.splitlines() if part in line]
    assert lines
    said = []
    for line in lines:
        name, *arguments = shlex.split(line)
        assert name == "edgeplan"
        result = edgeplan(*arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}"
        said.append(result.stdout)
    return said


def test_an_instance_is_read_and_written(folder: Path) -> None:
    (folder / "bert24_inference.json").write_text(json.dumps(INSTANCE))
    (example,) = blocks(PAGE, "python")
    exec(compile(example.text, "importing.md", "exec"), {})
    assert read_dnn_partitioning(folder / "again.json").cpu_time.tolist() == [10, 6]


def test_times_of_onert_become_a_profile_and_its_plan_is_exported(folder: Path) -> None:
    run("import onert ")
    (front,) = run("pareto")
    assert "camera" in front
    profile = Profile.load("profile.json")
    assert {c.backend for c in profile.models[0].costs.configurations} == {"onert-cpu", "onert-acl_cl"}
    scenario = "name: one\nprofile: profile.json\nmodels: [{name: camera}]\nobjective: latency\n"
    (folder / "scenario.yaml").write_text(scenario)
    answer("plan", "scenario.yaml", "-o", "plan.json")
    _, settings = run("export plan.json")
    assert set(BackendSettings.parse(settings.strip()).by_index.values()) == {"acl_cl"}, "the faster one"
    with (folder / "plan.csv").open() as file:
        assert [row["op_type"] for row in csv.DictReader(file)] == ["Conv", "BatchNormalization", "Relu"]


def test_a_tensorrt_profile_becomes_a_profile(folder: Path) -> None:
    layers = [{"count": 10}, {"name": "conv + norm + relu", "averageMs": 0.5, "medianMs": 0.4}]
    (folder / "camera.json").write_text(json.dumps(layers))
    run("import tensorrt")
    (model,) = Profile.load("profile.json").to_models()
    assert model.costs.segment_us(0, 3).tolist() == [400]
