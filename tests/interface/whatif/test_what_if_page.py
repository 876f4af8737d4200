"""The examples of docs/what-if.md run as they stand."""

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
    from ..conftest import Files

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "what-if.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.strip().splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(files: Files, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files.scenario(limits={"memory_bytes": {"ram": "8 MiB"}}).rename(files.folder / "tight.yaml")
    files.scenario()
    monkeypatch.chdir(files.folder)
    name, *arguments = shlex.split(command)
    assert name == "edgeplan"
    result = CliRunner().invoke(app, arguments)
    expected = ExitCode.INFEASIBLE if "tight.yaml" in arguments else ExitCode.DONE
    assert result.exit_code == expected, result.output


def test_python_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/what-if.md", "exec"), {})
