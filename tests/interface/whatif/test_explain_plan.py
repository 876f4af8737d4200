"""``edgeplan explain`` on plans and scenarios: parts that add up, files told apart, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from edgeplan.formulation import Plan, Problem, evaluate
from edgeplan.interface.cli import app
from edgeplan.interface.exits import ExitCode
from edgeplan.interface.explanations.kinds import ExplainError, kind_of
from edgeplan.interface.explanations.responses import response_parts
from edgeplan.solvers.testing import ProblemKind, random_plan, random_problem
from numpy.random import default_rng
from typer.testing import CliRunner

if TYPE_CHECKING:
    from ..conftest import Files

QUICK = ("--time-limit", "2")


def explain(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


@pytest.mark.parametrize("two_memories", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_parts_of_a_response_add_up_to_what_the_evaluator_predicts(seed: int, two_memories: bool) -> None:
    kind = ProblemKind(
        objective="response", models=3, layers=5, cores=3, streams=True, deadline_slack=1.5, two_memories=two_memories
    )
    problem = random_problem(kind, seed)
    evaluation = evaluate(problem, random_plan(problem, default_rng(seed)))
    for name, scored in evaluation.models.items():
        parts = response_parts(problem, evaluation, name)
        waits = {kind: sum(w.wait_us for w in parts.waits if w.kind == kind) for kind in ("blocking", "interference")}
        assert waits["blocking"] == pytest.approx(scored.blocking_us)
        assert waits["interference"] == pytest.approx(scored.interference_us)
        assert parts.response_us == pytest.approx(scored.response_us)
        path = sum(scored.segments[i].latency_us for i in parts.critical)
        assert path + parts.moving_us == pytest.approx(parts.latency_us)
        assert list(parts.critical) == sorted(parts.critical)
        assert name not in parts.shares_cores_with


def test_without_streams_a_response_is_its_own_work() -> None:
    problem = random_problem(ProblemKind(models=2, layers=3), 1)
    evaluation = evaluate(problem, random_plan(problem, default_rng(0)))
    for name in evaluation.models:
        parts = response_parts(problem, evaluation, name)
        assert parts.waits == ()
        assert parts.slack_us is None


def test_a_plan_is_explained_in_words_and_figures(files: Files) -> None:
    result = explain(files.plan, "--scenario", files.scenario(), "--no-relax", "--no-alternatives")
    assert result.exit_code == ExitCode.DONE, result.output
    for part in ("is its own work", "waits for", "to spare", "Where each response goes", "Limits", "memory.ram"):
        assert part in result.stdout


def test_json_has_the_same_and_prices(files: Files, problem: Problem, plan: Plan) -> None:
    result = explain(files.plan, "--scenario", files.scenario(), *QUICK, "--no-alternatives", "--format", "json")
    assert result.exit_code == ExitCode.DONE, result.output
    data = json.loads(result.stdout)
    scored = evaluate(problem, plan)
    assert data["models"]["small"]["response_us"] == pytest.approx(scored.models["small"].response_us)
    assert {step["limit"] for step in data["prices"]["steps"]} >= {"memory.ram", "deadline.small", "rate.large"}
    assert {limit["limit"] for limit in data["limits"]} == {"memory", "deadline", "utilisation"}


def test_a_plan_that_breaks_limits_is_explained_all_the_same(files: Files) -> None:
    scenario = files.scenario(limits={"memory_bytes": {"ram": "16 MiB"}})
    result = explain(files.plan, "--scenario", scenario, "--no-alternatives")
    assert result.exit_code == ExitCode.CHECK_FAILED
    assert "Violations" in result.stdout
    assert "is its own work" in result.stdout


def test_a_scenario_is_planned_and_explained(files: Files) -> None:
    result = explain(files.scenario(), "--no-relax", "--time-limit", "0.5")
    assert result.exit_code == ExitCode.DONE, result.output
    assert "What was rejected" in result.stdout
    assert "this plan" in result.stdout
    assert "pool" in result.stdout


def test_an_infeasible_scenario_says_why_and_what_would_make_a_plan(files: Files) -> None:
    scenario = files.scenario(limits={"memory_bytes": {"ram": "8 MiB"}})
    result = explain(scenario, *QUICK, "--format", "json")
    assert result.exit_code == ExitCode.INFEASIBLE, result.output
    data = json.loads(result.stdout)
    assert [clash["kind"] for clash in data["clashes"]] == ["memory"]
    rescue = next(r for r in data["rescues"] if r["limit"] == "memory.ram")
    text = explain(scenario, *QUICK)
    assert text.exit_code == ExitCode.INFEASIBLE
    assert "smallest single change: memory.ram" in text.stdout
    relaxed = files.scenario(limits={"memory_bytes": {"ram": int(rescue["needs"])}})
    assert CliRunner().invoke(app, ["plan", str(relaxed), "--method", "cp_sat"]).exit_code == ExitCode.DONE


def test_files_are_told_apart_by_what_is_in_them(files: Files, tmp_path: Path) -> None:
    def kind(text: str) -> str:
        path = tmp_path / "anything"
        path.write_text(text)
        return kind_of(path)

    plan = files.plan.read_text()
    assert kind(plan) == kind(plan[:200]) == "plan"
    scenario = files.scenario().read_text()
    assert kind(scenario) == "scenario"
    assert kind("accelerator: usb\ntenants: []\n") == "tenancy"
    assert kind('{"kind": "header"}\n{"kind": "window"}\n') == kind('{"kind": "header"}') == "journal"
    assert kind('{"kind": "allocation", "tenants": []}') == "allocation"
    for other in ("hello", "- a\n- b\n", '{"a": 1}', "[1, 2]"):
        with pytest.raises(ExplainError, match="a plan"):
            kind(other)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["PLAN"], "--scenario"),
        (["SCENARIO", "--scenario", "SCENARIO"], "Leave out --scenario"),
        (["SCENARIO", "--decision", "1"], "--decision"),
        (["TENANTS", "--profile", "PLAN"], "accelerator"),
        (["NOTHING"], "nothing.json"),
        (["WORDS"], "a controller's journal"),
    ],
)
def test_what_does_not_fit_is_refused(files: Files, arguments: list[str], what: str) -> None:
    (files.folder / "tenants.yaml").write_text("accelerator: x\ntenants: []\n")
    (files.folder / "words.txt").write_text("hello\n")
    names = {
        "PLAN": files.plan,
        "SCENARIO": files.scenario(),
        "TENANTS": files.folder / "tenants.yaml",
        "NOTHING": files.folder / "nothing.json",
        "WORDS": files.folder / "words.txt",
    }
    result = explain(*(names.get(argument, argument) for argument in arguments))
    assert result.exit_code == ExitCode.BAD_INPUT, result.output
    assert what in result.stderr
