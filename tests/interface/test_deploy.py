"""The unit and the image start what there is."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer
from edgeplan.interface.cli import app

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNITS = {path.name: path.read_text(encoding="utf-8") for path in sorted(DEPLOY.glob("*.service"))}
IMAGE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def refuse_unknown(words: list[str]) -> str:
    """Check that a command line is one of ``edgeplan`` with options that it has; the command's name."""
    assert Path(words[0]).name == "edgeplan"
    command = typer.main.get_command(app).commands[words[1]]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known
    return words[1]


def test_what_is_started_exists() -> None:
    commands = {}
    for name, unit in UNITS.items():
        (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
        commands[name] = refuse_unknown(shlex.split(line))
    assert commands == {"edgeplan.service": "serve", "edgeplan-planner.service": "planner"}
    (image,) = re.findall(r"^ENTRYPOINT (.*)$", IMAGE, re.MULTILINE)
    assert refuse_unknown(json.loads(image)) == "serve"


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="asks systemd-analyze, which comes with systemd and is not installed",
)
@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_unit(tmp_path: Path, name: str) -> None:
    unit = tmp_path / name
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNITS[name]))  # it looks for the program
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_image_is_built_from_what_it_needs() -> None:
    """Whatever the build reads is let through to it."""
    let_through = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    root = DEPLOY.parent
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {folder.split("/")[0] for folder in project["tool"]["setuptools"]["package-dir"].values()}
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"], *folders}
    assert needed == {name[1:] for name in let_through if name.startswith("!")}
    assert all((root / name).exists() for name in needed)
