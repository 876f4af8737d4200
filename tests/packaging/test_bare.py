"""The solvers alone: numpy, pydantic and OR-Tools are enough, and what is missing is named."""

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("bare_solvers.py")
MISSING = (
    *("fastapi", "llvmlite", "numba", "onnx", "onnxruntime", "openvino", "platformdirs", "plotly", "psutil", "pymoo"),
    *("rich", "scipy", "starlette", "typer", "uvicorn", "yaml"),
)
# What a method that cannot run there says to install; every other method runs.
NEEDS = {
    ("front", "nsga2"): "pymoo",
    ("front", "spea2"): "pymoo",
    **{("partition", method): "scipy" for method in ("ideals", "portfolio", "blocks", "cp_sat", "mip", "local_search")},
}


def hold(said: dict[str, Any]) -> None:
    assert said["loaded"] == []
    assert len(eval(said["example"])) > 1
    for name, methods in said["came_to"].items():
        for method, outcome in methods.items():
            needed = "scipy" if name == "throughput" else NEEDS.get((name, method))
            if needed:
                assert f"pip install {needed}" in outcome, (name, method, outcome)
            else:
                assert outcome in ("optimal", "feasible"), (name, method, outcome)
    assert {name for name, methods in said["came_to"].items() if "optimal" in methods.values()} >= {
        *("plan", "plans", "front", "partition", "jobs", "tenancy", "operating points"),
    }


def test_every_family_solves_or_names_what_is_missing() -> None:
    command = [sys.executable, str(SCRIPT), str(ROOT / "README.md"), *MISSING]
    said = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert said.returncode == 0, said.stderr
    hold(json.loads(said.stdout))


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
    install = [python, "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, "numpy", "pydantic", "ortools"], check=True)
    subprocess.run([*install, "--no-deps", str(wheel)], check=True)
    said = subprocess.run(
        [python, str(SCRIPT), str(ROOT / "README.md")], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert said.returncode == 0, said.stderr
    hold(json.loads(said.stdout))
