"""Two small real models and an accelerator with made-up costs: what the runtime does with them is real."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import onnxruntime
import pytest
from edgeplan.formulation.tenancy import Accelerator, Allocation, TenancyProblem, Tenant, TenantAllocation
from edgeplan.runtime_bridge.tenancy import TenantModel

from ...conftest import write_model

CORES = tuple(sorted(os.sched_getaffinity(0)))
ACCELERATOR, CPU = CORES[-1:], CORES[:1]
needs_two_cores = pytest.mark.skipif(
    len(CORES) < 2, reason="one core stands in for the accelerator and another serves, and there is one"
)
SHAPE = (1, 8, 12, 12)


def feeds(seed: int = 0) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)}


@dataclass(frozen=True)
class Pair:
    """Two tenants cut in five places, and what they answer unsplit."""

    models: dict[str, TenantModel]
    accelerator: Accelerator

    def problem(self, cpu_cores: int = 1, **changes: object) -> TenancyProblem:
        """The device reloads in 2 ms and hands over in 0.5 ms; what prefixes and suffixes take is of no account."""
        tenants = []
        for name, model in self.models.items():
            n = len(model.positions)
            weights = np.concatenate([[0], np.cumsum(model.graph.weight_bytes)])[list(model.positions)]
            tenants.append(
                Tenant.create(name, np.linspace(0, 300, n), np.linspace(300, 0, n), weights, speedup=(1.0, 1.5))
            )
        device = self.accelerator.model_copy(update=changes)
        return TenancyProblem.create(tenants, [10.0] * len(tenants), device, cpu_cores)

    def unsplit(self, tenant: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        session = onnxruntime.InferenceSession(str(self.models[tenant].path), providers=["CPUExecutionProvider"])
        return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))


def allocate(left: tuple[int, int], right: tuple[int, int]) -> Allocation:
    """Partition point and cores of both tenants."""
    return Allocation(
        tenants=(
            TenantAllocation(tenant="left", point=left[0], cores=left[1]),
            TenantAllocation(tenant="right", point=right[0], cores=right[1]),
        )
    )


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("tenants")
    patch = pytest.MonkeyPatch()
    patch.setenv("EDGEPLAN_CACHE", str(folder / "cache"))
    models = {
        name: TenantModel.read(name, write_model(folder / f"{name}.onnx", seed, skips=False), max_points=5)
        for seed, name in enumerate(("left", "right"))
    }
    device = Accelerator(name="emulated", weight_capacity_bytes=8192, reload_fixed_us=2000.0, handover_fixed_us=500.0)
    return Pair(models, device.model_copy(update={"streaming_us_per_byte": 0.1}))
