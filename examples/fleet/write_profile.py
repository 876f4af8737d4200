"""Write board.json: a profile of two made-up networks on a made-up board of four cores, so that the example needs no
measuring. A real fleet has profiles that `edgeplan profile` wrote on one device of each kind.

python examples/fleet/write_profile.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from edgeplan.formulation import Configuration, CostTable, LayerGraph, Memory, Model, Platform, Processor, Provenance
from edgeplan.profiles import Fingerprint, ModelProfile, Profile, ProfileSettings
from edgeplan.profiles.profile import CostData

MIB = 2**20
CORES = (0, 1, 2, 3)
CONFIGURATIONS = tuple(
    Configuration(backend="onnxruntime-cpu", threads=threads, form=form)
    for threads in (1, 2, 4)
    for form in (("mapped", "prepacked") if threads == 1 else ("mapped",))
)
SPEEDUP = {1: 1.0, 2: 1.8, 4: 3.1}
"""Of the layers that run in parallel."""


def network(name: str, layers: list[tuple[str, int, int, float]], session_bytes: int) -> Model:
    """A chain of layers ``(operator, weight bytes, output bytes, one-thread µs)``."""
    graph = LayerGraph.chain(
        name, [(f"{op.lower()}{i}", op, weights, out) for i, (op, weights, out, _) in enumerate(layers)], 600_000
    )
    one_us = np.array([us for *_, us in layers])
    parallel = np.array([op == "Conv" for op, *_ in layers])
    columns = []
    for configuration in CONFIGURATIONS:
        us = np.where(parallel, one_us / SPEEDUP[configuration.threads], one_us)
        columns.append(us * (0.82 if configuration.form == "prepacked" else 1.0))
    costs = CostTable.create(
        CONFIGURATIONS,
        np.column_stack(columns),
        fixed_us=[40.0 + 25.0 * (c.threads > 1) for c in CONFIGURATIONS],
        weight_scale=[2.1 if c.form == "prepacked" else 1.0 for c in CONFIGURATIONS],
        session_bytes=session_bytes,
    )
    return Model(name, graph, costs)


def networks() -> tuple[Model, ...]:
    """A detector that is mostly convolutions, and a classifier with a large last layer."""
    detector = [("Conv", (i + 1) * MIB // 2, 800_000 // (i + 1), 2600.0 - 150 * i) for i in range(8)]
    classifier = [("Conv", MIB // 4, 300_000, 900.0) for _ in range(5)]
    return (
        network("detector", [*detector, ("Concat", 0, 120_000, 700.0)], 3 * MIB),
        network("classifier", [*classifier, ("Gemm", 24 * MIB, 4_000, 1500.0)], 2 * MIB),
    )


def write_profile(path: Path) -> None:
    """Write the profile."""
    platform = Platform(
        name="board",
        processors=(Processor(name="cpu", cores=CORES, memory="ram"),),
        memories=(Memory.model_validate({"name": "ram", "capacity_bytes": 256 * MIB}),),
    )
    Profile(
        models=tuple(
            ModelProfile(
                name=model.name,
                file=f"{model.name}.onnx",
                sha256=model.sha256,
                graph=model.graph.to_dict(),
                cuts=model.cuts.positions,
                costs=CostData.of(model.costs),
            )
            for model in networks()
        ),
        platform=platform,
        fingerprint=Fingerprint(cpu="made up", cpu_key="", cores=CORES, versions={}),
        settings=ProfileSettings(),
        created="2026-01-01T00:00:00Z",
        provenance=Provenance(kind="synthetic", source="examples/fleet/write_profile.py"),
    ).save(path)


if __name__ == "__main__":
    write_profile(Path(__file__).parent / "board.json")
