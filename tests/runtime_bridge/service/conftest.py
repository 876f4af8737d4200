"""Two small real models that take any batch, with made-up costs: what the service does with them is real."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from edgeplan.formulation import (
    Configuration,
    CostTable,
    Memory,
    Model,
    PlannedSegment,
    Platform,
    Problem,
    Processor,
    SolverStamp,
)
from edgeplan.formulation.throughput import Instance, ModelService, ServicePlan
from edgeplan.profiles import import_onnx, model_sha256
from onnx import TensorProto, helper, numpy_helper

CORES = tuple(sorted(os.sched_getaffinity(0)))[:2]
BATCHES = (1, 2, 4)
ORT = Configuration(backend="onnxruntime-cpu", form="mapped")
PLATFORM = Platform(
    name="test",
    processors=(Processor(name="cpu", cores=CORES, memory="host"),),
    memories=(Memory(name="host", capacity_bytes=2**32),),
)


def write_lookup(path: Path, seed: int, batch: int | None = None) -> Path:
    """Rows of a table by index, then a matrix product: an index outside the table fails as it runs."""
    rng = np.random.default_rng(seed)
    table = numpy_helper.from_array(rng.normal(size=(5, 16)).astype(np.float32), "table")
    matrix = numpy_helper.from_array(rng.normal(size=(16, 3)).astype(np.float32), "matrix")
    nodes = [
        helper.make_node("Gather", ["table", "index"], ["rows"], "gather"),
        helper.make_node("MatMul", ["rows", "matrix"], ["product"], "matmul"),
        helper.make_node("Relu", ["product"], ["answer"], "relu"),
    ]
    size = batch or "N"
    graph = helper.make_graph(
        nodes,
        "lookup",
        [helper.make_tensor_value_info("index", TensorProto.INT64, [size, 2])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [size, 2, 3])],
        [table, matrix],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def model_of(name: str, path: Path, configurations: Sequence[Configuration], layer_us: float = 50.0) -> Model:
    """A model whose batches of b take b times a layer's time, and 20 µs."""
    graph = import_onnx(path)
    costs = np.array([[layer_us * c.batch for c in configurations]] * graph.n_layers)
    return Model(name, graph, CostTable.create(configurations, costs, fixed_us=20.0), model_sha256(path))


def batched(*configurations: Configuration) -> list[Configuration]:
    return [c.model_copy(update={"batch": batch}) for c in configurations for batch in BATCHES]


def instance(
    model: Model,
    cores: tuple[int, ...] = CORES[:1],
    batch: int = 4,
    configuration: Configuration = ORT,
    pieces: int = 1,
) -> Instance:
    """The model in as many pieces."""
    bounds = [model.graph.n_layers * k // pieces for k in range(pieces + 1)]
    used = configuration.model_copy(update={"batch": batch})
    return Instance(
        segments=tuple(
            PlannedSegment(start=a, stop=b, configuration=used, cores=cores) for a, b in itertools.pairwise(bounds)
        )
    )


def plan_of(
    problem: Problem, instances: Mapping[str, Sequence[Instance]], max_batch: int = 4, window_us: float = 0.0
) -> ServicePlan:
    return ServicePlan(
        services=tuple(
            ModelService(
                model=m.name,
                sha256=m.sha256,
                instances=tuple(instances[m.name]),
                max_batch=max_batch,
                window_us=window_us,
            )
            for m in problem.models
        ),
        solver=SolverStamp(method="hand", status="feasible"),
    )


def unbatched(path: Path, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    values = session.run(None, dict(feeds))
    return dict(zip([o.name for o in session.get_outputs()], values, strict=True))


@dataclass(frozen=True)
class Lookups:
    """Two models, the problem they make, and requests for them."""

    problem: Problem
    files: dict[str, Path]

    def feeds(self, seed: int = 0) -> dict[str, np.ndarray]:
        return {"index": np.random.default_rng(seed).integers(0, 5, (1, 2))}

    @property
    def broken(self) -> dict[str, np.ndarray]:
        return {"index": np.array([[0, 99]])}

    def plan(self, max_batch: int = 4, window_us: float = 0.0, pieces: int = 1, copies: int = 1) -> ServicePlan:
        instances = {m.name: [instance(m, pieces=pieces)] * copies for m in self.problem.models}
        return plan_of(self.problem, instances, max_batch, window_us)

    def expected(self, model: str, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        return unbatched(self.files[model], feeds)["answer"]


@pytest.fixture(scope="session")
def lookups(tmp_path_factory: pytest.TempPathFactory) -> Lookups:
    folder = tmp_path_factory.mktemp("lookups")
    files = {name: write_lookup(folder / f"{name}.onnx", seed) for seed, name in enumerate(("left", "right"))}
    models = tuple(model_of(name, path, batched(ORT)) for name, path in files.items())
    return Lookups(Problem(models, PLATFORM, objective="latency"), files)
