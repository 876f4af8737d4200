"""Options of `edgeplan planner`, and the unit that starts it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
from edgeplan.interface.cli import app
from typer.testing import CliRunner

UNIT = (Path(__file__).resolve().parents[3] / "deploy" / "edgeplan-planner.service").read_text(encoding="utf-8")


def test_options_of_the_server_are_not_taken_for_the_worker_s() -> None:
    refused = CliRunner().invoke(app, ["planner", "--lease", "5", "--workers", "2", "worker", "--store", "none.db"])
    assert refused.exit_code == 2
    assert "--lease" in refused.output
    assert "planner worker" in refused.output


def test_what_the_unit_starts_exists() -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    words = shlex.split(line)
    assert [Path(words[0]).name, words[1]] == ["edgeplan", "planner"]
    command = typer.main.get_command(app).commands["planner"]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="asks systemd-analyze, which comes with systemd and is not installed",
)
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "edgeplan-planner.service"
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT))  # it looks whether the program is there
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
