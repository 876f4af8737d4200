"""Importing the solvers loads no heavy library; each loads on first use."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"numba", "ortools", "pymoo", "scipy", "matplotlib", "pandas", "onnx", "onnxruntime"}


@pytest.mark.parametrize("module", ["edgeplan.solvers", "edgeplan.solvers.fronts", "edgeplan.solvers.fronts.hlps"])
def test_heavy_libraries_wait_for_their_first_use(module: str) -> None:
    script = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/")
    assert loaded.stdout.split() == []
