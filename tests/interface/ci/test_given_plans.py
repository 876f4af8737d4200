"""Plans that commands are given: other kinds are named, so is what nobody asked for, and foreign proofs are none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeplan.formulation import Plan, Problem, evaluate
from edgeplan.formulation.tenancy import Allocation, TenantAllocation
from edgeplan.interface.exits import ExitCode
from edgeplan.interface.given_plans import covered, is_of_this_question, left_out, load_plan
from edgeplan.solvers import solve

from ..conftest import Files
from ..test_cli import answer, edgeplan

SMALL = {"model": "small", "arrival": {"kind": "periodic", "period_us": 50000}, "deadline_us": 40000}
LARGE = {"model": "large", "arrival": {"kind": "poisson", "rate_hz": 8}, "deadline_us": 120000}
QUICK_REPORT = ("--requests", 0, "--no-fronts")


@pytest.fixture
def only_small(files: Files) -> Path:
    return files.scenario(models=[{"name": "small"}], streams=[SMALL])


def service_plan(path: Path) -> None:
    path.write_text(json.dumps({"schema_version": 1, "services": [], "solver": {"method": "greedy"}}))


def allocation(path: Path) -> None:
    Allocation(tenants=(TenantAllocation(tenant="camera", point=0, cores=1),)).save(path)


def lock(path: Path) -> None:
    path.write_text(json.dumps({"schema_version": 1, "kind": "lock", "inputs": {}, "outcome": {}}))


KINDS = [(service_plan, "edgeplan capacity"), (allocation, "an allocation"), (lock, "a lock")]
COMMANDS = [
    (command, write, called)
    for command in ("check", "diff", "report", "explain")
    for write, called in KINDS
    if (command, write) != ("explain", allocation)  # which it explains
]


@pytest.mark.parametrize(("command", "write", "called"), COMMANDS)
def test_another_kind_of_plan_is_called_by_its_name(
    files: Files, command: str, write: Callable[[Path], None], called: str
) -> None:
    path, scenario = files.folder / "other.json", files.scenario()
    write(path)
    arguments: dict[str, list[Any]] = {
        "check": [scenario, path],
        "diff": [path, files.plan],
        "report": [scenario, "--plan", path],
        "explain": [path, "--scenario", scenario],
    }
    error = answer(command, *arguments[command], code=ExitCode.BAD_INPUT)["error"]
    assert str(path) in error["subject"]
    assert called in error["got"]


def test_what_is_no_plan_at_all_is_refused_as_before(files: Files) -> None:
    for text in ("", "[1, 2]", '{"models": [], "solver": 1}', '{"a": 1}', files.plan.read_text()[:200]):
        files.plan.write_text(text)
        error = answer("check", files.scenario(), files.plan, code=ExitCode.BAD_INPUT)["error"]
        assert error["expected"] == "a plan of schema version 1"


def test_a_plan_of_segments_is_read(files: Files, plan: Plan) -> None:
    assert load_plan(files.plan) == plan


def test_what_is_left_out_is_named_by_every_command(files: Files, only_small: Path) -> None:
    said = answer("check", only_small, files.plan)
    assert said["left_out"] == ["large"]
    assert "nothing of it is counted: large" in edgeplan("check", only_small, files.plan).stdout
    arguments = ("explain", files.plan, "--scenario", only_small, "--no-relax", "--no-alternatives")
    assert answer(*arguments)["left_out"] == ["large"]
    assert "nothing of it is counted: large" in edgeplan(*arguments).stdout
    report = answer("report", only_small, "--plan", files.plan, *QUICK_REPORT)["report"]
    assert "nothing of it is counted: large" in json.dumps(report)
    assert answer("check", files.scenario(), files.plan)["left_out"] == []


def test_what_is_covered_is_scored_as_before(problem: Problem, plan: Plan) -> None:
    assert left_out(problem, plan) == ()
    assert covered(problem, plan) is plan
    alone = problem.replace(models=problem.models[1:], streams=problem.streams[1:])
    assert left_out(alone, plan) == ("small",)
    part = covered(alone, plan)
    assert [each.model for each in part.models] == ["large"]
    assert evaluate(alone, part) == evaluate(alone, plan)


def proven(problem: Problem, plan: Plan) -> Plan:
    """The plan with a stamp that says it is optimal for the problem."""
    objective = evaluate(problem, plan).objective
    stamp = {"status": "optimal", "objective": objective, "bound": objective, "gap": 0.0, "method": "oracle"}
    return plan.model_copy(update={"solver": plan.solver.model_copy(update=stamp)})


def test_a_stamp_speaks_of_the_question_with_its_objective(problem: Problem, plan: Plan) -> None:
    made = proven(problem, plan)
    assert is_of_this_question(made, evaluate(problem, made))
    heavier = problem.replace(streams=(problem.streams[0].model_copy(update={"weight": 3.0}), problem.streams[1]))
    assert not is_of_this_question(made, evaluate(heavier, made))
    assert is_of_this_question(plan, evaluate(heavier, plan)), "a stamp without an objective claims none"


def test_what_was_proven_for_another_scenario_is_not_claimed(files: Files, problem: Problem, plan: Plan) -> None:
    proven(problem, plan).save(files.plan)
    explain = ("explain", files.plan, "--no-relax", "--no-alternatives", "--scenario")
    report = ("report", "--plan", files.plan, *QUICK_REPORT)

    def card(scenario: Path) -> dict[str, str]:
        return next(c for c in answer(*report, scenario)["report"]["cards"] if c["label"] == "plan")

    scenario = files.scenario()
    assert "proved that" in answer(*explain, scenario)["solver"]["says"]
    assert card(scenario)["value"] == "optimal"
    scenario = files.scenario(streams=[{**SMALL, "weight": 3}, LARGE])
    says = answer(*explain, scenario)["solver"]["says"]
    assert "another question" in says
    assert "proved" not in says
    assert card(scenario)["value"] == "feasible"
    assert "another question" in card(scenario)["detail"]


def test_prices_are_those_of_this_scenario(files: Files, problem: Problem, plan: Plan) -> None:
    """A plan that was optimal for another scenario is no base that gains are counted from."""
    foreign = {"status": "optimal", "objective": 1.0, "bound": 1.0, "gap": 0.0, "method": "cp_sat"}
    plan.model_copy(update={"solver": plan.solver.model_copy(update=foreign)}).save(files.plan)
    arguments = ("report", files.scenario(), "--plan", files.plan, *QUICK_REPORT, "--sensitivity", "--time-limit", 5)
    sections = answer(*arguments)["report"]["sections"]
    (section,) = (section for section in sections if section["heading"] == "Sensitivity")
    (note,) = (block["note"] for block in section["blocks"] if "note" in block)
    said = re.search(r"As it is: objective ([\d.,]+) ms", note)
    assert said
    assert float(said[1].replace(",", "")) == pytest.approx((solve(problem).objective or 0.0) / 1e3, rel=1e-2)
