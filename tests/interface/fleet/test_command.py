"""``edgeplan fleet``: what it leaves behind, what a second run does, and how it ends."""

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from edgeplan.formulation import Plan, Scenario, evaluate
from edgeplan.interface.exits import ExitCode
from edgeplan.interface.fleet.devices import devices_of, problem_on
from edgeplan.interface.fleet.jobs import JobResult
from edgeplan.interface.fleet.spec import FleetSpec
from edgeplan.interface.fleet.store import Store
from edgeplan.profiles import Profile

from ..test_cli import answer, edgeplan

STREAMS = [
    {"model": "small", "arrival": {"kind": "periodic", "period_us": 200000}, "deadline_us": 120000},
    {"model": "large", "arrival": {"kind": "poisson", "rate_hz": 3}, "deadline_us": 250000},
]
SPEC: dict[str, Any] = {
    "name": "two kinds of boards",
    "devices": [
        {"name": "board", "profile": "profile.json", "count": 3},
        {
            "name": "copy",
            "profile": "profile.json",
            "variants": {
                "time_factor": {"cpu": [1.0, 1.5]},
                "memory_bytes": {"ram": ["100 MiB"]},
                "cores": {"cpu": [1, 2]},
                "spread": {"cpu": 0.05},
            },
        },
    ],
    "workloads": [
        {"name": "both", "models": [{"name": "small"}, {"name": "large"}], "streams": STREAMS},
        {"name": "alone", "models": [{"name": "small"}], "streams": STREAMS[:1], "objective": "latency"},
    ],
    "exclude": [{"device": "copy-1", "workload": "alone"}],
    "time_limit_s": 5,
}


def write(folder: Path, profile: Profile, **changes: Any) -> Path:
    profile.save(folder / "profile.json")
    path = folder / "fleet.yaml"
    path.write_text(yaml.safe_dump(SPEC | changes))
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, profile: Profile) -> tuple[Path, dict[str, Any]]:
    """One run, and what it said."""
    folder = tmp_path_factory.mktemp("fleet")
    path = write(folder, profile)
    return folder, answer("fleet", path, "-o", folder / "out", "--workers", 2, "--max-loss", "2%")


def test_every_pair_has_a_job_but_for_what_is_excluded(done: tuple[Path, dict[str, Any]]) -> None:
    _, said = done
    pairs = {(job["device"], job["workload"]) for job in said["jobs"]}
    assert len(said["jobs"]) == len(pairs) == 5 * 2 - 1
    assert ("copy-1", "alone") not in pairs
    assert all(job["status"] in ("optimal", "feasible") for job in said["jobs"])


def test_every_device_is_assigned_a_plan_that_it_can_run_at_the_loss_that_is_stated(
    done: tuple[Path, dict[str, Any]],
) -> None:
    folder, said = done
    spec = FleetSpec.load(folder / "fleet.yaml")
    devices = {device.name: device for device in devices_of(spec, folder)}
    workloads = {entry.name: entry for entry in spec.workloads}
    profile = Profile.load(folder / "profile.json")
    own = {(job["device"], job["workload"]): job["objective_us"] for job in said["jobs"]}
    with (folder / "out" / "assignment.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["device"], row["workload"]) for row in rows} == set(own)
    for row in rows:
        entry = workloads[row["workload"]]
        given = {"objective": entry.objective} if entry.objective else {}
        scenario = Scenario(name="any", models=entry.models, streams=entry.streams, **given)
        problem = problem_on(profile, devices[row["device"]].variant, scenario)
        plan = Plan.load(folder / "out" / "plans" / f"{row['plan']}.json")
        scored = evaluate(problem, plan.model_copy(update={"platform_fingerprint": ""}))
        assert scored.feasible
        assert float(row["loss"]) <= 0.02
        assert scored.objective == pytest.approx(
            own[row["device"], row["workload"]] * (1 + float(row["loss"])), rel=1e-6
        )


def test_losses_fall_with_more_plans_and_are_proven(done: tuple[Path, dict[str, Any]]) -> None:
    _, said = done
    for workload in said["workloads"]:
        assert workload["status"] == "optimal"
        assert workload["least_plans"] == len(workload["plans"])
        curve = [step["mean_loss"] for step in workload["curve"] if step["mean_loss"] is not None]
        assert curve == sorted(curve, reverse=True)


def test_a_second_run_solves_nothing_and_says_the_same(done: tuple[Path, dict[str, Any]]) -> None:
    folder, said = done
    again = answer("fleet", folder / "fleet.yaml", "-o", folder / "out", "--max-loss", "2%")
    assert (again["solved"], again["reused"]) == (0, said["solved"])
    assert again["jobs"] == said["jobs"]
    assert again["workloads"] == said["workloads"]


def test_only_what_changed_is_to_be_solved(done: tuple[Path, dict[str, Any]]) -> None:
    folder, said = done
    devices = [SPEC["devices"][0] | {"time_factor": {"cpu": 1.1}}, SPEC["devices"][1]]
    changed = folder / "changed.yaml"
    changed.write_text(yaml.safe_dump(SPEC | {"devices": devices}))
    listed = answer("fleet", changed, "-o", folder / "out", "--dry-run")
    assert {job["device"] for job in listed["jobs"] if job["state"] == "to solve"} == {"board"}
    assert listed["answered"] == said["solved"] - 2
    (folder / "out" / "results" / f"{said['jobs'][0]['digest']}.json").write_text("cut sh")
    torn = answer("fleet", folder / "fleet.yaml", "-o", folder / "out", "--dry-run")
    assert torn["to_solve"] == 1
    assert answer("fleet", folder / "fleet.yaml", "-o", folder / "out", "--workers", 1)["solved"] == 1


def test_files_for_people(done: tuple[Path, dict[str, Any]]) -> None:
    folder, said = done
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    for heading in ("Loss by number of plans", "Who shares a plan", "Assignment", "Jobs", "Provenance"):
        assert heading in page
    digests = [job["digest"] for job in said["jobs"]]
    written = json.loads((folder / "out" / "fleet.json").read_text())
    assert [job["digest"] for job in written["jobs"]] == digests
    with (folder / "out" / "jobs.csv").open() as file:
        assert [row["digest"] for row in csv.DictReader(file)] == digests
    shown = edgeplan("fleet", folder / "fleet.yaml", "-o", folder / "out", "--plans", 1)
    assert shown.exit_code == ExitCode.DONE, shown.output
    assert "Loss by number of plans" in shown.stdout
    assert len(list((folder / "out" / "plans").glob("both-*.json"))) == 1


def test_a_dry_run_writes_nothing(tmp_path: Path, profile: Profile) -> None:
    path = write(tmp_path, profile)
    assert answer("fleet", path, "-o", tmp_path / "out", "--dry-run")["to_solve"] == 9
    assert not (tmp_path / "out").exists()
    assert "to solve" in edgeplan("fleet", path, "-o", tmp_path / "out", "--dry-run").stdout


def test_what_fails_or_is_infeasible_is_a_row_with_its_reason(tmp_path: Path, profile: Profile) -> None:
    hopeless = [STREAMS[0] | {"deadline_us": 500}]
    workloads = [
        SPEC["workloads"][1],
        {"name": "hopeless", "models": [{"name": "small"}], "streams": hopeless},
        {"name": "unknown", "models": [{"name": "absent"}], "objective": "latency"},
    ]
    devices = [SPEC["devices"][0], {"name": "lost", "profile": "missing.json"}]
    spec = write(tmp_path, profile, workloads=workloads, devices=devices, exclude=[])
    said = answer("fleet", spec, "-o", tmp_path / "out", "--workers", 1, code=ExitCode.CHECK_FAILED)
    rows = {(job["device"], job["workload"]): job for job in said["jobs"]}
    assert rows["board", "alone"]["status"] == "optimal"
    assert rows["board", "hopeless"]["status"] == "infeasible"
    assert "small" in rows["board", "hopeless"]["reason"]
    assert "absent" in rows["board", "unknown"]["reason"]
    assert "missing.json" in rows["lost", "alone"]["reason"]
    spec = write(tmp_path, profile, workloads=workloads[:2], devices=devices[:1], exclude=[])
    assert answer("fleet", spec, "-o", tmp_path / "out", code=ExitCode.INFEASIBLE)["status"] == "some_infeasible"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"exclude": [{"device": "none-*"}]}, "none-*"),
        ({"include": [{"device": "board"}], "exclude": [{"device": "board"}]}, "at least one job"),
        ({"devices": [{"name": "a", "profile": "no/*.json"}]}, "no/*.json"),
        ({"devices": [SPEC["devices"][0]] * 2}, "board"),
        ({"workloads": [{"name": "w"}]}, "scenario file"),
        ({"workloads": [{"models": [{"name": "small"}]}]}, "needs a name"),
        ({"colour": "red"}, "colour"),
        (
            {"workloads": [SPEC["workloads"][0] | {"name": name} for name in ("a b", "a-b")], "exclude": []},
            "plan files",
        ),
        ({"workloads": [SPEC["workloads"][1] | {"objective": "front"}]}, "front"),
        ({"devices": [{"name": "a", "profile": "profile.json", "time_factor": {"cpu": 0}}]}, "time_factor"),
    ],
)
def test_bad_fleet_files_are_refused(tmp_path: Path, profile: Profile, changes: dict[str, Any], words: str) -> None:
    result = edgeplan("fleet", write(tmp_path, profile, **changes), "-o", tmp_path / "out")
    assert result.exit_code == ExitCode.BAD_INPUT, result.output
    assert words in result.stderr
    assert not (tmp_path / "out").exists()


def test_options_that_make_no_sense_are_refused(tmp_path: Path, profile: Profile) -> None:
    path = write(tmp_path, profile)
    for options in (["--max-loss", "2"], ["--address", "auto"]):
        assert edgeplan("fleet", path, "-o", tmp_path / "out", *options).exit_code == ExitCode.BAD_INPUT
    (tmp_path / "file").touch()
    assert edgeplan("fleet", path, "-o", tmp_path / "file").exit_code == ExitCode.BAD_INPUT


def test_a_fleet_file_fits_its_schema() -> None:
    jsonschema.validate(SPEC, answer("schema", "fleet"))


@pytest.mark.slow
def test_an_unknown_processor_fails_its_own_jobs_only(tmp_path: Path, profile: Profile) -> None:
    devices = [SPEC["devices"][0], {"name": "odd", "profile": "profile.json", "time_factor": {"gpu": 2.0}}]
    path = write(tmp_path, profile, devices=devices, workloads=SPEC["workloads"][1:], exclude=[])
    said = answer("fleet", path, "-o", tmp_path / "out", "--workers", 1, code=ExitCode.CHECK_FAILED)
    assert [job["status"] for job in said["jobs"]] == ["optimal", "failed"]
    assert "gpu" in said["jobs"][1]["reason"]
    assert said["solved"] == 1, "what failed was not solved"
    # What failed is tried again; what has an answer is not.
    assert answer("fleet", path, "-o", tmp_path / "out", "--dry-run")["to_solve"] == 1


@pytest.mark.slow
def test_workloads_may_have_names_of_any_language(tmp_path: Path, profile: Profile) -> None:
    workloads = [SPEC["workloads"][1] | {"name": name} for name in ("夜間", "日中")]
    path = write(tmp_path, profile, workloads=workloads, devices=SPEC["devices"][:1], exclude=[])
    answer("fleet", path, "-o", tmp_path / "out", "--workers", 1)
    assert {file.name for file in (tmp_path / "out" / "plans").iterdir()} == {"夜間-P1.json", "日中-P1.json"}


def test_what_cannot_be_written_is_told_in_words(tmp_path: Path, profile: Profile) -> None:
    path = write(tmp_path, profile, devices=SPEC["devices"][:1], workloads=SPEC["workloads"][1:], exclude=[])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results").touch()
    result = edgeplan("fleet", path, "-o", tmp_path / "out", "--workers", 1)
    assert result.exit_code == ExitCode.BAD_INPUT, result.output
    assert "results" in result.stderr


def test_running_out_of_time_is_no_answer(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for status in ("timeout", "infeasible"):
        store.save(JobResult(digest=status, status=status))
    assert store.load("timeout") is None
    assert store.load("infeasible") is not None
    # Nor is one that an earlier version kept.
    kept = JobResult(digest="old", status="timeout").model_dump_json()
    (tmp_path / "results" / "old.json").write_text(kept)
    assert store.load("old") is None


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_goes_on_where_it_stopped(tmp_path: Path, profile: Profile, number: int) -> None:
    many = {"name": "copy", "profile": "profile.json", "variants": {"spread": {"cpu": 0.1}, "copies": 150}}
    path = write(tmp_path, profile, devices=[many], workloads=SPEC["workloads"][:1], exclude=[])
    results = tmp_path / "out" / "results"
    command = [sys.executable, "-c", "from edgeplan.interface.cli import main; main()", "fleet", path, "-o"]
    run = subprocess.Popen([*map(str, command), str(tmp_path / "out"), "--workers", "1"], stderr=subprocess.PIPE)
    try:
        until(lambda: run.poll() is not None or len(list(results.glob("*.json"))) > 2)
    finally:
        run.send_signal(number)
        _, said = run.communicate(timeout=60)
    assert run.returncode == (ExitCode.INTERRUPTED if number == signal.SIGINT else -number)
    assert b"Traceback" not in said
    kept = {file.name for file in results.glob("*.json")}
    assert 2 < len(kept) < 150
    again = answer("fleet", path, "-o", tmp_path / "out", "--workers", 2)
    assert again["reused"] == len(kept)
    assert again["reused"] + again["solved"] == 150


def until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)
