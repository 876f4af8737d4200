"""Examples in docs/planner.md run, and its command lines have the options that they name."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
from edgeplan.formulation import Plan
from edgeplan.interface.cli import app
from edgeplan.interface.planner.database import BUSY_S
from edgeplan.interface.planner.limits import PlannerLimits

from .loopback import served

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "planner.md").read_text(encoding="utf-8")


@pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "curl", "jq"))), reason="the examples are for bash with curl and jq"
)
def test_the_examples_of_the_shell_run(tmp_path: Path) -> None:
    script = "set -eu -o pipefail\n" + "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL))
    with served(tmp_path) as service:
        ran = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PLANNER": service.address},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    Plan.model_validate(json.loads((tmp_path / "plan.json").read_text()))
    assert "<html" in (tmp_path / "report.html").read_text()
    assert "event: progress" in (tmp_path / "events.txt").read_text()
    assert re.search(r"detector: \d+ points", ran.stdout)


def test_the_example_in_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "planner.md", "exec"), {})
    assert "nothing below" in capsys.readouterr().out


def test_command_lines_exist_and_limits_are_as_said() -> None:
    command = typer.main.get_command(app).commands["planner"]
    lines = [shlex.split(line) for line in re.findall(r"^    (edgeplan planner.*)$", PAGE, re.MULTILINE)]
    assert len(lines) > 2
    for words in lines:
        used = command.commands["worker"] if words[2:3] == ["worker"] else command
        known = {option for parameter in used.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known
    everything = {o for c in (command, command.commands["worker"]) for p in c.params for o in p.opts}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= everything
    limits = PlannerLimits()
    assert f"`--lease` seconds ({limits.lease_s:g})" in PAGE
    assert f"`--keep-days` ({limits.keep_days:g}), `--keep-jobs` ({limits.keep_jobs})" in PAGE
    assert limits.max_attempts == 3
    assert f"{limits.max_streams} clients follow events" in PAGE
    assert f"({limits.max_scenario_bytes // 1024} KiB)" in PAGE
    assert f"({limits.max_cells:,})" in PAGE
    assert f"longer than {BUSY_S:g} s" in PAGE
