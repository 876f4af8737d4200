"""The commands that measure and serve, on a small real model: profile, plan, run, and being stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from edgeplan.interface.run_record import RunRecord
from onnx import TensorProto, helper, numpy_helper

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small convolutional model and a scenario."""
    folder = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.normal(0, 0.05, (16, 16, 3, 3)).astype(np.float32), f"w{i}") for i in range(4)
    ]
    nodes = []
    for i in range(4):
        source = "data" if i == 0 else f"relu{i - 1}"
        nodes.append(helper.make_node("Conv", [source, f"w{i}"], [f"conv{i}"], name=f"conv{i}", pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"conv{i}"], [f"relu{i}"], name=f"relu{i}"))
    shape = [1, 16, 48, 48]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("relu3", TensorProto.FLOAT, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "toy.onnx")
    scenario = {
        "name": "one toy",
        "profile": "profile.json",
        "models": [{"name": "toy", "path": "toy.onnx"}],
        "streams": [{"model": "toy", "arrival": {"kind": "periodic", "period_us": 20000}, "deadline_us": 100000}],
    }
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    return folder


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from edgeplan.interface.cli import main; main()", *arguments, "--format", "json"]


def environment(project: Path) -> dict[str, str]:
    return {**os.environ, "EDGEPLAN_CACHE": str(project / "cache")}


def edgeplan(project: Path, *arguments: str) -> dict:
    done = subprocess.run(
        command(*arguments), cwd=project, env=environment(project), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def planned(project: Path) -> Path:
    edgeplan(project, "profile", "toy.onnx", "--quick", "--backend", "onnxruntime-cpu", "-o", "profile.json")
    edgeplan(project, "plan", "scenario.yaml", "-o", "plan.json")
    return project


def test_run_serves_every_request_and_reports(planned: Path) -> None:
    said = edgeplan(planned, "run", "scenario.yaml", "--plan", "plan.json", "--duration", "2", "-o", "run.json")
    assert said["status"] == "done"
    record = RunRecord.load(planned / "run.json")
    assert len(record.setups[0].requests) == 100
    assert not any(request.error for request in record.setups[0].requests)
    assert all(request.segments for request in record.setups[0].requests)
    edgeplan(planned, "report", "scenario.yaml", "--plan", "plan.json", "--run", "run.json", "-o", "report.html")
    assert "Core timeline" in (planned / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_drains_and_ends_well(planned: Path, number: signal.Signals) -> None:
    arguments = ("run", "scenario.yaml", "--plan", "plan.json", "--duration", "120")
    running = subprocess.Popen(
        command(*arguments), cwd=planned, env=environment(planned), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    time.sleep(5)
    running.send_signal(number)
    said, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors.decode()
    report = json.loads(said)
    assert report["status"] == "stopped"
    assert report["drained"]
    assert report["setups"][0]["models"]["toy"]["requests"] > 0


def test_a_profile_that_is_interrupted_resumes(project: Path) -> None:
    arguments = ("profile", "toy.onnx", "--backend", "onnxruntime-cpu", "-o", "resumed.json")
    journal = project / "resumed.json.partial.jsonl"
    running = subprocess.Popen(
        command(*arguments), cwd=project, env=environment(project), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.read_text().count("\n") > 5):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    kept = journal.read_text().splitlines()
    edgeplan(project, *arguments)
    assert not journal.exists()
    assert (project / "resumed.json").exists()
    assert len(kept) > 5


def test_a_model_that_changed_is_refused(planned: Path) -> None:
    model = onnx.load(planned / "toy.onnx")
    model.doc_string = "changed"
    (planned / "changed").mkdir(exist_ok=True)
    onnx.save(model, planned / "changed" / "toy.onnx")
    for name in ("scenario.yaml", "profile.json", "plan.json"):
        (planned / "changed" / name).write_bytes((planned / name).read_bytes())
    done = subprocess.run(
        command("run", "scenario.yaml", "--plan", "plan.json", "--duration", "1"),
        cwd=planned / "changed",
        env=environment(planned),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "SHA-256" in done.stderr
