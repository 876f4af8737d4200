"""Measured tenants: a figure for every prefix and suffix, and weights that are the graph's."""

from __future__ import annotations

import numpy as np
import pytest
from edgeplan.formulation import Configuration, CostError, CostTable, Model, StalePlanError, WorkloadError, cut_chain
from edgeplan.profiles.measure import StopRule
from edgeplan.runtime_bridge.tenancy import (
    Emulation,
    TenantRuntime,
    measure_tenant,
    read_by_time,
    tenant_of_model,
    waiting_lateness_us,
)

from .conftest import ACCELERATOR, CPU, Pair, allocate, needs_two_cores

ORT = Configuration(backend="onnxruntime-cpu", form="mapped")


def test_a_measured_tenant_has_times_and_weights_of_every_part(pair: Pair) -> None:
    model = pair.models["left"]
    tenant = measure_tenant(model, accelerator_core=ACCELERATOR[0], cpu_cores=CPU)
    assert tenant.n_points == len(model.positions)
    assert tenant.basis == "measured"
    assert tenant.points[-1] == "all"
    assert np.all(tenant.accelerator_us[1:] > 0)
    assert np.all(tenant.cpu_us[:-1] > 0)
    assert tenant.weight_bytes[-1] == model.graph.weight_bytes.sum()
    assert tenant.handover_bytes[1] == model.graph.frontier_bytes[model.positions[1]]


def test_without_cores_a_suffix_cannot_run(pair: Pair) -> None:
    tenant = measure_tenant(pair.models["left"], accelerator_core=ACCELERATOR[0], cpu_cores=())
    assert np.all(np.isinf(tenant.cpu_us[:-1]))


@pytest.mark.slow
def test_the_time_scale_counts_on_the_accelerator_only(pair: Pair) -> None:
    model = pair.models["left"]
    plain = measure_tenant(model, accelerator_core=ACCELERATOR[0], cpu_cores=CPU)
    slow = measure_tenant(model, accelerator_core=ACCELERATOR[0], cpu_cores=CPU, emulation=Emulation(time_scale=1000.0))
    assert slow.accelerator_us[-1] > 50 * plain.accelerator_us[-1]
    assert slow.cpu_us[0] < 50 * plain.cpu_us[0]


def test_cuts_by_time_tear_no_fused_layers(pair: Pair) -> None:
    model = read_by_time("left", pair.models["left"].path, ACCELERATOR[0], max_points=5)
    assert model.positions[0] == 0
    assert model.positions[-1] == model.graph.n_layers
    # ONNX Runtime fuses each rectifier into the convolution before it.
    assert all(model.graph.layers[p].op_type == "Conv" for p in model.positions[1:-1])


def test_a_profile_gives_a_tenant_with_its_predictions(pair: Pair) -> None:
    graph = pair.models["left"].graph
    costs = CostTable.create([ORT], np.full((graph.n_layers, 1), 50.0), fixed_us=20.0)
    model = Model("left", graph, costs, cuts=cut_chain(graph))
    tenant = tenant_of_model(model, ORT, ORT, name="alias", time_scale=2.0)
    first = model.cuts.positions[1]
    assert tenant.name == "alias"
    assert tenant.accelerator_us[1] == pytest.approx(2 * (20 + 50 * first))
    assert tenant.cpu_us[1] == pytest.approx(20 + 50 * (graph.n_layers - first))
    assert (tenant.accelerator_us[0], tenant.cpu_us[-1]) == (0.0, 0.0)
    assert tenant.basis == "estimated"
    with pytest.raises(CostError, match="left"):
        tenant_of_model(model, ORT.model_copy(update={"threads": 7}), ORT)


@needs_two_cores
def test_models_must_be_those_of_the_tenants(pair: Pair) -> None:
    whole = allocate((4, 0), (4, 0))
    cores = {"accelerator_cores": ACCELERATOR, "cpu_cores": CPU}
    with pytest.raises(WorkloadError, match="right"):
        TenantRuntime(pair.problem(), whole, {"left": pair.models["left"]}, **cores)
    coarse = read_by_time("left", pair.models["left"].path, ACCELERATOR[0], max_points=3)
    with pytest.raises(StalePlanError, match="left"):
        TenantRuntime(pair.problem(), whole, pair.models | {"left": coarse}, **cores)


def test_waiting_never_ends_early() -> None:
    assert waiting_lateness_us(50, 1000.0)[0] >= 0


@pytest.mark.slow
def test_idleness_before_a_run_is_not_part_of_its_time(pair: Pair) -> None:
    model = pair.models["left"]
    rested = measure_tenant(
        model, accelerator_core=ACCELERATOR[0], cpu_cores=CPU, rule=StopRule(max_repeats=8), idle_us=20_000.0
    )
    assert np.all(rested.accelerator_us < 20_000.0)
    assert np.all(rested.accelerator_us[1:] > 0)
