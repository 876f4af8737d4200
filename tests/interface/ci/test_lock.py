"""Locks: other inputs are refused by name, the same ones give the same plan, and what the clock decides is said so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from edgeplan.formulation import Plan, Problem, Scenario
from edgeplan.interface.case import Case
from edgeplan.interface.exits import ExitCode
from edgeplan.interface.identity import planned_with, profile_digest, question_digest, scenario_digest
from edgeplan.interface.lock import Lock, LockedInputs
from edgeplan.interface.reproducibility import SHORTEST_STAGE, why_not_reproducible
from edgeplan.profiles import Profile, model_sha256
from edgeplan.solvers import Solution, solve
from edgeplan.solvers.stop import Share
from hypothesis import given
from hypothesis import strategies as st

from ...conftest import write_model
from ..conftest import Files
from ..test_cli import answer, edgeplan

# So long that no search comes near the time in which the clock could have a part, however busy the machine.
LIMIT_S = 3000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, profile: Profile) -> tuple[bytes, bytes]:
    """A plan and its lock, made once; where they lie is no input."""
    folder = tmp_path_factory.mktemp("locked")
    plan, lock = folder / "plan.json", folder / "plan.lock.json"
    files = Files(folder, folder / "profile.json", plan, folder / "run.json")
    profile.save(files.profile)
    options = ("-o", plan, "--lock", lock, "--time-limit", LIMIT_S, "--seed", 2)
    result = edgeplan("plan", files.scenario(), *options)
    assert result.exit_code == ExitCode.DONE, result.output
    assert "It can be made again" in result.stdout
    return plan.read_bytes(), lock.read_bytes()


@pytest.fixture
def locked(files: Files, made: tuple[bytes, bytes]) -> Path:
    plan, lock = made
    files.plan.write_bytes(plan)
    path = files.folder / "plan.lock.json"
    path.write_bytes(lock)
    return path


def edited(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return path


def test_a_lock_names_what_made_the_plan(files: Files, locked: Path) -> None:
    lock, plan = Lock.load(locked), Plan.load(files.plan)
    assert lock.reproducible
    assert (lock.inputs.method, lock.inputs.time_limit_s, lock.inputs.seed) == ("auto", LIMIT_S, 2)
    assert lock.inputs.models == {part.model: part.sha256 for part in plan.models}
    assert lock.inputs.versions == planned_with()
    assert {"edgeplan", "numpy", "ortools"} <= set(lock.inputs.versions)
    stamp = plan.solver
    assert (lock.outcome.status, lock.outcome.policy) == (stamp.status, stamp.policy)
    assert (lock.outcome.objective, lock.outcome.bound, lock.outcome.gap) == (stamp.objective, stamp.bound, stamp.gap)


def test_the_same_inputs_give_the_same_plan_and_the_same_lock(files: Files, locked: Path) -> None:
    # Method, time limit and seed are taken from the lock where the command line does not say.
    said = answer("plan", files.scenario(), "--locked", locked)
    assert said["locked"]["same"]
    assert said["seed"] == 2
    assert said["locked"]["mismatches"] == []
    again = files.folder / "again.json"
    answer("plan", files.scenario(), "--lock", again, "--time-limit", LIMIT_S, "--seed", 2)
    assert again.read_bytes() == locked.read_bytes()


def test_names_and_places_are_no_inputs(files: Files, locked: Path) -> None:
    profile = files.folder / "elsewhere.json"
    files.profile.rename(profile)
    models = [{"name": "small", "path": "somewhere/small.onnx"}, {"name": "large"}]
    scenario = files.scenario(name="another name", profile="elsewhere.json", models=models)
    said = answer("plan", scenario, "--locked", locked)
    assert said["locked"]["same"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda lock: lock["inputs"].update(scenario="0" * 64), "scenario"),
        (lambda lock: lock["inputs"].update(profile="0" * 64), "profile"),
        (lambda lock: lock["inputs"]["models"].update(small="0" * 64), "model small"),
        (lambda lock: lock["inputs"]["models"].update(other="0" * 64), "model other"),
        (lambda lock: lock["inputs"].update(platform_fingerprint="0" * 64), "platform"),
        (lambda lock: lock["inputs"]["versions"].update(ortools="8.0"), "ortools"),
        (lambda lock: lock["inputs"]["versions"].pop("numpy"), "numpy"),
    ],
)
def test_every_other_input_is_refused_by_name(
    files: Files, locked: Path, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    edited(locked, change)
    said = answer("plan", files.scenario(), "--locked", locked, code=ExitCode.BAD_INPUT)
    assert said["error"]["kind"] == "LockError"
    assert said["error"]["got"].startswith(f"{named} ")
    assert ";" not in said["error"]["got"]


def test_all_differences_are_named_at_once(files: Files, locked: Path) -> None:
    arguments = ("plan", files.scenario(objective="latency"), "--locked", locked)
    options = ("--seed", 3, "--method", "cp_sat", "--time-limit", 5)
    got = answer(*arguments, *options, code=ExitCode.BAD_INPUT)["error"]["got"]
    assert [part.split()[0] for part in got.split("; ")] == ["scenario", "method", "time", "seed"]
    assert "seed 3 instead of 2" in got


def test_another_plan_fails_and_is_left_to_look_at(files: Files, locked: Path) -> None:
    def other(lock: dict[str, Any]) -> None:
        lock["outcome"]["plan"] = "0" * 64
        lock["outcome"]["parts"]["large"] = "0" * 64

    edited(locked, other)
    files.plan.unlink()
    arguments = ("plan", files.scenario(), "--locked", locked, "-o", files.plan)
    said = answer(*arguments, code=ExitCode.CHECK_FAILED)["locked"]
    assert said["failed"]
    assert [found["what"] for found in said["mismatches"]] == ["plan of large"]
    assert files.plan.exists()
    result = edgeplan(*arguments)
    assert result.exit_code == ExitCode.CHECK_FAILED
    assert "Against the lock" in result.stdout


def test_what_the_clock_decided_need_not_come_again(files: Files, locked: Path) -> None:
    reason = "the time limit cut a search short"

    def other(lock: dict[str, Any]) -> None:
        lock["outcome"]["plan"] = "0" * 64
        lock.update(reproducible=False, reason=reason)

    edited(locked, other)
    result = edgeplan("plan", files.scenario(), "--locked", locked)
    assert result.exit_code == ExitCode.DONE, result.output
    assert reason in result.stdout
    assert "cannot be made again for sure" in result.stdout


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda lock: lock.update(schema_version=2), "schema_version"),
        (lambda lock: lock.update(colour="red"), "colour"),
        (lambda lock: lock["inputs"].pop("seed"), "inputs.seed"),
    ],
)
def test_what_is_no_lock_is_refused(
    files: Files, locked: Path, change: Callable[[dict[str, Any]], object], place: str
) -> None:
    edited(locked, change)
    error = answer("plan", files.scenario(), "--locked", locked, code=ExitCode.BAD_INPUT)["error"]
    assert place in error["subject"]


def test_a_lock_is_written_or_kept_to_not_both(files: Files, locked: Path) -> None:
    other = files.folder / "other.json"
    error = answer("plan", files.scenario(), "--locked", locked, "--lock", other, code=ExitCode.BAD_INPUT)["error"]
    assert error["got"] == "both"
    missing = answer("plan", files.scenario(), "--locked", other, code=ExitCode.BAD_INPUT)["error"]
    assert str(other) in missing["subject"]


@given(st.lists(st.floats(0, 20), min_size=1, max_size=5), st.floats(0.01, 100))
def test_a_plan_is_reproducible_where_no_stage_can_have_met_the_clock(runtimes_s: list[float], limit_s: float) -> None:
    doubt = why_not_reproducible([Solution("optimal", "cp_sat", runtime_s=r) for r in runtimes_s], limit_s)
    # The shortest stage of a search has its share of what is left when it begins, which is at most what was used later.
    assert (doubt == "") == all(r < SHORTEST_STAGE * (limit_s - r) for r in runtimes_s)
    assert ("time limit cut" in doubt) == any(r >= limit_s for r in runtimes_s)


def test_nothing_is_promised_for_solvers_of_others() -> None:
    assert "'annealer'" in why_not_reproducible([Solution("feasible", "annealer")], 10.0)


@pytest.mark.parametrize("method", ["cp_sat", "greedy"])
@pytest.mark.parametrize("memory_mib", [512, 30])
def test_no_solver_has_a_shorter_stage(
    problem: Problem, monkeypatch: pytest.MonkeyPatch, method: str, memory_mib: int
) -> None:
    shares: list[float] = []
    init = Share.__init__

    def recording(self: Share, whole: Any, share: float) -> None:
        shares.append(share)
        init(self, whole, share)

    monkeypatch.setattr(Share, "__init__", recording)
    limits = problem.limits.model_copy(update={"memory_bytes": {"ram": memory_mib * 2**20}})
    solve(problem.replace(limits=limits), method=method, time_limit_s=20)
    assert all(share >= SHORTEST_STAGE for share in shares)
    assert shares or method == "greedy"


def test_a_model_that_changed_since_it_was_profiled_is_refused(files: Files, profile: Profile, tmp_path: Path) -> None:
    file = write_model(tmp_path / "small.onnx", seed=0, depth=1)
    models = (profile.models[0].model_copy(update={"sha256": model_sha256(file)}), profile.models[1])
    profile.model_copy(update={"models": models}).save(files.profile)
    scenario = files.scenario(models=[{"name": "small", "path": "small.onnx"}, {"name": "large"}])
    arguments = ("plan", scenario, "--method", "greedy", "--lock", tmp_path / "lock.json")
    # The file of `large` is not there, and planning needs none.
    assert answer(*arguments)["lock"]["inputs"]["models"]["small"] == model_sha256(file)
    write_model(file, seed=1, depth=1)
    error = answer(*arguments, code=ExitCode.BAD_INPUT)["error"]
    assert (error["kind"], error["subject"]) == ("StalePlanError", "model 'small'")


def turned_round(data: Any) -> Any:
    """The same data with every key written in another order."""
    if isinstance(data, dict):
        return {key: turned_round(data[key]) for key in reversed(data)}
    return [turned_round(item) for item in data] if isinstance(data, list) else data


def test_a_digest_is_of_what_is_said_and_not_of_how(files: Files) -> None:
    path = files.scenario()
    said = scenario_digest(Scenario.load(path))
    data = yaml.safe_load(path.read_text())
    data["streams"][0]["deadline_us"] = 4e4
    data["limits"]["memory_bytes"]["ram"] = 128 * 2**20
    data |= {"objective": "response", "platform": "local", "name": "another", "profile": "a/b.json"}
    data["models"] = [{"name": "small", "path": "c/d.onnx"}, {"name": "large"}]
    path.write_bytes(yaml.safe_dump(turned_round(data), sort_keys=False).replace("\n", "\r\n").encode())
    assert scenario_digest(Scenario.load(path)) == said
    for change in ({"streams": data["streams"][::-1]}, {"objective": "latency"}):
        path.write_text(yaml.safe_dump({**data, **change}))
        assert scenario_digest(Scenario.load(path)) != said

    measured = profile_digest(Profile.load(files.profile))
    text = json.dumps(turned_round(json.loads(files.profile.read_text())), indent=4)
    files.profile.write_bytes(text.replace("\n", "\r\n").encode())
    assert profile_digest(Profile.load(files.profile)) == measured


def test_a_solver_of_another_distribution_is_a_version_too(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case.load(files.scenario())

    def digests() -> list[str]:
        return [question_digest(case, method, 10.0, 0) for method in ("auto", "cp_sat", "annealer")]

    def installed(number: str) -> None:
        annealer = SimpleNamespace(dist=SimpleNamespace(name="annealing", version=number))
        found = {"annealer": [annealer]}
        monkeypatch.setattr("edgeplan.interface.identity.entry_points", lambda group, name: found.get(name, []))

    installed("1.0")
    first = digests()
    assert planned_with("annealer") == {**planned_with(), "annealing": "1.0"}
    assert LockedInputs.of(case, "annealer", 10.0, 0).versions["annealing"] == "1.0"
    installed("1.1")
    assert [one == other for one, other in zip(first, digests(), strict=True)] == [True, True, False]
