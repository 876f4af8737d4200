"""Batching windows and priorities of the accelerator's queue, on cases that can be worked out by hand."""

import numpy as np
import pytest
from edgeplan.formulation import Accelerator, Allocation, TenancyProblem, Tenant, TenantAllocation, WorkloadError
from edgeplan.formulation.tenancy import demands
from edgeplan.formulation.tenancy.simulation import Batching, Requests, simulate_tenancy

BOTH = Allocation(tenants=(TenantAllocation(tenant="a", point=1), TenantAllocation(tenant="b", point=1)))


def two(service_a=100.0, service_b=50.0, reload_us=0.0):
    tenants = [
        Tenant.create(name, [0, service], [np.inf, 0], [0, 10], reload_us=[np.nan, reload_us])
        for name, service in (("a", service_a), ("b", service_b))
    ]
    return TenancyProblem.create(tenants, [1, 1], Accelerator(name="npu", weight_capacity_bytes=100), 0)


def play(problem, times, tenants, **settings):
    requests = Requests(np.array(times, dtype=float), np.array(tenants))
    return simulate_tenancy(problem, BOTH, requests, **settings)


def test_a_window_gathers_until_it_ends():
    done = play(two(), [0, 30, 80], [0, 0, 0], batching=[Batching(max_batch=4, window_us=50, marginal=0.5), None])
    # The window of the first ends at 50 with two of them there: 100 × 1.5; the third's window has passed by then.
    assert done.accelerator_start_us.tolist() == [50, 50, 200]
    assert done.finish_us.tolist() == [200, 200, 300]


def test_a_full_batch_does_not_wait():
    done = play(two(), [0, 10, 20], [0, 0, 0], batching=[Batching(max_batch=2, window_us=1000, marginal=0.0), None])
    assert done.accelerator_start_us.tolist() == [10, 10, 1020]
    assert done.finish_us.tolist() == [110, 110, 1120]


def test_a_batch_reloads_once_and_counts_once_as_occupied():
    done = play(two(reload_us=40), [0, 1, 2, 3], [1, 0, 0, 1], batching=[Batching(max_batch=8, marginal=0.1), None])
    assert done.finish_us.tolist() == [90, 90 + 40 + 110, 90 + 40 + 110, 330]
    assert done.swapped.tolist() == [True, True, True, True]
    assert done.accelerator_utilisation == 1.0
    assert np.isclose(done.reload_utilisation, 120 / 330)


def test_the_urgent_goes_first_but_interrupts_nothing():
    done = play(two(), [0, 1, 2], [0, 0, 1], discipline="priority", priority=[1, 0])
    assert done.finish_us.tolist() == [100, 250, 150]


def test_batches_of_one_are_plain_first_come_first_served():
    problem = two(reload_us=30)
    rng = np.random.default_rng(0)
    times, tenants = np.cumsum(rng.exponential(90, 2000)), rng.integers(0, 2, 2000)
    plain = play(problem, times, tenants)
    batched = play(problem, times, tenants, batching=[Batching(max_batch=1, window_us=500), Batching()])
    general = play(problem, times, tenants, batching=[Batching(max_batch=2, window_us=0, marginal=1.0), None])
    np.testing.assert_array_equal(plain.finish_us, batched.finish_us)
    assert general.finish_us.max() <= plain.finish_us.max()


def test_a_service_that_takes_no_time_hides_no_other():
    done = play(two(service_a=0.0), [0, 10, 10], [1, 0, 1])
    assert done.accelerator_start_us.tolist() == [0, 50, 50]
    assert done.finish_us.tolist() == [50, 50, 100]
    assert done.accelerator_utilisation == 1.0


@pytest.mark.parametrize(("settings", "said"), [({"warm_up": 1.0}, "warm-up"), ({"level": 1.0}, "level")])
def test_settings_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(WorkloadError, match=said):
        play(two(), [0], [0], **settings)


def test_a_series_begins_with_its_trace():
    hour_us = 3.6e9
    done = play(two(), [1e6 * hour_us, 1e6 * hour_us + 2e6], [0, 1])
    series = done.time_series(1e6)
    assert series.start_us[0] == 1e6 * hour_us
    assert series.arrivals.tolist() == [1, 0, 1]
    assert series.accelerator_utilisation.tolist() == pytest.approx([1e-4, 0, 5e-5], abs=1e-6)


def plainly(asked, requests, batching, priority):
    """Finish of every request: the rule written down instant by instant, token residency."""
    todo = list(range(len(requests)))
    now, resident, finish = 0.0, None, np.zeros(len(requests))
    while todo:
        waiting = [
            [r for r in todo if requests.tenant[r] == i and requests.time_us[r] <= now] for i in range(len(priority))
        ]
        eligible, instants = [], [requests.time_us[r] for r in todo if requests.time_us[r] > now]
        for i, queue in enumerate(waiting):
            if not queue:
                continue
            at = requests.time_us[queue[0]] + batching[i].window_us
            if len(queue) >= batching[i].max_batch:
                at = min(at, requests.time_us[queue[batching[i].max_batch - 1]])
            if at <= now:
                eligible.append((priority[i], at, queue[0], i))
            else:
                instants.append(at)
        if not eligible:
            now = min(instants)
            continue
        i = min(eligible)[-1]
        batch = waiting[i][: batching[i].max_batch]
        reload_us = 0.0 if resident == i else asked.reload_us[i]
        now += reload_us + asked.service_us[i] * (1 + batching[i].marginal * (len(batch) - 1))
        finish[batch], resident = now, i
        todo = [r for r in todo if r not in batch]
    return finish


@pytest.mark.parametrize("seed", range(12))
def test_windows_priorities_and_reloads_together_are_as_written_down(seed):
    rng = np.random.default_rng(seed)
    tenants = [
        Tenant.create(f"t{i}", [0, rng.uniform(20, 200)], [np.inf, 0], [0, 9], reload_us=[np.nan, rng.uniform(0, 90)])
        for i in range(4)
    ]
    problem = TenancyProblem.create(tenants, [1] * 4, Accelerator(name="npu", weight_capacity_bytes=9), 0)
    allocation = Allocation(tenants=tuple(TenantAllocation(tenant=t.name, point=1) for t in tenants))
    requests = Requests(np.cumsum(rng.exponential(rng.uniform(40, 250), 300)), rng.integers(0, 4, 300))
    batching = [
        Batching(max_batch=b, window_us=rng.uniform(0, 600) if b > 1 else 0, marginal=rng.uniform(0, 1))
        for b in map(int, rng.integers(1, 6, 4))
    ]
    priority = rng.integers(0, 3, 4).tolist()
    done = simulate_tenancy(problem, allocation, requests, discipline="priority", priority=priority, batching=batching)
    expected = plainly(demands(problem, allocation), requests, batching, priority)
    np.testing.assert_allclose(done.finish_us, expected, rtol=1e-12)
