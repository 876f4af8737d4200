"""Whatever is in a file of another tool, its reader either reads it or refuses it with a remedy: nothing else."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edgeplan.formulation import EdgePlanError
from edgeplan.profiles import read_dnn_partitioning
from edgeplan.profiles.imports import import_onert, import_tensorrt, read_onert_front
from onnx import TensorProto, helper

STRANGE = [
    None,
    True,
    False,
    0,
    1,
    -1,
    0.5,
    -0.0,
    1e-320,
    1e300,
    2**70,
    -(2**70),
    "",
    "0",
    "a\x00b",
    "é" * 300,
    "{}",
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"0": []},
    [[1, 2]],
    [[2, 1], [1, 2]],
]
DOCUMENTS: dict[str, Any] = {
    "instance": {
        "maxSizePerFPGA": 100,
        "maxFPGAs": 1,
        "maxCPUs": 1,
        "nodes": [
            {"id": 0, "supportedOnFpga": 1, "cpuLatency": 10, "fpgaLatency": 1, "size": 40, "colorClass": 1},
            {"id": 1, "supportedOnFpga": 0, "cpuLatency": 6, "fpgaLatency": 1, "isBackwardNode": True},
        ],
        "edges": [{"sourceId": 0, "destId": 1, "cost": 0.5}],
    },
    "times": {
        "cpu": {"ReLU": {"0": [[0, 10], [9, 20]]}, "Logistic": {"0": [[0, 10]]}, "acl_cl": {"0": [[5, 3], [9, 4]]}},
        "acl_cl": {"ReLU": {"0": [[0, 4]]}, "cpu": {"0": [[5, 3]]}},
    },
    "front": {
        "mode": "name",
        "sample_cnt": 3,
        "configs": {"0": "BACKENDS=cpu OP_BACKEND_ReLU=cpu", "1": 'OP_BACKEND_MAP="0=cpu"'},
        "oplist": ["ReLU"],
        "solutions": [{"id": 0, "exec_time": 7.5, "max_rss": 100}, {"id": 1, "exec_time": 2.5, "max_rss": 900}],
    },
    "engine": [
        {"count": 10},
        {"name": "first + second", "timeMs": 5, "averageMs": 0.5, "medianMs": 0.4, "percentage": 50},
        {"name": "third", "timeMs": 5, "averageMs": 0.5, "medianMs": 0.4, "percentage": 50},
    ],
}


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[Path], object]]:
    names = ["data", "a", "b", "out"]
    graph = helper.make_graph(
        [
            helper.make_node(op, [names[k]], [names[k + 1]], name)
            for k, (op, name) in enumerate([("Relu", "first"), ("Sigmoid", "second"), ("Relu", "third")])
        ],
        "toy",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 8])],
    )
    model = tmp_path_factory.mktemp("model") / "toy.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    model.write_bytes(made.SerializeToString())
    return {
        "instance": read_dnn_partitioning,
        "times": lambda path: import_onert(path, model).to_models(),
        "front": read_onert_front,
        "engine": lambda path: (import_tensorrt(path, model).to_models(), import_tensorrt(path).to_models()),
    }


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder and key in a document."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(item, dict | list):
            yield from places(item)


def mutants(document: Any, seed: int) -> Iterator[Any]:
    """The document with each value exchanged, taken out or given twice, and some with two changes."""
    count = len(list(places(document)))
    for at in range(count):
        for strange in STRANGE:
            changed = copy.deepcopy(document)
            holder, key = list(places(changed))[at]
            holder[key] = strange
            yield changed
        changed = copy.deepcopy(document)
        holder, key = list(places(changed))[at]
        if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            del holder[key]
        yield changed
    rng = random.Random(seed)
    for _ in range(100):
        changed = copy.deepcopy(document)
        for _ in range(3):
            holder, key = rng.choice(list(places(changed)) or [(changed, 0)])
            holder[key] = copy.deepcopy(rng.choice(STRANGE))
        yield changed


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_changed_files_are_read_or_refused(
    kind: str, readers: dict[str, Callable[[Path], object]], tmp_path: Path
) -> None:
    path = tmp_path / "foreign.json"
    path.write_text(json.dumps(DOCUMENTS[kind]))
    readers[kind](path)
    refusals: list[EdgePlanError] = []
    for changed in mutants(DOCUMENTS[kind], seed=1):
        path.write_text(json.dumps(changed))
        try:
            readers[kind](path)
        except EdgePlanError as error:
            refusals.append(error)
    assert len(refusals) > 100
    assert all(error.remedy and len(str(error)) < 2000 for error in refusals)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_files_cut_short_anywhere_are_refused(
    kind: str, readers: dict[str, Callable[[Path], object]], tmp_path: Path
) -> None:
    path = tmp_path / "foreign.json"
    text = json.dumps(DOCUMENTS[kind])
    for length in range(0, len(text), 2):
        path.write_text(text[:length])
        with pytest.raises(EdgePlanError):
            readers[kind](path)
