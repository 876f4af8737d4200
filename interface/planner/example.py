"""Something to try the service with: two made-up models on two cores. Its costs are invented, not measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...formulation import Configuration, CostTable, LayerGraph, Memory, Platform, Processor
from ...profiles import Fingerprint, ModelProfile, Profile, ProfileSettings
from ...profiles.profile import CostData

SCENARIO = """\
schema_version: 1
name: two models on two cores
models:
  - name: detector
  - name: classifier
streams:
  - model: detector
    arrival: {kind: periodic, period_us: 50000}
    deadline_us: 45000
  - model: classifier
    arrival: {kind: poisson, rate_hz: 12}
    deadline_us: 120000
limits:
  memory_bytes: {ram: 96 MiB}
"""

_MIB = 2**20
_ONE = Configuration(backend="onnxruntime-cpu", threads=1, form="mapped")
_TWO = Configuration(backend="onnxruntime-cpu", threads=2, form="mapped")
_FAST = Configuration(backend="openvino-cpu", threads=1)


def example_profile() -> dict[str, Any]:
    """A profile for the models of `SCENARIO`, as JSON has it."""
    platform = Platform(
        name="two cores, invented",
        processors=(Processor(name="cpu", cores=(0, 1), memory="ram"),),
        memories=(Memory.model_validate({"name": "ram", "capacity_bytes": 512 * _MIB}),),
    )
    profile = Profile(
        models=(_model("detector", 10, 1400.0), _model("classifier", 14, 2600.0)),
        platform=platform,
        fingerprint=Fingerprint(cpu="invented", cpu_key="", cores=(0, 1), versions={}),
        settings=ProfileSettings(quick=True, backends=("onnxruntime-cpu", "openvino-cpu"), threads=(1, 2)),
        created="2026-01-01T00:00:00+00:00",
        warnings=("Invented costs, to try the service with.",),
    )
    return profile.model_dump(mode="json")


def _model(name: str, n_layers: int, layer_us: float) -> ModelProfile:
    graph = LayerGraph.chain(name, [(f"conv{k}", "Conv", _MIB, _MIB // 4) for k in range(n_layers)], _MIB // 4)
    # Layers differ, a second thread helps some of them more than others, and what is faster on one takes more memory.
    at = np.arange(n_layers)
    us = layer_us * (1.0 + 0.6 * np.sin(1.7 * at))
    two_us, fast_us = us / (1.35 + 0.3 * np.cos(2.3 * at)), us / (1.2 + 0.25 * np.sin(0.9 * at))
    costs = CostTable.create(
        (_ONE, _TWO, _FAST),
        np.column_stack([us, two_us, fast_us]),
        fixed_us=[60.0, 110.0, 80.0],
        weight_scale=[1.0, 1.0, 2.5],
        session_bytes=[_MIB, 1.5 * _MIB, 2 * _MIB],
    )
    return ModelProfile(
        name=name,
        file=f"{name}.onnx",
        sha256="",
        graph=graph.to_dict(),
        cuts=tuple(range(n_layers + 1)),
        costs=CostData.of(costs),
    )
