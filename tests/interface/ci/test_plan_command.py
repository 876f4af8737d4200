"""``edgeplan plan`` and ``check`` in continuous integration: what fails a job, and what it leaves to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from edgeplan.formulation import Plan
from edgeplan.interface.exits import ExitCode

from ..conftest import Files
from ..test_cli import answer, edgeplan

ACCELERATOR = Path(__file__).resolve().parents[3] / "examples" / "edge_tpu.yaml"


def held(said: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(o["condition"], o["of"]): o["verdict"] for o in said["conditions"]["outcomes"]}


def test_a_condition_that_holds_fails_the_job_and_leaves_the_plan(files: Files) -> None:
    made = files.folder / "made.json"
    arguments = ("plan", files.scenario(), "-o", made, "--requests", 500, "--fail-on", "large.p99_us>1ms")
    said = answer(*arguments, "--fail-on", "memory.ram>1GiB", code=ExitCode.CHECK_FAILED)
    assert held(said) == {("large.p99_us>1ms", "large"): "failed", ("memory.ram>1GiB", "ram"): "passed"}
    assert said["conditions"]["failed"] == 1
    assert said["conditions"]["simulation"] == {"requests": 500, "seed": 0, "level": 0.95}
    assert Plan.load(made).model_dump(mode="json") == said["plan"]


def test_conditions_that_do_not_hold_pass(files: Files) -> None:
    arguments = (
        "plan",
        files.scenario(),
        "--requests",
        500,
        "--fail-on",
        "miss_ratio>50%",
        "--fail-on",
        "utilisation>1",
    )
    said = answer(*arguments)
    assert set(held(said).values()) == {"passed"}
    assert {of for _, of in held(said)} == {"small", "large", ""}


def test_the_table_shows_each_condition_with_its_value_and_basis(files: Files) -> None:
    result = edgeplan("plan", files.scenario(), "--seed", 4, "--requests", 500, "--fail-on", "*.p99_us>1s")
    assert result.exit_code == ExitCode.DONE, result.output
    text = " ".join(result.stdout.split())
    for shown in ("Conditions that must not hold", "500 requests", "seed 4", "±", "0 of 2 checks failed"):
        assert shown in text


@pytest.mark.parametrize("command", ["plan", "check"])
@pytest.mark.parametrize("expression", ["p98_us>1", "nobody.p99_us>20ms", "p99_us is large", "delta.p99_us>1%"])
def test_a_bad_expression_is_refused_before_anything_is_solved(
    files: Files, monkeypatch: pytest.MonkeyPatch, command: str, expression: str
) -> None:
    def unwanted(*arguments: object, **options: object) -> None:
        raise AssertionError("solved in spite of a bad expression")

    monkeypatch.setattr("edgeplan.interface.planning.candidates", unwanted)
    monkeypatch.setattr("edgeplan.interface.commands.check.evaluate", unwanted)
    plans = [files.plan] if command == "check" else []
    said = answer(command, files.scenario(), *plans, "--fail-on", expression, code=ExitCode.BAD_INPUT)
    assert said["error"]["kind"] == "ConditionError"
    assert expression in said["error"]["subject"]
    text = " ".join(said["error"].values())
    assert "p99_us" in text
    assert "small, large" in text or expression.startswith("delta.")


def test_check_holds_conditions_against_a_plan_file(files: Files) -> None:
    arguments = ("check", files.scenario(), files.plan, "--replay", 0, "--requests", 500)
    assert answer(*arguments)["conditions"] is None
    passed = answer(*arguments, "--fail-on", "memory>128MiB")
    assert held(passed) == {("memory.*>128MiB", "ram"): "passed"}
    failed = answer(*arguments, "--fail-on", "small.latency_us>8ms", code=ExitCode.CHECK_FAILED)
    # The plan keeps every limit of the scenario; it is the condition that fails.
    assert failed["status"] == "ok"
    assert held(failed) == {("small.latency_us>8ms", "small"): "failed"}
    assert failed["conditions"]["outcomes"][0]["value"] == pytest.approx(8100)
    ends = [
        edgeplan(*arguments, "--fail-on", said).stdout.split()[-12:] for said in ("memory>128MiB", "latency_us>8ms")
    ]
    assert [" ".join(words).endswith("but not every condition of --fail-on.") for words in ends] == [False, True]


def test_a_plan_that_cannot_run_passes_no_condition(files: Files, plan: Plan) -> None:
    broken = plan.models[1].model_copy(update={"segments": plan.models[1].segments[1:]})
    plan.model_copy(update={"models": (plan.models[0], broken)}).save(files.plan)
    arguments = ("check", files.scenario(), files.plan, "--fail-on", "p99_us>1000s")
    assert set(held(answer(*arguments, code=ExitCode.CHECK_FAILED)).values()) == {"unknown"}
    assert "not known" in edgeplan(*arguments).stdout


@pytest.mark.parametrize("option", ["--fail-on", "--lock", "--locked"])
def test_scenarios_with_an_accelerator_refuse_what_is_not_for_them(tmp_path: Path, option: str) -> None:
    value = {"--fail-on": "p99_us>1", "--lock": tmp_path / "lock.json", "--locked": tmp_path / "lock.json"}[option]
    said = answer("plan", ACCELERATOR, option, value, code=ExitCode.BAD_INPUT)
    assert option in said["error"]["got"]
