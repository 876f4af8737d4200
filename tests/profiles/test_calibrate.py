"""Costs read off traces: of simulated queues they are the costs simulated, of measured ones they predict other runs."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from edgeplan.formulation import (
    Accelerator,
    Allocation,
    CostError,
    TenancyProblem,
    Tenant,
    TenantAllocation,
    WorkloadError,
)
from edgeplan.formulation.tenancy.simulation import Requests, simulate_tenancy
from edgeplan.profiles.catalogue.calibrate import calibrate

FOLDER = Path(os.environ.get("EDGEPLAN_TRACES", Path(__file__).parents[3] / "shared" / "data" / "ibis"))
TRACE = FOLDER / "queuing_tpu_inception_v4Xmobilenet_v2.csv"
PUBLISHED_US = {"inception_v4": (125_130.0, 19_430.0), "mobilenet_v2": (4_910.0, 10_430.0)}


def whole(name, service_us, reload_us, scv=0.0):
    return Tenant.create(name, [0, service_us], [np.inf, 0], [0, 0], reload_us=[np.nan, reload_us], accelerator_scv=scv)


def share(tenants, rate_hz=None):
    device = Accelerator(name="npu", weight_capacity_bytes=1000)
    problem = TenancyProblem.create(tenants, np.ones(len(tenants)) if rate_hz is None else rate_hz, device, 0)
    return problem, Allocation(tenants=tuple(TenantAllocation(tenant=t.name, point=1) for t in tenants))


def played(tenants, rate_hz, count, seed=0, **settings):
    """Submissions and ends in seconds, and models, of a simulated queue."""
    problem, allocation = share(tenants, rate_hz)
    requests = Requests.poisson(rate_hz, count, seed)
    done = simulate_tenancy(problem, allocation, requests, seed=seed, **settings)
    names = [tenants[i].name for i in requests.tenant]
    return requests.time_us / 1e6, done.finish_us / 1e6, names


THREE = [whole("a", 5000.0, 2000.0), whole("b", 20_000.0, 0.0), whole("c", 1000.0, 9000.0)]


def test_costs_of_a_simulated_queue_are_those_simulated():
    found = calibrate(*played(THREE, [20, 10, 30], 3000))
    assert [costs.model for costs in found] == ["a", "b", "c"]
    for costs, tenant in zip(found, THREE, strict=True):
        assert costs.service_us == pytest.approx(tenant.accelerator_us[1], rel=1e-6)
        assert costs.reload_us == pytest.approx(tenant.reload_us[1], rel=1e-6, abs=1e-3)
        assert costs.service_scv == pytest.approx(0.0, abs=1e-9)
    assert sum(costs.service_samples + costs.reload_samples for costs in found) == 3000 - 1


def test_an_order_that_is_not_first_come_first_served_does_no_harm():
    found = calibrate(*played(THREE, [20, 10, 30], 3000, discipline="priority", priority=[2, 1, 0]))
    assert [costs.service_us for costs in found] == pytest.approx([5000, 20_000, 1000], rel=1e-6)
    assert [costs.reload_us for costs in found] == pytest.approx([2000, 0, 9000], rel=1e-6, abs=1e-3)


def test_requests_may_be_listed_in_any_order():
    submit, end, names = played(THREE, [20, 10, 30], 900)
    order = np.random.default_rng(0).permutation(900)
    shuffled = calibrate(submit[order], end[order], [names[k] for k in order])
    assert shuffled == calibrate(submit, end, names)


def test_varying_services_lie_within_their_standard_errors():
    noisy = [whole("a", 5000.0, 2000.0, scv=0.5), whole("b", 20_000.0, 3000.0, scv=0.1)]
    for costs, tenant in zip(calibrate(*played(noisy, [40, 15], 20_000)), noisy, strict=True):
        assert abs(costs.service_us - tenant.accelerator_us[1]) < 4 * costs.service_error_us
        assert abs(costs.reload_us - tenant.reload_us[1]) < 4 * costs.reload_error_us
        assert costs.service_scv == pytest.approx(tenant.accelerator_scv, rel=0.1)


def test_the_first_request_of_a_run_is_no_sample():
    first, second = played(THREE, [20, 10, 30], 900, seed=1), played(THREE, [20, 10, 30], 700, seed=2)
    together = [np.concatenate([first[k], second[k]]) for k in range(3)]
    found = calibrate(*together[:2], list(together[2]), run=[0] * 900 + [1] * 700)
    assert sum(costs.service_samples + costs.reload_samples for costs in found) == 1600 - 2
    assert [costs.service_us for costs in found] == pytest.approx([5000, 20_000, 1000], rel=1e-6)


def test_one_model_alone_is_never_reloaded():
    (costs,) = calibrate(*played(THREE[:1], [50], 100))
    assert costs.reload_us is None
    assert costs.reload_error_us is None
    assert costs.tenant("mine").name == "mine"
    assert costs.tenant().reload_us[1] == 0.0


def test_tenants_of_calibrated_costs_repeat_the_trace():
    submit, end, names = played(THREE, [20, 10, 30], 3000)
    tenants = [costs.tenant() for costs in calibrate(submit, end, names)]
    problem, allocation = share([t.replace(accelerator_scv=0.0) for t in tenants])
    which = np.array(["abc".index(name) for name in names])
    again = simulate_tenancy(problem, allocation, Requests(submit * 1e6, which))
    np.testing.assert_allclose(again.finish_us / 1e6, end, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda s, e, m: (s, e[:-1], m), WorkloadError, "shapes"),
        (lambda s, e, m: ([], [], []), WorkloadError, "one request or more"),
        (lambda s, e, m: (s, np.where(np.arange(len(e)) == 7, np.nan, e), m), WorkloadError, "at request 7"),
        (lambda s, e, m: (s, np.where(np.arange(len(e)) == 7, s - 1, e), m), WorkloadError, "at request 7"),
        (lambda s, e, m: (s[:30], e[:30], m[:30]), CostError, "a longer trace"),
        (lambda s, e, m: (s, e, ["alone", *m[1:]]), CostError, "'alone'"),
    ],
    ids=["lengths", "empty", "not a number", "backwards", "too short", "seen once"],
)
def test_bad_traces_are_refused(change, error, said):
    with pytest.raises(error, match=said):
        calibrate(*change(*played(THREE, [20, 10, 30], 900)))


@pytest.fixture(scope="module")
def runs():
    """Measured runs on an Edge TPU: by run, submissions and ends in seconds and models, in order of submission."""
    if not TRACE.is_file():
        pytest.skip(f"{TRACE.name} (umassos/ibis, queueing validation) is not in the folder that EDGEPLAN_TRACES names")
    found = {}
    with TRACE.open(newline="") as file:
        for row in csv.DictReader(file):
            entry = (float(row["tpu_submit_time"]), float(row["tpu_end_time"]), row["model"])
            found.setdefault(row["vary_rho"], []).append(entry)
    return {run: tuple(map(np.array, zip(*sorted(rows), strict=True))) for run, rows in found.items()}


def errors(tenants, run):
    """Relative errors of the simulated mean response of each model when the run's submissions are played."""
    submit, end, model = run
    names = [tenant.name for tenant in tenants]
    requests = Requests((submit - submit[0]) * 1e6, np.array([names.index(name) for name in model]))
    done = simulate_tenancy(*share(tenants), requests)
    return [done.by_tenant[name].mean_us / ((end - submit)[model == name].mean() * 1e6) - 1 for name in names]


def test_simulation_with_published_costs_is_close_to_what_was_measured(runs):
    tenants = [whole(name, *costs) for name, costs in PUBLISHED_US.items()]
    found = np.abs([errors(tenants, run) for run in runs.values()])
    assert found.size == 10
    assert found.max() < 0.05
    assert found.mean() <= 0.025


def test_costs_calibrated_on_other_runs_predict_a_run(runs):
    found = []
    for left_out, run in runs.items():
        others = [(label, rows) for label, rows in runs.items() if label != left_out]
        submit, end, model = (np.concatenate([rows[k] for _, rows in others]) for k in range(3))
        labels = np.repeat([label for label, _ in others], [len(rows[0]) for _, rows in others])
        tenants = [costs.tenant().replace(accelerator_scv=0.0) for costs in calibrate(submit, end, list(model), labels)]
        found.append(errors(tenants, run))
    assert np.abs(found).max() < 0.05
    assert np.abs(found).mean() <= 0.02
