"""The solvers alone: numpy, pydantic and OR-Tools are enough, and what is missing is named."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("bare_solvers.py")
LIBRARY = ROOT / "docs" / "library.md"
PAGES = (ROOT / "README.md", LIBRARY)
MISSING = (
    *("fastapi", "llvmlite", "numba", "onnx", "onnxruntime", "openvino", "platformdirs", "plotly", "psutil", "pymoo"),
    *("rich", "scipy", "sqlalchemy", "starlette", "typer", "uvicorn", "yaml"),
)
# What a method that cannot run there says to install; every other method runs.
NEEDS = {("front", method): "pymoo" for method in ("nsga2", "spea2")}
# Everything of these but the oracle; `auto` takes its first solver, and says the same.
SCIPY = ("partition", "partition, free", "partition, latency", "throughput", "throughput, small")
OR_TOOLS = ("cp_sat", "mip", "portfolio", "blocks")


def asked(*arguments: str | Path, python: str | Path = sys.executable, folder: str | Path = "/") -> dict[str, Any]:
    """What the script says where these are missing."""
    command = [str(python), str(SCRIPT), *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def needed(problem: str, method: str) -> str | None:
    if problem in SCIPY and (problem.startswith("throughput") or method != "brute_force"):
        return "scipy"
    return NEEDS.get((problem, method))


def hold(said: dict[str, Any]) -> None:
    assert said["loaded"] == []
    assert said["untried"] == []
    assert len(eval(said["examples"]["README.md"])) > 1
    assert "memory" in said["examples"]["library.md"].splitlines()[-1], "the limit that clashes"
    for name, methods in said["came_to"].items():
        assert "auto" in methods
        for method, outcome in methods.items():
            library = needed(name, method)
            if library:
                assert f"pip install {library}" in outcome, (name, method, outcome)
            else:
                assert outcome in ("optimal", "feasible"), (name, method, outcome)
    best = {name for name, methods in said["came_to"].items() if "optimal" in methods.values()}
    assert best == said["came_to"].keys() - {"throughput", "throughput, small"}
    assert "pip install pymoo" in said["functions"].pop("measured_front")
    assert "pip install pyyaml" in said["functions"].pop("Scenario.load")
    assert set(said["functions"].values()) == {"ran"}


def test_every_family_solves_or_names_what_is_missing() -> None:
    hold(asked(*MISSING, *PAGES))


@pytest.mark.slow
def test_without_or_tools_only_its_own_solvers_are_missing() -> None:
    said = asked("ortools")
    for name, methods in said["came_to"].items():
        for method, outcome in methods.items():
            if "pip install" in outcome:
                assert method in (*OR_TOOLS, "auto"), (name, method, outcome)
                assert "pip install ortools" in outcome, (name, method, outcome)
            else:
                assert outcome in ("optimal", "feasible"), (name, method, outcome)
    assert "pip install ortools" in said["came_to"]["plans"]["cp_sat"]
    lacking = {name for name, outcome in said["functions"].items() if "pip install ortools" in outcome}
    assert lacking == {"by_simulation", "choose_columns"}


def test_interpreted_loops_are_said_once() -> None:
    script = (
        "import sys; sys.modules['numba'] = None\n"
        "from edgeplan.solvers import solve\n"
        "from edgeplan.solvers.testing import ProblemKind, random_problem\n"
        "[solve(random_problem(ProblemKind(layers=3), seed)) for seed in range(2)]\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd="/", check=False)
    assert said.returncode == 0, said.stderr
    assert said.stderr.count("pip install numba") == 1


@pytest.mark.slow
def test_the_wheel_with_numpy_pydantic_and_ortools_alone(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    (block,) = re.findall(r"```sh\n(pip install numpy.*?)```", LIBRARY.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines():
        pip, *arguments = (str(wheel) if word == "edgeplan" else word for word in shlex.split(line))
        assert pip == "pip"
        subprocess.run([python, "-m", "pip", *arguments, "--quiet"], check=True)
    hold(asked(*PAGES, python=python, folder=tmp_path))
