"""Small real models with synthetic costs: what the bridge does with them is real, only the predictions are made up."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from edgeplan.formulation import (
    Configuration,
    CostTable,
    Limits,
    Memory,
    Model,
    ModelPlan,
    Periodic,
    Plan,
    PlannedSegment,
    Platform,
    Problem,
    Processor,
    SolverStamp,
    Stream,
)
from edgeplan.profiles import import_onnx, model_sha256
from onnx import TensorProto, helper, numpy_helper

CORES = tuple(sorted(os.sched_getaffinity(0)))[:2]
ORT = Configuration(backend="onnxruntime-cpu", form="mapped")
GANG = Configuration(backend="onnxruntime-cpu", form="mapped", threads=len(CORES))


def pytest_configure() -> None:
    """Keep compiled loops over all test runs: tests put the rest of the cache where nothing of an earlier run is."""
    os.environ.setdefault("NUMBA_CACHE_DIR", str(Path("~/.cache/edgeplan/compiled").expanduser()))


def write_model(path: Path, seed: int, depth: int = 4, skips: bool = True) -> Path:
    """A chain of convolutions; a skip connection over each lets some cuts be crossed by two tensors."""
    rng = np.random.default_rng(seed)
    nodes, weights, current = [], [], "image"
    for k in range(depth):
        kernel = (rng.normal(size=(8, 8, 3, 3)) / 9).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"kernel{k}"))
        nodes.append(helper.make_node("Conv", [current, f"kernel{k}"], [f"conv{k}"], f"conv{k}", pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"conv{k}"], [f"relu{k}"], f"relu{k}"))
        if skips:
            nodes.append(helper.make_node("Add", [f"relu{k}", current], [f"sum{k}"], f"add{k}"))
        current = f"sum{k}" if skips else f"relu{k}"
    shape = [1, 8, 12, 12]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(current, TensorProto.FLOAT, shape)],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@dataclass(frozen=True)
class Toys:
    """Two models, the problem they make, and their answers without any plan."""

    problem: Problem
    files: dict[str, Path]

    def feeds(self, seed: int = 0) -> dict[str, np.ndarray]:
        return {"image": np.random.default_rng(seed).normal(size=(1, 8, 12, 12)).astype(np.float32)}

    def unsplit(self, model: str, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        session = onnxruntime.InferenceSession(str(self.files[model]), providers=["CPUExecutionProvider"])
        return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))

    def plan(self, cut: Callable[[int], list[tuple[int, int, Configuration]]]) -> Plan:
        parts = []
        for model in self.problem.models:
            segments = tuple(
                PlannedSegment(start=a, stop=b, configuration=c, cores=CORES if c.threads > 1 else CORES[:1])
                for a, b, c in cut(model.graph.n_layers)
            )
            parts.append(ModelPlan(model=model.name, sha256=model.sha256, segments=segments))
        return Plan(models=tuple(parts), solver=SolverStamp(method="hand", status="feasible"))

    def whole(self) -> Plan:
        return self.plan(lambda n: [(0, n, ORT)])

    def halved(self) -> Plan:
        return self.plan(lambda n: [(0, n // 2, ORT), (n // 2, n, ORT)])


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Toys:
    folder = tmp_path_factory.mktemp("toys")
    patch = pytest.MonkeyPatch()
    patch.setenv("EDGEPLAN_CACHE", str(folder / "cache"))
    files = {name: write_model(folder / f"{name}.onnx", seed) for seed, name in enumerate(("left", "right"))}
    models = []
    for name, path in files.items():
        graph = import_onnx(path)
        costs = CostTable.create(
            [ORT, GANG] if len(CORES) > 1 else [ORT],
            np.full((graph.n_layers, min(2, len(CORES))), 50.0),
            fixed_us=20.0,
        )
        models.append(Model(name, graph, costs, model_sha256(path)))
    platform = Platform(
        name="test",
        processors=(Processor(name="cpu", cores=CORES, memory="host"),),
        memories=(Memory(name="host", capacity_bytes=2**30),),
    )
    streams = tuple(
        Stream(model=name, arrival=Periodic(period_us=20_000), deadline_us=500_000, percentile=0.9) for name in files
    )
    return Toys(Problem(tuple(models), platform, streams, Limits(max_utilisation=1.0)), files)
