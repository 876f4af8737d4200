"""The simulator against SimPy request by request, against Ciw, and against closed forms."""

import math

import ciw
import numpy as np
import pytest
import simpy
from edgeplan.formulation import (
    Accelerator,
    Allocation,
    CoCompiledResidency,
    LruResidency,
    TenancyProblem,
    Tenant,
    TenantAllocation,
    TokenResidency,
    evaluate_tenancy,
)
from edgeplan.formulation.tenancy import demands
from edgeplan.formulation.tenancy.simulation import Pool, Requests, batch_means_interval, simulate_tenancy
from edgeplan.formulation.tenancy.simulation.statistics import student_t_quantile

MIB = 2**20


def mix(residency, seed, n=4):
    """A random problem with an allocation of every kind: whole on the accelerator, split, whole on the CPU."""
    rng = np.random.default_rng(seed)
    tenants, parts = [], []
    for i in range(n):
        whole = rng.uniform(4e3, 3e4)
        tenants.append(
            Tenant.create(
                f"t{i}",
                [0, whole / 2, whole],
                [3 * whole, 1.5 * whole, 0],
                [0, int(rng.uniform(1, 4) * MIB), int(rng.uniform(4, 7) * MIB)],
                [0, 200_000, 0],
                speedup=(1.0, 1.7),
            )
        )
        point = (2, 1, 1, 0)[i % 4]
        cores = 0 if point == 2 else 2
        parts.append(TenantAllocation(tenant=f"t{i}", point=point, cores=cores, threads=1 + i % 2 if cores else 1))
    device = Accelerator(
        name="npu",
        weight_capacity_bytes=8 * MIB,
        residency=residency,
        reload_fixed_us=1950,
        reload_us_per_byte=2.3e3 / MIB,
        streaming_us_per_byte=2.7e3 / MIB,
        handover_fixed_us=100,
        handover_us_per_byte=1 / 400,
    )
    problem = TenancyProblem.create(tenants, rng.uniform(4, 10, n), device, 2 * n)
    sets = (("t0", "t2"), ("t1",)) if residency.kind == "co_compiled" else ()
    return problem, Allocation(tenants=tuple(parts), co_compiled=sets)


class Memory:
    """Residency written down once more, plainly."""

    def __init__(self, kind, asked, capacity):
        self.kind, self.asked, self.capacity = kind, asked, capacity
        self.current, self.loaded = None, []

    def missed(self, i):
        if self.kind == "lru":
            if i in self.loaded:
                self.loaded.remove(i)
                self.loaded.append(i)
                return False
            need = self.asked.resident_bytes[i]
            while self.loaded and sum(self.asked.resident_bytes[j] for j in self.loaded) + need > self.capacity:
                self.loaded.pop(0)
            self.loaded.append(i)
            return True
        if self.asked.residency_set[i] != self.current:
            self.current, self.loaded = self.asked.residency_set[i], []
        if i in self.loaded:
            return False
        self.loaded.append(i)
        return True


def by_simpy(problem, allocation, requests, priority=None):
    asked = demands(problem, allocation)
    env = simpy.Environment()
    accelerator = simpy.PriorityResource(env, 1)
    cores = {i: simpy.Resource(env, int(c)) for i, c in enumerate(asked.servers) if c}
    memory = Memory(problem.accelerator.residency.kind, asked, int(problem.accelerator.weight_capacity_bytes))
    finish, swapped = np.zeros(len(requests)), np.zeros(len(requests), dtype=bool)

    def request(r, i, at):
        yield env.timeout(at)
        if asked.on_accelerator[i]:
            with accelerator.request(priority=priority[i] if priority else 0) as turn:
                yield turn
                swapped[r] = memory.missed(i)
                yield env.timeout(asked.service_us[i] + (asked.reload_us[i] if swapped[r] else 0.0))
            yield env.timeout(asked.handover_us[i])
        if i in cores:
            with cores[i].request() as turn:
                yield turn
                yield env.timeout(asked.cpu_us[i])
        finish[r] = env.now

    for r, (at, i) in enumerate(zip(requests.time_us, requests.tenant, strict=True)):
        env.process(request(r, int(i), float(at)))
    env.run()
    return finish, swapped


@pytest.mark.parametrize("residency", [TokenResidency(), CoCompiledResidency(), LruResidency()], ids=lambda r: r.kind)
@pytest.mark.parametrize("priority", [None, [2, 1, 0, 0]], ids=["fcfs", "priority"])
def test_every_request_ends_when_simpy_says(residency, priority):
    for seed in range(3):
        problem, allocation = mix(residency, seed)
        requests = Requests.poisson(problem.rate_hz, 1500, seed)
        finish, swapped = by_simpy(problem, allocation, requests, priority)
        discipline = "priority" if priority else "fcfs"
        ours = simulate_tenancy(problem, allocation, requests, discipline=discipline, priority=priority)
        np.testing.assert_allclose(ours.finish_us, finish, rtol=1e-9)
        np.testing.assert_array_equal(ours.swapped, swapped)
        assert 0 < swapped.mean() < 1


class _SwappingService(ciw.dists.Distribution):
    """Service of the accelerator in Ciw: longer where another class was served before."""

    last = None  # of the class: Ciw copies its distributions deeply

    def __init__(self, asked, i):
        self.asked, self.i = asked, i

    def sample(self, t=None, ind=None):
        missed = _SwappingService.last != self.i
        _SwappingService.last = self.i
        return self.asked.service_us[self.i] + (self.asked.reload_us[self.i] if missed else 0.0)


def test_ciw_agrees_on_every_response_of_whole_models():
    problem, _ = mix(TokenResidency(), 5)
    allocation = Allocation(tenants=tuple(TenantAllocation(tenant=t.name, point=2) for t in problem.tenants))
    asked = demands(problem, allocation)
    requests = Requests.poisson(problem.rate_hz, 1000, 5)
    _SwappingService.last = None
    gaps = {
        f"c{i}": [ciw.dists.Sequential([*np.diff(requests.time_us[requests.tenant == i], prepend=0.0), math.inf])]
        for i in range(4)
    }
    network = ciw.create_network(
        arrival_distributions=gaps,
        service_distributions={f"c{i}": [_SwappingService(asked, i)] for i in range(4)},
        number_of_servers=[1],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(float(requests.time_us[-1]) * 2)
    records = sorted(simulation.get_all_records(), key=lambda record: record.arrival_date)
    theirs = np.array([record.exit_date - record.arrival_date for record in records])
    ours = simulate_tenancy(problem, allocation, requests).response_us
    assert len(theirs) == len(ours)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-3)


def single(service_us, rate_hz, scv=0.0):
    tenant = Tenant.create("one", [0, service_us], [np.inf, 0], [0, 1000], accelerator_scv=scv)
    device = Accelerator(name="npu", weight_capacity_bytes=10_000)
    problem = TenancyProblem.create([tenant], [rate_hz], device, 0)
    return problem, Allocation(tenants=(TenantAllocation(tenant="one", point=1),))


@pytest.mark.parametrize("scv", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("load", [0.2, 0.7])
def test_pollaczek_khinchine(load, scv):
    problem, allocation = single(1000.0, load * 1000, scv)
    simulated = simulate_tenancy(
        problem, allocation, Requests.poisson(problem.rate_hz, 400_000, 3), warm_up=0.05, level=0.999
    )
    low, high = simulated.overall.confidence_interval_us
    assert low <= 1000.0 * (1 + load * (1 + scv) / (2 * (1 - load))) <= high
    assert simulated.accelerator_utilisation == pytest.approx(load, rel=0.02)
    # Little's law: the mean number in the system over the window.
    start, end = simulated.window_us
    inside = np.clip(simulated.finish_us, start, end) - np.clip(simulated.requests.time_us, start, end)
    arrived = simulated.overall.requests / (end - start)
    assert inside.sum() / (end - start) == pytest.approx(arrived * simulated.overall.mean_us, rel=0.01)


def test_utilisation_is_what_is_asked_for():
    problem, allocation = mix(TokenResidency(), 1)
    simulated = simulate_tenancy(problem, allocation, Requests.poisson(problem.rate_hz, 300_000, 2), warm_up=0.05)
    expected = evaluate_tenancy(problem, allocation)
    assert simulated.accelerator_utilisation == pytest.approx(expected.accelerator_utilisation, rel=0.01)
    assert simulated.reload_utilisation == pytest.approx(expected.reload_utilisation, rel=0.02)
    busy = [part.cpu_utilisation for part in expected.tenants if part.cpu_utilisation]
    assert simulated.pool_utilisation == pytest.approx(busy, rel=0.02)
    series = simulated.time_series(1e6)
    weights = np.full(len(series.start_us), 1e6)
    assert np.average(series.accelerator_utilisation, weights=weights) == pytest.approx(
        expected.accelerator_utilisation, rel=0.02
    )
    assert series.arrivals.sum() == 300_000


def test_a_shared_pool_is_one_queue():
    problem, allocation = mix(TokenResidency(), 2)
    names = ("t1", "t2", "t3")
    requests = Requests.poisson(problem.rate_hz, 5000, 2)
    shared = simulate_tenancy(problem, allocation, requests, pools=[Pool(names, 6)])
    chosen = np.isin(requests.tenant, [1, 2, 3])
    for at in shared.cpu_start_us[chosen][::50]:
        running = np.count_nonzero((shared.cpu_start_us[chosen] <= at) & (shared.finish_us[chosen] > at))
        assert running <= 6
    arrival = shared.accelerator_end_us + demands(problem, allocation).handover_us[requests.tenant]
    order = np.argsort(arrival[chosen], kind="stable")
    assert np.all(np.diff(shared.cpu_start_us[chosen][order]) >= 0)


def test_batch_means_cover_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        low, high = batch_means_interval(rng.exponential(1.0, 3000), 0.9)
        covered += low <= 1.0 <= high
    assert 0.86 <= covered / 400 <= 0.94


@pytest.mark.parametrize("freedom", [10, 29, 100])
@pytest.mark.parametrize("share", [0.95, 0.975, 0.995])
def test_student_quantiles(freedom, share):
    from scipy.stats import t

    assert student_t_quantile(share, freedom) == pytest.approx(t.ppf(share, freedom), abs=1e-3)


def test_same_seed_same_result():
    problem, allocation = mix(TokenResidency(), 3)
    noisy = problem.replace(tenants=tuple(t.replace(accelerator_scv=0.4, cpu_scv=1.5) for t in problem.tenants))
    requests = Requests.poisson(problem.rate_hz, 5000, 1)
    one, two = (simulate_tenancy(noisy, allocation, requests, seed=7) for _ in range(2))
    np.testing.assert_array_equal(one.finish_us, two.finish_us)
    other = simulate_tenancy(noisy, allocation, requests, seed=8)
    assert np.any(other.finish_us != one.finish_us)


@pytest.mark.parametrize("seed", [0, 242])
def test_services_are_not_the_numbers_that_arrivals_were_drawn_from(seed):
    # M/M/1 at ρ = 0.8: with services that are long where gaps are, the mean wait would be 0.
    tenant = Tenant.create("t", [0, 800.0], [math.inf, 0], [0, 1], accelerator_scv=1.0)
    problem = TenancyProblem.create([tenant], [1000.0], Accelerator(name="npu", weight_capacity_bytes=1), 0)
    whole = Allocation(tenants=(TenantAllocation(tenant="t", point=1),))
    requests = Requests.poisson(problem.rate_hz, 400_000, seed)
    found = simulate_tenancy(problem, whole, requests, seed=seed, warm_up=0.1)
    assert found.overall.mean_us == pytest.approx(4_000, rel=0.08)
