"""The page on reports: its commands and its example run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from edgeplan.interface.cli import app
from edgeplan.interface.exits import ExitCode
from typer.testing import CliRunner

if TYPE_CHECKING:
    from .conftest import Files

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.strip().splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(files: Files, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "/* plotly */")
    files.scenario()
    monkeypatch.chdir(files.folder)
    name, *arguments = shlex.split(command)
    assert name == "edgeplan"
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == ExitCode.DONE, result.output


def test_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/reports.md", "exec"), {})
    assert re.fullmatch(r"p99 \d+ ± \d+ µs\n", capsys.readouterr().out)


def test_every_option_is_on_the_page() -> None:
    said = CliRunner().invoke(app, ["report", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).stdout
    options = set(re.findall(r"--[a-z][a-z-]+", said)) - {"--help", "--fronts"}
    assert options - set(re.findall(r"--[a-z][a-z-]+", PAGE)) == {"--output"}
