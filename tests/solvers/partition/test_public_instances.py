"""The published instances: optima that others proved too, found and proven again through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from edgeplan.formulation import Partition, evaluate_partition
from edgeplan.interface.cli import app
from edgeplan.profiles import read_dnn_partitioning
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = [folder / "shared" / "data" / "dnn-partitioning" for folder in (ROOT, ROOT.parent)]
DATA = next((folder for folder in FOLDERS if folder.is_dir()), None)
pytestmark = pytest.mark.skipif(
    DATA is None, reason="the published instances are data of others that is not in this repository (shared/data)"
)

CONTIGUOUS = {
    "LayerGraphs/bert24_inference": 17.789906,
    "LayerGraphs/bert24_training": 41.745812,
    "LayerGraphs/resnet50_inference": 33.774666,
    "LayerGraphs/resnet50_training": 78.631812,
    "OperatorGraphs/bert_l-3_inference": 27.918568,
    "OperatorGraphs/bert_l-3_training": 65.303149,
    "OperatorGraphs/resnet50_inference": 124.348850,
}
FREE = {
    "LayerGraphs/bert24_training": 39.7895,
    "OperatorGraphs/bert_l-3_inference": 21.9084,
    "OperatorGraphs/resnet50_inference": 124.349,
}
LATENCY = {
    "LayerGraphs/bert24_inference": 100.219,
    "LayerGraphs/resnet50_inference": 1156.9,
    "OperatorGraphs/bert_l-3_inference": 408.474,
}


def answer(path: Path, *options: str) -> dict:
    command = ["solve", str(path), "--seed", "1", "--format", "json", *options]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def checked(path: Path, found: dict, **variant: object) -> None:
    """The assignment, read back by name, is scored anew."""
    problem = read_dnn_partitioning(path, **variant)
    device = {problem.device_name(d): d for d in range(problem.n_accelerators + max(problem.n_cpus, 1))}
    partition = Partition.of([device[found["assignment"][node]] for node in problem.ids])
    evaluation = evaluate_partition(problem, partition)
    assert evaluation.feasible
    assert evaluation.objective == pytest.approx(found["objective"], rel=1e-12)
    assert found["bound"] <= found["objective"]


@pytest.mark.parametrize("name", CONTIGUOUS)
def test_contiguous(name: str) -> None:
    path = DATA / "throughput" / f"{name}.json"
    found = answer(path, "--objective", "max-load", "--contiguous")
    assert found["status"] == "optimal"
    assert found["objective"] == pytest.approx(CONTIGUOUS[name], abs=1e-6)
    checked(path, found)


@pytest.mark.slow
@pytest.mark.parametrize("name", FREE)
def test_free(name: str) -> None:
    path = DATA / "throughput" / f"{name}.json"
    found = answer(path, "--objective", "max-load", "--non-contiguous", "--time-limit", "30")
    assert found["status"] == "optimal"
    assert found["objective"] == pytest.approx(FREE[name], rel=5e-6)
    checked(path, found, contiguous=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", LATENCY)
def test_latency(name: str) -> None:
    path = DATA / "latency" / f"{name}.json"
    found = answer(path, "--objective", "latency", "--time-limit", "3")
    assert found["objective"] <= LATENCY[name] * (1 + 1e-4)
    checked(path, found, objective="latency")


def test_several_blocks_are_named_beside_their_device() -> None:
    path = DATA / "latency" / "LayerGraphs" / "bert24_inference.json"
    found = answer(path, "--objective", "latency", "--blocks", "2", "--time-limit", "2")
    assert set(found["blocks"]) == set(found["assignment"])
    assert set(np.unique(list(found["blocks"].values()))) <= {0, 1}
