"""The built wheel holds every package and works in an environment that has only what it declares."""

import subprocess
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("formulation", "profiles", "solvers", "runtime_bridge", "interface")
# Names of the commands whose help cannot be printed.
HELPED = """
from edgeplan.interface.cli import app
from typer.main import get_command
from typer.testing import CliRunner
print(*(name for name in get_command(app).commands if CliRunner().invoke(app, [name, "--help"]).exit_code))
"""


def test_every_subpackage_is_listed() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    found = {
        "edgeplan." + ".".join(path.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert set(setuptools["packages"]) == found | {"edgeplan"}


@pytest.mark.slow
def test_wheel_holds_every_source_and_data_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wanted = {
        "edgeplan/" + path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - held == set()
    ours = {name for name in held if name.startswith("edgeplan/")}
    assert ours - wanted == {"edgeplan/__init__.py", "edgeplan/py.typed"}
    assert {name.split("/")[0] for name in held} == {"edgeplan", wheel.stem.rsplit("-", 3)[0] + ".dist-info"}


@pytest.mark.slow
def test_wheel_works_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    version = subprocess.run(
        [environment / "bin" / "edgeplan", "--version"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert version.stdout.strip() == f"edgeplan {wheel.name.split('-')[1]}"
    subprocess.run([python, "-c", "import edgeplan.solvers"], check=True, cwd=tmp_path)
    command = [environment / "bin" / "edgeplan", "schema", "scenario"]
    schema = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert schema.stdout.startswith("{")
    helped = subprocess.run([python, "-c", HELPED], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert helped.stdout.split() == [], "commands that do not load"
    # What is built on an extra says which one.
    for name, extra in (("serve", "serve"), ("planner", "planner")):
        command = [environment / "bin" / "edgeplan", name, *(["scenario.yaml"] if name == "serve" else [])]
        refused = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
        assert refused.returncode == 2
        assert f"pip install 'edgeplan[{extra}]'" in refused.stderr
