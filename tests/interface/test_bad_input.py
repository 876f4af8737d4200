"""Bad input of every kind: a message that says what to do, exit code 2, no traceback; one object as JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from edgeplan.interface.cli import app
from edgeplan.interface.exits import ExitCode
from onnx import TensorProto, helper
from typer.testing import CliRunner

if TYPE_CHECKING:
    from .conftest import Files

Arguments = list[object]


def edit_profile(change: Callable[[dict[str, Any]], object]) -> Callable[["Files"], Arguments]:
    """Plan with a profile in which something was changed."""

    def prepare(files: "Files") -> Arguments:
        data = json.loads(files.profile.read_text())
        change(data)
        files.profile.write_text(json.dumps(data))
        return ["plan", files.scenario()]

    return prepare


def edit_plan(change: Callable[[dict[str, Any]], object]) -> Callable[["Files"], Arguments]:
    def prepare(files: "Files") -> Arguments:
        data = json.loads(files.plan.read_text())
        change(data)
        files.plan.write_text(json.dumps(data))
        return ["check", files.scenario(), files.plan]

    return prepare


def truncated(name: str, *arguments: str) -> Callable[["Files"], Arguments]:
    def prepare(files: "Files") -> Arguments:
        path: Path = getattr(files, name)
        path.write_text(path.read_text()[: path.stat().st_size // 2])
        return [getattr(files, a[1:]) if a.startswith(":") else files.scenario() if a == "S" else a for a in arguments]

    return prepare


def scenario_text(text: str) -> Callable[["Files"], Arguments]:
    def prepare(files: "Files") -> Arguments:
        path = files.folder / "scenario.yaml"
        path.write_text(text)
        return ["plan", path]

    return prepare


def scenario(**changes: object) -> Callable[["Files"], Arguments]:
    return lambda files: ["plan", files.scenario(**changes)]


def onnx_file(sizes: list[int | str], reads: str = "data") -> Callable[["Files"], Arguments]:
    """Profile a model of one Relu with an input of the given sizes."""

    def prepare(files: "Files") -> Arguments:
        graph = helper.make_graph(
            [helper.make_node("Relu", [reads], ["between"]), helper.make_node("Relu", ["between"], ["out"])],
            "toy",
            [helper.make_tensor_value_info("data", TensorProto.FLOAT, sizes)],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        )
        path = files.folder / "toy.onnx"
        path.write_bytes(helper.make_model(graph).SerializeToString())
        return ["profile", path, "-o", files.folder / "made.json"]

    return prepare


def not_onnx(files: "Files") -> Arguments:
    path = files.folder / "toy.onnx"
    path.write_text("this is a poem, not a model")
    return ["profile", path, "-o", files.folder / "made.json"]


def cyclic(data: dict[str, Any]) -> None:
    layers = data["models"][0]["graph"]["layers"]
    layers[0]["inputs"] = list(layers[-1]["outputs"])


def foreign_machine(files: "Files") -> Arguments:
    data = json.loads(files.profile.read_text())
    data["platform"]["fingerprint"] = "a" * 64
    files.profile.write_text(json.dumps(data))
    return ["run", files.scenario(), "--plan", files.plan, "--duration", "1"]


def plan_of_another_machine(files: "Files") -> Arguments:
    for path, place, value in ((files.profile, "platform", "a" * 64), (files.plan, "", "b" * 64)):
        data = json.loads(path.read_text())
        (data[place] if place else data)["fingerprint" if place else "platform_fingerprint"] = value
        path.write_text(json.dumps(data))
    return ["check", files.scenario(), files.plan]


ONE_STREAM = {"model": "small", "arrival": {"kind": "periodic", "period_us": 50000}}
BOARD = {
    "name": "board",
    "processors": [{"name": "cpu", "cores": [], "memory": "ram"}],
    "memories": [{"name": "ram", "capacity_bytes": "1 GiB"}],
}

CASES: dict[str, tuple[Callable[["Files"], Arguments], str]] = {
    "scenario missing": (lambda files: ["plan", files.folder / "none.yaml"], "No such file"),
    "scenario is a folder": (lambda files: ["plan", files.folder], "directory"),
    "scenario is not YAML": (scenario_text("name: [1, 2"), "YAML"),
    "scenario is a list": (scenario_text("- 1\n- 2\n"), "schema scenario"),
    "scenario is empty": (scenario_text(""), "schema scenario"),
    "unknown key": (scenario(colour="red"), "colour"),
    "unknown key deep inside": (scenario(limits={"memory": 5}), "limits.memory"),
    "model that was not profiled": (scenario(models=[{"name": "medium"}], streams=[]), "edgeplan profile medium"),
    "stream for an unknown model": (scenario(streams=[{**ONE_STREAM, "model": "medium"}]), "medium"),
    "model without a stream": (scenario(streams=[ONE_STREAM]), "large"),
    "negative deadline": (scenario(streams=[{**ONE_STREAM, "deadline_us": -1}]), "deadline_us"),
    "rate that is not a number": (
        scenario(streams=[{"model": "small", "arrival": {"kind": "poisson", "rate_hz": float("nan")}}]),
        "rate_hz",
    ),
    "unknown memory": (scenario(limits={"memory_bytes": {"vram": 5}}), "vram"),
    "zero cores": (scenario(platform=BOARD), "at least one core"),
    "no profile": (scenario(profile=None), "edgeplan profile"),
    "profile missing": (scenario(profile="none.json"), "none.json"),
    "profile truncated": (truncated("profile", "plan", "S"), "edgeplan profile"),
    "profile of another schema": (edit_profile(lambda data: data.update(schema_version=99)), "schema version"),
    "negative cost": (edit_profile(lambda data: data["models"][0]["costs"]["layer_us"][0].__setitem__(0, -5.0)), "-5"),
    "cost that is not a number": (
        edit_profile(lambda data: data["models"][0]["costs"]["layer_us"][0].__setitem__(0, float("nan"))),
        "finite",
    ),
    "cost missing for a layer": (
        edit_profile(lambda data: data["models"][0]["costs"]["layer_us"].__setitem__(1, [None, None])),
        "layers 1",
    ),
    "costs for fewer layers": (edit_profile(lambda data: data["models"][0]["costs"]["layer_us"].pop()), "layer"),
    "cyclic graph": (edit_profile(cyclic), "cycle"),
    "plan missing": (lambda files: ["check", files.scenario(), files.folder / "none.json"], "No such file"),
    "plan truncated": (truncated("plan", "check", "S", ":plan"), "edgeplan plan"),
    "plan with an unknown key": (edit_plan(lambda data: data.update(colour="red")), "colour"),
    "plan of another schema": (edit_plan(lambda data: data.update(schema_version=99)), "schema version 1"),
    "plan for another model": (edit_plan(lambda data: data["models"][0].update(sha256="f" * 64)), "SHA-256"),
    "plan without a model": (edit_plan(lambda data: data["models"].pop()), "large"),
    "plan of another machine": (plan_of_another_machine, "this machine"),
    "profile of another machine": (foreign_machine, "this machine"),
    "unknown method": (lambda files: ["plan", files.scenario(), "--method", "oracle"], "oracle"),
    "method that does not fit": (lambda files: ["plan", files.scenario(), "--method", "nsga2"], "nsga2"),
    "front of an unknown model": (lambda files: ["pareto", files.profile, "--model", "medium"], "medium"),
    "front of no model in particular": (lambda files: ["pareto", files.profile], "--model"),
    "run record truncated": (
        truncated("run", "report", "S", "--plan", ":plan", "--run", ":run"),
        "edgeplan run",
    ),
    "output in no folder": (
        lambda files: ["plan", files.scenario(), "-o", files.folder / "none" / "plan.json"],
        "Make the folder",
    ),
    "not ONNX": (not_onnx, "ONNX"),
    "no such model": (lambda files: ["profile", "resnet5000", "-o", files.folder / "made.json"], "resnet5000"),
    "two models of one name": (
        lambda files: ["profile", "a/toy.onnx", "b/toy.onnx", "-o", files.folder / "made.json"],
        "Rename",
    ),
    "dynamic shape without a size": (onnx_file(["batch", 3, "height", 8]), "--shape"),
    "model with a cycle": (onnx_file([1, 3, 8, 8], reads="out"), "cycle"),
    "shape that is no shape": (
        lambda files: [*onnx_file([1, 3, "height", 8])(files), "--shape", "data=1,x"],
        "data=1,x",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str, files: "Files") -> None:
    prepare, said = CASES[case]
    arguments = [str(argument) for argument in prepare(files)]
    result = CliRunner().invoke(app, [*arguments, "--format", "json"])
    assert result.exit_code == ExitCode.BAD_INPUT, (result.output, result.exception)
    assert "Traceback" not in result.output
    assert said in result.stderr
    answer = json.loads(result.stdout)
    assert answer["status"] == "bad_input"
    assert all(answer["error"].values())


def test_usage_errors_are_bad_input_too() -> None:
    assert CliRunner().invoke(app, ["plan"]).exit_code == ExitCode.BAD_INPUT
    assert CliRunner().invoke(app, ["nonsense"]).exit_code == ExitCode.BAD_INPUT
