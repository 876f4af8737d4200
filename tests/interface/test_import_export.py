"""``edgeplan import`` and ``export``: what they print and write, and one clear message for what is wrong."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from edgeplan.formulation import (
    Configuration,
    ModelPlan,
    Partition,
    PartitionProblem,
    Plan,
    PlanError,
    PlannedSegment,
    SolverStamp,
)
from edgeplan.interface.cli import app
from edgeplan.interface.exits import ExitCode
from edgeplan.profiles import Profile, read_dnn_partitioning
from edgeplan.profiles.exports import onert_settings, partition_csv, plan_csv
from edgeplan.profiles.imports import BackendSettings, read_onert_front
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from typer.testing import CliRunner

if TYPE_CHECKING:
    from .conftest import Files

INSTANCE = {
    "maxSizePerFPGA": 100,
    "maxFPGAs": 1,
    "maxCPUs": 1,
    "nodes": [
        {"id": 0, "supportedOnFpga": 1, "cpuLatency": 10, "fpgaLatency": 1, "size": 40},
        {"id": 1, "supportedOnFpga": 0, "cpuLatency": 6, "fpgaLatency": 1},
    ],
    "edges": [{"sourceId": 0, "destId": 1, "cost": 0.5}],
}
TIMES = {
    "cpu": {"ReLU": {"0": [[0, 10]]}, "Logistic": {"0": [[0, 10]]}},
    "acl_cl": {"ReLU": {"0": [[0, 4]]}},
}
FRONT = {
    "mode": "name",
    "configs": {"0": "BACKENDS=cpu OP_BACKEND_ReLU=cpu", "1": "OP_BACKEND_ReLU=acl_cl", "2": "OP_BACKEND_ReLU=cpu"},
    "oplist": ["ReLU"],
    "solutions": [
        {"id": 0, "exec_time": 7.5, "max_rss": 100},
        {"id": 1, "exec_time": 2.5, "max_rss": 900},
        {"id": 2, "exec_time": 8.5, "max_rss": 100},
    ],
}
ENGINE = [{"count": 10}, {"name": "first", "averageMs": 0.5}, {"name": "second", "averageMs": 0.25}]
GOOD: dict[str, object] = {
    "dnn-partitioning": INSTANCE,
    "onert": TIMES,
    "onert-pareto": FRONT,
    "tensorrt": ENGINE,
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two layers: a Relu and a Sigmoid, called first and second."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["data"], ["a"], "first"), helper.make_node("Sigmoid", ["a"], ["out"], "second")],
        "toy",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 8])],
    )
    path = tmp_path / "toy.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


def written(folder: Path, data: object) -> Path:
    path = folder / "foreign.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def run(*arguments: object, code: ExitCode = ExitCode.DONE) -> Any:
    """What a command prints, as the one object of ``--format json`` where it is asked for."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return json.loads(result.stdout) if "json" in arguments else result.stdout


def test_an_instance_is_summed_up_and_written_in_one_form(tmp_path: Path) -> None:
    path = written(tmp_path, INSTANCE)
    said = run("import", "dnn-partitioning", path, "-o", tmp_path / "again.json", "--format", "json")
    assert (said["nodes"], said["edges"], said["accelerators"], said["cpu_only_nodes"]) == (2, 1, 1, 1)
    assert said["bounds"] == {"load_bound": 6, "latency_bound": 7, "one_cpu": 16}
    assert read_dnn_partitioning(tmp_path / "again.json").cpu_time.tolist() == [10, 6]
    assert "largest load, at least" in run("import", "dnn-partitioning", path)


def test_times_of_onert_become_a_profile_to_plan_with(tmp_path: Path, model: Path) -> None:
    path = written(tmp_path, TIMES)
    profile = tmp_path / "profile.json"
    said = run("import", "onert", path, "--model", model, "-o", profile, "--format", "json")
    assert said["provenance"]["kind"] == "imported"
    assert any("Sigmoid" in warning for warning in said["warnings"])
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text("name: toy\nprofile: profile.json\nmodels: [{name: toy}]\nobjective: latency\n")
    planned = run("plan", scenario, "-o", tmp_path / "plan.json", "--format", "json")
    assert planned["status"] == "optimal"
    assert planned["objective"] == pytest.approx(14)
    front = run("pareto", profile, "--format", "json")
    assert min(point["latency_us"] for point in front["fronts"][0]["points"]) == pytest.approx(14)
    line = run("export", tmp_path / "plan.json", "--to", "onert").strip()
    assert BackendSettings.parse(line).by_index == {0: "acl_cl", 1: "cpu"}
    rows = list(csv.DictReader(io.StringIO(run("export", tmp_path / "plan.json", "--to", "csv", "-p", profile))))
    assert [(row["name"], row["op_type"], row["backend"]) for row in rows] == [
        ("first", "Relu", "onert-acl_cl"),
        ("second", "Sigmoid", "onert-cpu"),
    ]


def test_a_front_is_written_without_its_dominated_points(tmp_path: Path) -> None:
    path = written(tmp_path, FRONT)
    said = run("import", "onert-pareto", path, "-o", tmp_path / "front.json", "--format", "json")
    assert [point["dominated"] for point in said["points"]] == [False, False, True]
    assert [point.id for point in read_onert_front(tmp_path / "front.json").points] == [1, 0]
    assert "2 of 3 points are not dominated" in run("import", "onert-pareto", path)


@pytest.mark.parametrize("with_model", [False, True])
def test_a_tensorrt_profile_becomes_a_profile(with_model: bool, tmp_path: Path, model: Path) -> None:
    more = ["--model", model] if with_model else []
    path = written(tmp_path, ENGINE)
    said = run("import", "tensorrt", path, *more, "-o", tmp_path / "profile.json", "--format", "json")
    assert "averages of 10 runs" in said["provenance"]["source"]
    (made,) = Profile.load(tmp_path / "profile.json").to_models()
    assert made.name == ("toy" if with_model else "foreign")
    assert made.costs.segment_us(0, 2).tolist() == [750]


BROKEN: dict[str, object] = {
    "empty": "",
    "truncated": None,
    "of the wrong type": 7,
    "not JSON": "layer, time",
}


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("how", BROKEN)
def test_broken_files_are_bad_input(kind: str, how: str, tmp_path: Path, model: Path) -> None:
    data = json.dumps(GOOD[kind])[:-20] if how == "truncated" else BROKEN[how]
    more = ["--model", model] if kind == "onert" else []
    arguments = ["import", kind, written(tmp_path, data), *more, "-o", tmp_path / "out.json", "--format", "json"]
    said = run(*arguments, code=ExitCode.BAD_INPUT)
    assert said["status"] == "bad_input"
    assert all(said["error"].values())
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("kind", "old", "new", "said"),
    [
        ("dnn-partitioning", '"cpuLatency": 10', '"cpuLatency": -10', "-10"),
        ("dnn-partitioning", '"cpuLatency": 10', '"cpuLatency": NaN', "NaN"),
        ("dnn-partitioning", '"id": 1', '"id": 0', "0 twice"),
        ("onert", "[[0, 4]]", "[[0, -4]]", "-4"),
        ("onert", "[[0, 4]]", "[[0, Infinity]]", "Infinity"),
        ("onert", '"Logistic"', '"Softmax"', "Sigmoid (Logistic"),
        ("onert", '"acl_cl"', '"mystery"', "--processor mystery="),
        ("onert-pareto", "7.5", "-7.5", "-7.5"),
        ("onert-pareto", "7.5", "1e99", "1e+99"),
        ("onert-pareto", '"id": 1', '"id": 0', "0 twice"),
        ("onert-pareto", "OP_BACKEND_ReLU=acl_cl", "OP_BACKEND_Softmax=acl_cl", "Softmax"),
        ("tensorrt", "0.25", "-0.25", "-0.25"),
        ("tensorrt", "0.25", "NaN", "NaN"),
        ("tensorrt", '"second"', '"first"', "first twice"),
        ("tensorrt", '"second"', '"third"', "third"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(
    kind: str, old: str, new: str, said: str, tmp_path: Path, model: Path
) -> None:
    text = json.dumps(GOOD[kind])
    assert old in text
    more = ["--model", model] if kind in ("onert", "tensorrt") else []
    path = written(tmp_path, text.replace(old, new))
    error = run("import", kind, path, *more, "--format", "json", code=ExitCode.BAD_INPUT)["error"]
    assert said in f"{error['got']} {error['remedy']}"


def test_options_that_do_not_fit_are_refused(tmp_path: Path, model: Path) -> None:
    for arguments, said in (
        (["dnn-partitioning", written(tmp_path, INSTANCE), "--model", model], "--model"),
        (["onert", written(tmp_path, TIMES)], "--model"),
        (["tensorrt", written(tmp_path, ENGINE), "--quantised"], "--quantised"),
        (["onert", written(tmp_path, TIMES), "--model", model, "--processor", "trix"], "trix=npu"),
        (["onert", written(tmp_path, TIMES), "--model", tmp_path / "none.onnx"], "none.onnx"),
    ):
        result = CliRunner().invoke(app, ["import", *(str(a) for a in arguments)])
        assert result.exit_code == ExitCode.BAD_INPUT
        assert said in result.stderr
    assert CliRunner().invoke(app, ["import", "caffe", "file"]).exit_code == ExitCode.BAD_INPUT


def plan_of(backends: list[str]) -> Plan:
    segments = tuple(
        PlannedSegment(start=2 * k, stop=2 * k + 2, configuration=Configuration(backend=f"onert-{name}"), cores=(0,))
        for k, name in enumerate(backends)
    )
    stamp = SolverStamp(method="hand", status="feasible")
    return Plan(models=(ModelPlan(model="m", sha256="", segments=segments),), solver=stamp)


@given(st.lists(st.sampled_from(["cpu", "acl_cl", "acl_neon"]), min_size=1, max_size=12))
def test_exported_settings_give_every_layer_its_backend_again(backends: list[str]) -> None:
    plan = plan_of(backends)
    settings = BackendSettings.parse(onert_settings(plan.models[0]).text())
    assert [settings.backend_of(layer, "any") for layer in range(2 * len(backends))] == [
        name for name in backends for _ in range(2)
    ]
    rows = list(csv.DictReader(io.StringIO(plan_csv(plan))))
    assert [row["backend"] for row in rows] == [f"onert-{name}" for name in backends for _ in range(2)]
    assert [int(row["segment"]) for row in rows] == [k for k in range(len(backends)) for _ in range(2)]


def test_backends_by_type_where_every_type_has_one() -> None:
    plan = plan_of(["cpu", "acl_cl"]).models[0]
    settings = BackendSettings.parse(onert_settings(plan, ["Add", "Pool2D", "Conv2D", "Conv2D"]).text())
    assert settings.by_type == {"Add": "cpu", "Pool2D": "cpu", "Conv2D": "acl_cl"}
    with pytest.raises(PlanError, match="Conv2D on several"):
        onert_settings(plan, ["Add", "Conv2D", "Conv2D", "Conv2D"])
    with pytest.raises(PlanError, match="operators of 4 layers"):
        onert_settings(plan, ["Add"])


def test_a_partition_is_exported_by_node() -> None:
    problem = PartitionProblem.build("p", ["a", "b"], [1, 1], [1, 1], [("a", "b")], n_accelerators=1)
    rows = list(csv.DictReader(io.StringIO(partition_csv(problem, Partition.of([1, 0])))))
    assert [(row["node"], row["device"]) for row in rows] == [("a", "cpu-0"), ("b", "accelerator-0")]
    with pytest.raises(PlanError, match="2 nodes"):
        partition_csv(problem, Partition.of(np.zeros(3)))


def test_a_plan_is_exported_as_a_table(files: "Files", profile: Profile) -> None:
    rows = list(csv.DictReader(io.StringIO(run("export", files.plan, "--to", "csv", "-p", files.profile))))
    assert [row["model"] for row in rows] == ["small"] * 4 + ["large"] * 8
    assert rows[0]["name"] == "conv0"
    assert rows[0]["cores"] == "0+1"
    out = files.folder / "large.csv"
    run("export", files.plan, "--to", "csv", "--model", "large", "-o", out)
    assert len(out.read_text().splitlines()) == 9


def test_plans_that_cannot_be_exported_are_refused(files: "Files", tmp_path: Path) -> None:
    said = run("export", files.plan, "--to", "onert", "--format", "json", code=ExitCode.BAD_INPUT)
    assert "--model" in said["error"]["remedy"]
    more = ("--format", "json")
    said = run("export", files.plan, "--to", "onert", "-m", "small", *more, code=ExitCode.BAD_INPUT)
    assert "onnxruntime-cpu" in said["error"]["got"]
    said = run("export", files.plan, "--to", "onert", "-m", "medium", *more, code=ExitCode.BAD_INPUT)
    assert "medium" in said["error"]["expected"]
    arguments = ["export", files.plan, "--to", "onert", "-m", "small", "-p", files.profile, *more]
    assert run(*arguments, code=ExitCode.BAD_INPUT)["error"]["got"] == "--profile"
    data = json.loads(files.profile.read_text())
    data["models"] = data["models"][:1]
    files.profile.write_text(json.dumps(data))
    said = run("export", files.plan, "--to", "csv", "-p", files.profile, *more, code=ExitCode.BAD_INPUT)
    assert "large" in said["error"]["subject"]
