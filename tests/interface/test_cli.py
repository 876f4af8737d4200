"""The command line: what it prints, and every way in which it ends well or with infeasibility."""

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
import yaml
from edgeplan.formulation import Plan
from edgeplan.interface.cli import app
from edgeplan.interface.commands.schema import Document
from edgeplan.interface.exits import ExitCode
from typer.testing import CliRunner

if TYPE_CHECKING:
    from .conftest import Files


def edgeplan(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: object, code: int = 0) -> dict[str, Any]:
    """Run with ``--format json``: exactly one object on stdout."""
    result = edgeplan(*arguments, "--format", "json")
    assert result.exit_code == code, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def test_version() -> None:
    result = edgeplan("--version")
    assert result.exit_code == ExitCode.DONE
    assert result.stdout.startswith("edgeplan ")


def test_plan_writes_a_plan_that_check_accepts(files: "Files") -> None:
    scenario, made = files.scenario(), files.folder / "made.json"
    result = edgeplan("plan", scenario, "-o", made, "--seed", 3)
    assert result.exit_code == ExitCode.DONE, result.output
    assert "Plan written to" in result.stdout
    assert Plan.load(made).solver.seed == 3
    assert edgeplan("check", scenario, made).exit_code == ExitCode.DONE


def test_plan_as_json_holds_the_plan_and_its_score(files: "Files") -> None:
    said = answer("plan", files.scenario())
    assert said["status"] in ("optimal", "feasible")
    assert said["evaluation"]["violations"] == []
    assert set(said["evaluation"]["models"]) == {"small", "large"}
    Plan.model_validate(said["plan"])


def test_same_seed_same_plan(files: "Files") -> None:
    first, second = (answer("plan", files.scenario(), "--seed", 1)["plan"] for _ in range(2))
    assert first["models"] == second["models"]


def test_a_deadline_that_nothing_can_keep_is_infeasible_and_named(files: "Files") -> None:
    streams = [
        {"model": "small", "arrival": {"kind": "periodic", "period_us": 50000}, "deadline_us": 500},
        {"model": "large", "arrival": {"kind": "poisson", "rate_hz": 8}},
    ]
    scenario = files.scenario(streams=streams)
    result = edgeplan("plan", scenario)
    assert result.exit_code == ExitCode.INFEASIBLE, result.output
    assert "small" in result.stderr
    said = answer("plan", scenario, code=ExitCode.INFEASIBLE)
    (clash,) = (c for c in said["clashes"] if c["kind"] == "deadline")
    assert (clash["subject"], clash["limit"]) == ("small", 500)
    # Four layers of 2000 µs and the fixed cost: nothing is faster.
    assert clash["best_achievable"] >= 8100 * (1 - 1e-6)


def test_too_little_memory_is_infeasible(files: "Files") -> None:
    scenario = files.scenario(limits={"memory_bytes": {"ram": "1 MiB"}})
    said = answer("plan", scenario, code=ExitCode.INFEASIBLE)
    assert [c["kind"] for c in said["clashes"]] == ["memory"]


def test_time_that_runs_out_is_its_own_exit_code(files: "Files", monkeypatch: pytest.MonkeyPatch) -> None:
    # No instance is slow on every machine, so the solver's clock is what runs out.
    monkeypatch.setattr("edgeplan.solvers.stop.TimeLimit.__call__", lambda self: True)
    monkeypatch.setattr("edgeplan.solvers.stop.TimeLimit.remaining_s", property(lambda self: 0.0))
    result = edgeplan("plan", files.scenario(), "--method", "cp_sat")
    assert result.exit_code == ExitCode.OUT_OF_TIME, result.output
    assert "--time-limit" in result.stderr


def test_check_lists_what_a_plan_breaks(files: "Files") -> None:
    scenario = files.scenario(limits={"memory_bytes": {"ram": "16 MiB"}})
    said = answer("check", scenario, files.plan, code=ExitCode.CHECK_FAILED)
    assert said["status"] == "violated"
    assert [v["kind"] for v in said["evaluation"]["violations"]] == ["memory"]
    result = edgeplan("check", scenario, files.plan)
    assert result.exit_code == ExitCode.CHECK_FAILED
    assert "needs" in result.stdout


def test_check_replays_the_plan(files: "Files") -> None:
    said = answer("check", files.scenario(), files.plan, "--replay", 20)
    assert said["status"] == "ok"
    assert said["replay"]["small"]["requests"] == 400
    assert said["replay"]["small"]["miss_ratio"] == 0
    assert answer("check", files.scenario(), files.plan, "--replay", 0)["replay"] == {}


def test_check_of_broken_segments_says_so(files: "Files", plan: Plan) -> None:
    broken = plan.models[1].model_copy(update={"segments": plan.models[1].segments[1:]})
    plan.model_copy(update={"models": (plan.models[0], broken)}).save(files.plan)
    said = answer("check", files.scenario(), files.plan, code=ExitCode.CHECK_FAILED)
    assert {v["kind"] for v in said["evaluation"]["violations"]} == {"coverage"}
    assert edgeplan("report", files.scenario(), "--plan", files.plan, "-o", files.folder / "r.html").exit_code == 0


def test_pareto_compares_methods(files: "Files") -> None:
    said = answer("pareto", files.profile, "--model", "small", "--method", "dynamic_program", "--method", "brute_force")
    exact, oracle = ([(p["latency_us"], p["memory_bytes"]) for p in front["points"]] for front in said["fronts"])
    assert np.array(exact) == pytest.approx(np.array(oracle))
    assert edgeplan("pareto", files.profile, "-m", "large").exit_code == ExitCode.DONE


def test_report_is_written(files: "Files") -> None:
    target = files.folder / "report.html"
    said = answer("report", files.scenario(), "--plan", files.plan, "--run", files.run, "-o", target)
    assert Path(said["output"]) == target
    page = target.read_text(encoding="utf-8")
    assert "Core timeline" in page
    assert "Fronts" in page


@pytest.mark.parametrize("document", ["scenario", "plan", "profile", "run"])
def test_schemas_accept_real_files_and_refuse_unknown_keys(files: "Files", document: str) -> None:
    schema = answer("schema", document)
    jsonschema.Draft202012Validator.check_schema(schema)
    if document == "scenario":
        data = yaml.safe_load(files.scenario().read_text())
    else:
        data = json.loads(getattr(files, document).read_text())
    jsonschema.validate(data, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**data, "colour": "red"}, schema)


@pytest.mark.parametrize("document", list(Document))
def test_every_document_has_a_schema(document: Document) -> None:
    schema = answer("schema", document.value)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False


def test_the_demo_scenario_fits_the_schema() -> None:
    scenario = yaml.safe_load((Path(__file__).resolve().parents[2] / "examples" / "demo.yaml").read_text())
    jsonschema.validate(scenario, answer("schema", "scenario"))


def test_nothing_heavy_is_loaded_for_the_version() -> None:
    script = (
        "import sys\nfrom edgeplan.interface.cli import app\n"
        "print(*sorted({'onnx', 'onnxruntime', 'openvino', 'ortools', 'pymoo', 'plotly'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/")
    assert loaded.stdout.split() == []
