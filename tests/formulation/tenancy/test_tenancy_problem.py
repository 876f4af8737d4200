"""Tenants, problems, allocations and scenarios: what they refuse, and that files say what objects say."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from edgeplan.formulation import (
    Accelerator,
    Allocation,
    CoCompiledResidency,
    CostError,
    PlanError,
    PlatformError,
    ScenarioError,
    StalePlanError,
    TenancyProblem,
    Tenant,
    TenantAllocation,
    TokenResidency,
    WorkloadError,
)
from edgeplan.formulation.tenancy import TenancyScenario
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GIVEN = {
    "accelerator_us": [0.0, 5.0, 9.0],
    "cpu_us": [30.0, 12.0, 0.0],
    "weight_bytes": [0, 40, 100],
    "handover_bytes": [0, 7, 0],
}
NPU = Accelerator(name="npu", weight_capacity_bytes=80)
STREAMING = NPU.model_copy(update={"streaming_us_per_byte": 0.1})


def tenant(name="t", **changes):
    return Tenant.create(name, **(GIVEN | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cpu_us": [30.0, 0.0]}, "cpu_us of tenant 't'"),
        ({"accelerator_us": [0.0], "cpu_us": [0.0], "weight_bytes": [0], "handover_bytes": [0]}, "2 partition points"),
        ({"weight_bytes": [0, 100, 40]}, "weights that grow"),
        ({"weight_bytes": [10, 40, 100]}, "an empty prefix"),
        ({"accelerator_us": [1.0, 5.0, 9.0]}, "an empty prefix"),
        ({"cpu_us": [30.0, 12.0, 1.0]}, "an empty suffix"),
        ({"cpu_us": [30.0, -12.0, 0.0]}, "figures of 0 or more"),
        ({"cpu_us": [30.0, np.nan, 0.0]}, "figures of 0 or more"),
        ({"handover_bytes": [0, -7, 0]}, "handover_bytes"),
        ({"accelerator_us": [0.0, np.inf, np.inf], "cpu_us": [np.inf, 1.0, 0.0]}, "one that can run, got none"),
        ({"speedup": (2.0,)}, "1 for one thread"),
        ({"speedup": ()}, "1 for one thread"),
        ({"speedup": (1.0, 0.0)}, "1 for one thread"),
        ({"accelerator_scv": -0.1}, "0 or more"),
        ({"cpu_scv": np.nan}, "finite figures of 0 or more"),
        ({"speedup": (1.0, np.nan)}, "1 for one thread"),
        ({"reload_us": [0.0, np.inf, 2.0]}, "reload_us of tenant 't': expected finite"),
        ({"streaming_us": [np.nan, 1.0, np.inf]}, "streaming_us of tenant 't': expected finite"),
        ({"streaming_us_per_byte": -1.0}, "streaming_us_per_byte"),
        ({"points": ("a", "b")}, "3 names"),
        ({"reload_us": [np.nan, -1.0, 2.0]}, "reload_us"),
        ({"streaming_us": [0.0, 1.0]}, "streaming_us"),
        ({"resident_bytes": [0, -1, 2]}, "resident_bytes"),
    ],
)
def test_a_tenant_refuses_costs_that_make_no_sense(changes, said):
    with pytest.raises(CostError, match=said):
        tenant(**changes)


def test_a_copy_is_validated_again():
    assert tenant().replace(name="u").name == "u"
    with pytest.raises(CostError):
        tenant().replace(cpu_us=np.array([1.0, 1.0, 1.0]))
    problem = TenancyProblem.create([tenant()], [3.0], STREAMING, 1)
    assert problem.replace(cpu_cores=2).cpu_cores == 2
    with pytest.raises(WorkloadError):
        problem.replace(rate_hz=np.array([0.0]))


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (([], [], STREAMING, 1), WorkloadError, "at least one"),
        (([tenant(), tenant()], [1, 1], STREAMING, 1), WorkloadError, "each name once"),
        (([tenant()], [1, 1], STREAMING, 1), WorkloadError, "one for each of 1 tenants"),
        (([tenant()], [0], STREAMING, 1), WorkloadError, "more than 0 requests a second, got 0"),
        (([tenant()], [-1], STREAMING, 1), WorkloadError, "rate of tenant 't'"),
        (([tenant()], [np.nan], STREAMING, 1), WorkloadError, "got nan"),
        (([tenant()], [np.inf], STREAMING, 1), WorkloadError, "got inf"),
        (([tenant()], [1], STREAMING, -1), PlatformError, "0 or more cores"),
        (([tenant()], [1], NPU, 0), PlatformError, "Give the accelerator a streaming cost"),
    ],
)
def test_a_problem_refuses_what_no_plan_can_serve(arguments, error, said):
    with pytest.raises(error, match=said):
        TenancyProblem.create(*arguments)


@settings(max_examples=100, deadline=None)
@given(
    weights=st.lists(st.integers(0, 200), min_size=1, max_size=5),
    cores=st.integers(0, 2),
    streams=st.booleans(),
    own=st.booleans(),
    no_cpu=st.booleans(),
    measured=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_a_point_runs_where_time_memory_and_cores_allow_it(weights, cores, streams, own, no_cpu, measured):
    weights = [0, *sorted(weights)]
    n = len(weights)
    cpu = [np.inf if no_cpu and k == 0 else 10.0 * (n - 1 - k) for k in range(n)]
    table = [1.0 if has else np.nan for has in measured[:n]]
    made = Tenant.create(
        "t",
        [5.0 * k for k in range(n)],
        cpu,
        weights,
        streaming_us=table if any(measured[:n]) else None,
        streaming_us_per_byte=0.1 if own else None,
    )
    expected = [
        np.isfinite(cpu[k]) and (streams or own or weights[k] <= 80 or measured[k]) and (cores > 0 or k == n - 1)
        for k in range(n)
    ]
    device = STREAMING if streams else NPU
    if not any(expected):
        with pytest.raises(PlatformError):
            TenancyProblem.create([made], [1], device, cores)
        return
    assert TenancyProblem.create([made], [1], device, cores).runnable[0].tolist() == expected


def test_usable_bytes_are_measured_ones_or_weights_up_to_the_capacity():
    problem = TenancyProblem.create(
        [tenant("rule"), tenant("measured", resident_bytes=[0, 30, 95])], [1, 2], STREAMING, 1
    )
    assert [usable.tolist() for usable in problem.usable_bytes] == [[0, 40, 80], [0, 30, 80]]
    assert problem.total_rate_hz == 3


# Allocations.

parts = st.builds(
    TenantAllocation,
    tenant=st.text(min_size=1, max_size=6),
    point=st.integers(0, 40),
    cores=st.integers(0, 16),
    threads=st.integers(1, 4),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tenants=st.lists(parts, min_size=1, max_size=4), sets=st.lists(st.lists(st.text(max_size=3)), max_size=3))
def test_an_allocation_survives_its_file(tmp_path: Path, tenants, sets):
    made = Allocation(tenants=tuple(tenants), co_compiled=tuple(map(tuple, sets)))
    made.save(tmp_path / "plan.json")
    assert Allocation.load(tmp_path / "plan.json") == made
    assert all(part.servers == part.cores // part.threads for part in made.tenants)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda data: data.update(schema_version=2), StalePlanError, "schema_version"),
        (lambda data: data.update(colour="red"), PlanError, "colour"),
        (lambda data: data.update(tenants=[]), PlanError, "tenants"),
        (lambda data: data["tenants"][0].update(point=-1), PlanError, r"tenants\.0\.point"),
        (lambda data: data["tenants"][0].update(threads=0), PlanError, r"tenants\.0\.threads"),
        (lambda data: data.update(kind="plan"), PlanError, "kind"),
    ],
)
def test_other_files_are_no_allocations(tmp_path: Path, change, error, said):
    data = Allocation(tenants=(TenantAllocation(tenant="t", point=1),)).model_dump(mode="json")
    change(data)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(data))
    with pytest.raises(error, match=said):
        Allocation.load(path)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(PlanError):
        Allocation.load(path)


# Scenarios.

SCENARIO = {
    "name": "s",
    "accelerator": {"name": "npu", "weight_capacity_bytes": "1 KiB", "residency": {"kind": "co_compiled"}},
    "tenants": [{"name": "t", "whole": {"service_us": 5}}],
}


def load(tmp_path: Path, **changes) -> TenancyScenario:
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(SCENARIO | changes))
    return TenancyScenario.load(path)


def test_a_scenario_may_say_little(tmp_path: Path):
    found = load(tmp_path)
    assert isinstance(found.accelerator, Accelerator)
    assert int(found.accelerator.weight_capacity_bytes) == 1024
    assert found.accelerator.residency == CoCompiledResidency()
    assert (found.cpu_cores, found.discipline) == (0, "fcfs")
    assert load(tmp_path, accelerator="edge-tpu").accelerator == "edge-tpu"
    assert Accelerator(name="npu", weight_capacity_bytes=1).residency == TokenResidency()


def test_costs_of_whole_models_are_tenants_of_two_points(tmp_path: Path):
    whole = {"service_us": 5, "reload_us": 3, "weight_bytes": "2 KiB", "resident_bytes": "1 KiB", "cpu_us": 40}
    costs = load(tmp_path, tenants=[{"name": "t", "whole": whole}]).tenants[0].whole
    assert costs is not None
    made = costs.tenant("mine")
    assert (made.name, made.accelerator_us.tolist(), made.cpu_us.tolist()) == ("mine", [0, 5], [40, 0])
    assert (made.weight_bytes.tolist(), made.resident_bytes.tolist()) == ([0, 2048], [0, 1024])
    assert made.reload_us[1] == 3
    assert made.streaming_us is None
    assert load(tmp_path).tenants[0].whole.tenant("t").cpu_us.tolist() == [np.inf, 0]


def test_costs_of_points_are_those_of_a_tenant(tmp_path: Path):
    points = GIVEN | {"names": ["none", "half", "all"], "reload_us": [0, 1, 2], "resident_bytes": [0, 40, 80]}
    made = load(tmp_path, tenants=[{"name": "t", "points": points}]).tenants[0].points.tenant("t")
    same = tenant(points=("none", "half", "all"), reload_us=[0, 1, 2], resident_bytes=[0, 40, 80])
    for key in ("accelerator_us", "cpu_us", "weight_bytes", "handover_bytes", "reload_us", "resident_bytes", "points"):
        assert np.array_equal(getattr(made, key), getattr(same, key)), key


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"accelerator": {"name": "npu"}}, r"accelerator\.device\.weight_capacity_bytes"),
        ({"accelerator": 7}, "accelerator"),
        ({"accelerator": None}, "accelerator"),
        ({"tenants": []}, "tenants"),
        ({"discipline": "lifo"}, "discipline"),
        ({"tenants": [{"name": "t", "batching": {"max_batch": 0}}]}, r"tenants\.0\.batching\.max_batch"),
        ({"tenants": [{"name": "t", "model": "a", "whole": {"service_us": 5}}]}, "one of model, whole and points"),
        ({"schema_version": 2}, "schema_version"),
    ],
)
def test_a_scenario_names_the_key_that_is_wrong(tmp_path: Path, changes, said):
    with pytest.raises(ScenarioError, match=said):
        load(tmp_path, **changes)
