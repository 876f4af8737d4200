"""`edgeplan solve` on a small instance of its own: answers, exit codes, bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from edgeplan.interface.cli import app
from typer.testing import CliRunner

NODES = [
    {"id": i, "supportedOnFpga": 1, "cpuLatency": 10.0, "fpgaLatency": 1.0 + i, "isBackwardNode": 0, "size": 4}
    for i in range(4)
]
EDGES = [{"sourceId": i, "destId": i + 1, "cost": 0.25} for i in range(3)]
INSTANCE = {"maxSizePerFPGA": 100, "maxFPGAs": 2, "maxCPUs": 1, "nodes": NODES, "edges": EDGES}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "chain.json"
    path.write_text(json.dumps(INSTANCE))
    return path


def test_one_object_for_programs(file: Path) -> None:
    result = CliRunner().invoke(app, ["solve", str(file), "--format", "json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert {"status", "objective", "bound", "gap", "runtime_s", "method", "assignment"} <= set(found)
    assert (found["status"], found["objective"], found["gap"]) == ("optimal", 6.25, 0.0)
    assert sorted(found["loads"].values()) == [0.0, 4.25, 6.25]
    assert set(found["assignment"]) == {"0", "1", "2", "3"}


@pytest.mark.parametrize("options", [["--non-contiguous"], ["--objective", "latency"]])
def test_a_table_for_people(file: Path, options: list[str]) -> None:
    result = CliRunner().invoke(app, ["solve", str(file), *options, "--time-limit", "5"])
    assert result.exit_code == 0
    assert "accelerator-1" in result.stdout
    assert "Optimal" in result.stdout


def test_infeasible_and_bad_input_have_their_own_exit_codes(file: Path) -> None:
    file.write_text(json.dumps({**INSTANCE, "maxCPUs": 0, "maxSizePerFPGA": 7}))
    result = CliRunner().invoke(app, ["solve", str(file), "--format", "json"])
    assert result.exit_code == 3
    assert json.loads(result.stdout)["clashes"]
    file.write_text("{")
    result = CliRunner().invoke(app, ["solve", str(file), "--format", "json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["status"] == "bad_input"
    result = CliRunner().invoke(app, ["solve", str(file), "--method", "simplex"])
    assert result.exit_code == 2


def test_a_method_that_does_not_fit_is_refused(file: Path) -> None:
    result = CliRunner().invoke(app, ["solve", str(file), "--objective", "latency", "--method", "ideals"])
    assert result.exit_code == 2
    assert "blocks" in result.stderr
