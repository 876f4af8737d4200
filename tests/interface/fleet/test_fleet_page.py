"""The examples of docs/fleet.md run as they stand."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from edgeplan.interface.exits import ExitCode
from edgeplan.interface.fleet.spec import FleetSpec

from ..test_cli import answer, edgeplan

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_commands_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples" / "fleet", tmp_path / "examples" / "fleet")
    monkeypatch.chdir(tmp_path)
    ran = []
    for line in "".join(blocks("sh")).splitlines():
        name, *arguments = shlex.split(line)
        assert name == "edgeplan"
        ran.append(edgeplan(*arguments))
        assert ran[-1].exit_code == ExitCode.DONE, ran[-1].output
    listed, solved, again = (result.stdout for result in ran)
    assert "to solve" in listed
    assert "0 had answers" in solved
    assert " 0 solved now" in again
    assert "Provenance" in again
    said = answer(*shlex.split(blocks("sh")[0].splitlines()[1])[1:])  # for programs; all has been solved
    assert said["status"] == "done"
    kept = sum(len(workload["plans"]) for workload in said["workloads"])
    assert kept < sum(workload["distinct_plans"] for workload in said["workloads"])


def test_the_fleet_file_is_one() -> None:
    (example,) = blocks("yaml")
    spec = FleetSpec.model_validate(yaml.safe_load(example))
    assert len(spec.devices) == 3
    assert spec.devices[2].variants is not None


def test_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks("python")
    exec(compile(example, "docs/fleet.md", "exec"), {})
    assert "optimal" in capsys.readouterr().out
