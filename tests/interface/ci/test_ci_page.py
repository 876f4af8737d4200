"""The page on continuous integration: its commands run in order, its script and its job end well."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from edgeplan.interface.figures import FIGURES
from edgeplan.interface.lock import Lock
from edgeplan.profiles import Profile

from ..test_cli import edgeplan

PAGE = Path(__file__).resolve().parents[3] / "docs" / "ci.md"
TEXT = PAGE.read_text(encoding="utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
(JOB,) = re.findall(r"```yml\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def project(tmp_path: Path, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page speaks of."""
    names = ("camera", "squeezenet")
    models = tuple(model.model_copy(update={"name": name}) for model, name in zip(profile.models, names, strict=True))
    profile.model_copy(update={"models": models}).save(tmp_path / "profile.json")
    scenario = {
        "name": "camera and classifier",
        "profile": "profile.json",
        "models": [{"name": name} for name in names],
        "streams": [
            {"model": "camera", "arrival": {"kind": "periodic", "period_us": 50000}, "deadline_us": 40000},
            {"model": "squeezenet", "arrival": {"kind": "poisson", "rate_hz": 8}, "deadline_us": 120000},
        ],
        "limits": {"memory_bytes": {"ram": "128 MiB"}},
    }
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_commands_of_the_page_end_well(project: Path) -> None:
    lines = [line for block in SHELL for line in block.splitlines() if line.startswith("edgeplan ")]
    assert {line.split()[1] for line in lines} == {"plan", "check", "diff"}
    for line in lines:
        arguments = shlex.split(line.partition(" > ")[0].partition(" || ")[0])
        result = edgeplan(*arguments[1:])
        assert result.exit_code == 0, f"{line}\n{result.output}"
    assert Lock.load(project / "plan.lock.json").reproducible


@pytest.mark.slow
def test_shell_blocks_and_the_job_run_as_they_stand(project: Path) -> None:
    for block in SHELL:
        done = shell(block, project)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    constraints = (project / "constraints.txt").read_text().splitlines()
    assert any(line.startswith("ortools==") for line in constraints)
    steps = [step["run"] for step in yaml.safe_load(JOB)["jobs"]["plan"]["steps"] if "run" in step]
    (project / "planned.json").unlink()
    ours = [step for step in steps if step.startswith("edgeplan ")]
    assert len(ours) == 2
    for step in ours:
        done = shell(step, project)
        assert done.returncode == 0, f"{step}\n{done.stdout}\n{done.stderr}"
    assert (project / "planned.json").exists()


@pytest.mark.slow
def test_the_script_fails_where_an_input_changed(project: Path) -> None:
    for block in SHELL:
        if "--lock " in block:
            assert shell(block, project).returncode == 0
    scenario = project / "scenario.yaml"
    scenario.write_text(scenario.read_text().replace("rate_hz: 8", "rate_hz: 9"))
    (project / "planned.json").write_bytes((project / "plan.json").read_bytes())  # of an earlier run
    (script,) = (block for block in SHELL if block.startswith("#!"))
    done = shell(script, project)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "scenario" in done.stderr
    assert not (project / "planned.json").exists(), "nothing stale is looked at"


def test_every_figure_is_on_the_page() -> None:
    for name in FIGURES:
        assert f"`{name}`" in TEXT or f"`{name}." in TEXT
