"""Instance files of the device placement study: what is read, what is refused, and the way back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeplan.formulation import EdgePlanError, GraphError, Partition, PlatformError, ProfileError, evaluate_partition
from edgeplan.profiles import read_dnn_partitioning, write_dnn_partitioning
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = [
    path for place in (ROOT, ROOT.parent) for path in sorted(place.glob("shared/data/dnn-partitioning/*/*/*.json"))
]


def instance(**changes: Any) -> dict[str, Any]:
    """A diamond of four nodes, with every optional key absent somewhere."""
    return {
        "maxSizePerFPGA": 100.0,
        "maxFPGAs": 2,
        "maxCPUs": 1,
        "nodes": [
            {"id": 7, "supportedOnFpga": 1, "cpuLatency": 10, "fpgaLatency": 1, "colorClass": 3, "size": 40},
            {"id": 8, "supportedOnFpga": True, "cpuLatency": 20.5, "fpgaLatency": 2, "colorClass": 3},
            {"id": "nine", "supportedOnFpga": 0, "cpuLatency": 30, "fpgaLatency": 3, "isBackwardNode": 0},
            {"id": 10, "supportedOnFpga": False, "cpuLatency": 5, "fpgaLatency": 0, "isBackwardNode": True, "size": 1},
        ],
        "edges": [
            {"sourceId": 7, "destId": 8, "cost": 0.5},
            {"sourceId": 7, "destId": "nine", "cost": 0.5 + 1e-9},
            {"sourceId": 8, "destId": 10, "cost": 0.25, "size": 3},
            {"sourceId": "nine", "destId": 10, "cost": 0},
        ],
        **changes,
    }


def written(folder: Path, data: object) -> Path:
    path = folder / "diamond.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_every_key_is_read(tmp_path: Path) -> None:
    problem = read_dnn_partitioning(written(tmp_path, instance()))
    assert problem.name == "diamond"
    assert problem.ids == ("7", "8", "nine", "10")
    assert problem.cpu_time.tolist() == [10, 20.5, 30, 5]
    assert problem.accelerator_time.tolist() == [1, 2, np.inf, np.inf]
    assert problem.size_bytes.tolist() == [40, 0, 0, 1]
    assert problem.transfer_time.tolist() == [0.5, 0.25, 0, 0]
    assert problem.edges.tolist() == [[0, 1], [0, 2], [1, 3], [2, 3]]
    assert problem.backward.tolist() == [False, False, False, True]
    assert problem.colour.tolist() == [0, 0, 1, 2]
    assert (problem.n_accelerators, problem.n_cpus, problem.accelerator_bytes) == (2, 1, 100)
    assert (problem.objective, problem.contiguous, problem.blocks) == ("max-load", True, 1)


def test_the_callers_settings_are_kept(tmp_path: Path) -> None:
    data = instance()
    del data["nodes"][3]["isBackwardNode"]
    path = written(tmp_path, data)
    problem = read_dnn_partitioning(path, objective="latency", contiguous=False, blocks=2)
    assert (problem.objective, problem.contiguous, problem.blocks) == ("latency", False, 2)


def edited(path: str, value: object) -> dict[str, Any]:
    """An instance with one value changed, or taken out where the value is Ellipsis."""
    data = instance()
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    holder: Any = data
    for part in way:
        holder = holder[part]
    if value is ...:
        del holder[last]
    else:
        holder[last] = value
    return data


BAD: dict[str, tuple[object, type[EdgePlanError], str]] = {
    "empty": ("", ProfileError, "empty file"),
    "truncated": (json.dumps(instance())[:200], ProfileError, "whole JSON"),
    "not JSON": ("id, cost", ProfileError, "whole JSON"),
    "nested without end": ("[" * 100_000, ProfileError, "JSON"),
    "a list": ([], ProfileError, "expected an object, got a list"),
    "key twice": ('{"maxFPGAs": 1, "maxFPGAs": 2}', ProfileError, "'maxFPGAs' twice"),
    "no nodes key": (edited("nodes", ...), ProfileError, "the key 'nodes'"),
    "nodes is an object": (edited("nodes", {}), ProfileError, "a list"),
    "no node": (instance(nodes=[], edges=[]), GraphError, "at least one node"),
    "node is a number": (edited("nodes.1", 5), ProfileError, "nodes[1]"),
    "no id": (edited("nodes.1.id", ...), ProfileError, "the key 'id'"),
    "id is a list": (edited("nodes.1.id", [1]), ProfileError, "nodes[1].id"),
    "id twice": (edited("nodes.1.id", 7), ProfileError, "7 twice"),
    "id twice, as text": (edited("nodes.1.id", "7"), ProfileError, "7 twice"),
    "no time": (edited("nodes.1.cpuLatency", ...), ProfileError, "cpuLatency"),
    "negative time": (edited("nodes.1.cpuLatency", -1), ProfileError, "got -1"),
    "time is text": (edited("nodes.1.cpuLatency", "20"), ProfileError, "got text"),
    "time is true": (edited("nodes.1.fpgaLatency", True), ProfileError, "true or false"),
    "time is NaN": (edited("nodes.1.cpuLatency", float("nan")), ProfileError, "NaN"),
    "time is infinite": (edited("nodes.1.cpuLatency", float("inf")), ProfileError, "Infinity"),
    "time is too large": (json.dumps(instance()).replace("20.5", "1e999"), ProfileError, "got inf"),
    "time is a long integer": (edited("nodes.1.cpuLatency", 10**400), ProfileError, "got inf"),
    "negative size": (edited("nodes.0.size", -40), ProfileError, "size of node 7"),
    "flag is text": (edited("nodes.0.supportedOnFpga", "yes"), ProfileError, "supportedOnFpga of node 7"),
    "no flag": (edited("nodes.0.supportedOnFpga", ...), ProfileError, "supportedOnFpga"),
    "colour is a fraction": (edited("nodes.0.colorClass", 0.5), ProfileError, "colorClass of node 7"),
    "unknown id": (edited("edges.0.destId", 99), GraphError, "99"),
    "edge without cost": (edited("edges.0.cost", ...), ProfileError, "edges[0]"),
    "negative cost": (edited("edges.0.cost", -0.5), ProfileError, "edges[0].cost"),
    "two costs of one source": (edited("edges.1.cost", 0.6), ProfileError, "0.5 and 0.6"),
    "cycle": (edited("edges.0", {"sourceId": 10, "destId": 7, "cost": 0}), GraphError, "cycle"),
    "edge to itself": (edited("edges.0", {"sourceId": 7, "destId": 7, "cost": 0.5}), GraphError, "cycle"),
    "negative devices": (edited("maxFPGAs", -1), ProfileError, "maxFPGAs"),
    "half a device": (edited("maxCPUs", 0.5), ProfileError, "whole number"),
    "too many devices": (edited("maxFPGAs", 10**9), ProfileError, "at most 65536"),
    "huge time": (edited("nodes.1.cpuLatency", 1e300), ProfileError, "got 1e+300"),
    "no device": (instance(maxFPGAs=0, maxCPUs=0), PlatformError, "at least one device"),
    "no memory key": (edited("maxSizePerFPGA", ...), ProfileError, "maxSizePerFPGA"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_with_a_remedy(case: str, tmp_path: Path) -> None:
    data, kind, said = BAD[case]
    with pytest.raises(kind) as refusal:
        read_dnn_partitioning(written(tmp_path, data))
    assert said in str(refusal.value)
    assert refusal.value.remedy


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ProfileError, match="readable"):
            read_dnn_partitioning(path)
    path = tmp_path / "latin.json"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(ProfileError, match="readable"):
        read_dnn_partitioning(path)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_written_instance_is_read_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    transfer = rng.random(n)
    data = {
        "maxSizePerFPGA": float(rng.random() * 50),
        "maxFPGAs": int(rng.integers(0, 3)),
        "maxCPUs": int(rng.integers(1, 3)),
        "nodes": [
            {
                "id": i,
                "supportedOnFpga": int(rng.integers(2)),
                "cpuLatency": float(rng.random()),
                "fpgaLatency": float(rng.random()),
                "isBackwardNode": bool(rng.integers(2)),
                "colorClass": int(rng.integers(3)),
                "size": float(rng.random()),
            }
            for i in range(n)
        ],
        "edges": [
            {"sourceId": u, "destId": v, "cost": float(transfer[u])}
            for u in range(n)
            for v in range(u + 1, n)
            if rng.random() < 0.4
        ],
    }
    folder = tmp_path_factory.mktemp("instances")
    first = read_dnn_partitioning(written(folder, data), contiguous=False)
    write_dnn_partitioning(first, folder / "again.json")
    second = read_dnn_partitioning(folder / "again.json", contiguous=False)
    assert second.ids == first.ids
    for part in ("cpu_time", "accelerator_time", "size_bytes", "transfer_time", "edges", "backward", "colour"):
        assert np.array_equal(getattr(first, part), getattr(second, part)), part
    assert second.accelerator_bytes == first.accelerator_bytes
    assert (second.n_accelerators, second.n_cpus) == (first.n_accelerators, first.n_cpus)


def test_memory_without_limit_cannot_be_written(tmp_path: Path) -> None:
    problem = read_dnn_partitioning(written(tmp_path, instance())).replace(accelerator_bytes=float("inf"))
    with pytest.raises(ProfileError, match="finite memory"):
        write_dnn_partitioning(problem, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


@pytest.mark.skipif(not PUBLISHED, reason="the published instances are data of others that is not in this repository")
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: "-".join(path.parts[-3:]))
def test_published_instances_are_read_whole(path: Path) -> None:
    data = json.loads(path.read_text())
    problem = read_dnn_partitioning(path)
    assert problem.n_nodes == len(data["nodes"])
    assert len(problem.edges) == len({(e["sourceId"], e["destId"]) for e in data["edges"]})
    assert problem.cpu_time.sum() == pytest.approx(sum(node["cpuLatency"] for node in data["nodes"]))
    # Everything on one CPU core moves nothing: the load is the sum of the CPU times.
    all_on_cpu = Partition.of(np.full(problem.n_nodes, problem.n_accelerators))
    evaluation = evaluate_partition(problem, all_on_cpu)
    assert evaluation.feasible
    assert evaluation.objective == pytest.approx(problem.cpu_time.sum())
