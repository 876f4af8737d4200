"""``edgeplan explain`` on allocations of an accelerator's tenants: shares that add up, steps against brute force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from edgeplan.formulation import TenancyProblem
from edgeplan.interface.cli import app
from edgeplan.interface.exits import ExitCode
from edgeplan.interface.explanations.tenancy import tenancy_steps
from edgeplan.interface.tenancy import load_tenancy
from edgeplan.solvers import solve
from typer.testing import CliRunner

from ..tenants import SCENARIO


def edgeplan(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "tenants.yaml"
    path.write_text(yaml.safe_dump(SCENARIO))
    return path


def test_steps_are_differences_of_optima(scenario: Path) -> None:
    problem = load_tenancy(scenario).problem()
    base = solve(problem, "brute_force")
    assert base.objective is not None
    found = tenancy_steps(problem)
    assert {step.limit for step in found} == {
        "cpu_cores",
        "memory of edge-tpu",
        "rate of detector",
        "rate of classifier",
    }
    for step in found:
        if step.limit == "cpu_cores":
            other: TenancyProblem = problem.replace(cpu_cores=int(step.turned))
        elif step.limit.startswith("rate"):
            k = [t.name for t in problem.tenants].index(step.limit.removeprefix("rate of "))
            other = problem.at_rates([step.turned if i == k else rate for i, rate in enumerate(problem.rate_hz)])
        else:
            continue
        truth = solve(other, "brute_force").objective
        assert truth is not None
        assert step.gain_us == pytest.approx(base.objective - truth, rel=1e-6, abs=1e-6)
        if step.limit == "cpu_cores":
            assert (step.gain_us >= -1e-9) == (step.turned > step.value) or abs(step.gain_us) < 1e-9


def test_an_allocation_and_its_scenario_are_explained(scenario: Path, tmp_path: Path) -> None:
    made = tmp_path / "allocation.json"
    assert edgeplan("plan", scenario, "-o", made).exit_code == ExitCode.DONE
    result = edgeplan("explain", made, "--scenario", scenario)
    assert result.exit_code == ExitCode.DONE, result.output
    for part in ("detector: mean response", "Optimal", "What each limit costs", "cpu_cores"):
        assert part in result.stdout
    from_scenario = json.loads(edgeplan("explain", scenario, "--no-relax", "--format", "json").stdout)
    from_plan = json.loads(edgeplan("explain", made, "-s", scenario, "--no-relax", "--format", "json").stdout)
    assert from_plan["evaluation"] == from_scenario["evaluation"]
    assert from_plan["status"] == from_scenario["status"] == "optimal"


def test_an_allocation_that_cannot_keep_up_is_told(scenario: Path, tmp_path: Path) -> None:
    made = tmp_path / "allocation.json"
    assert edgeplan("plan", scenario, "-o", made).exit_code == ExitCode.DONE
    busier = dict(
        SCENARIO, tenants=[{**t, "arrival": {"kind": "poisson", "rate_hz": 900}} for t in SCENARIO["tenants"]]
    )
    scenario.write_text(yaml.safe_dump(busier))
    result = edgeplan("explain", made, "--scenario", scenario, "--no-relax")
    assert result.exit_code == ExitCode.CHECK_FAILED, result.output
    assert "unstable" in result.stdout
    assert edgeplan("explain", scenario).exit_code == ExitCode.INFEASIBLE
    assert edgeplan("explain", made).exit_code == ExitCode.BAD_INPUT
