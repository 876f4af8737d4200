"""Several servers: closed forms, limits, agreement of the formulas with each other and with a recursion."""

import math

import numpy as np
import pytest
from edgeplan.formulation.errors import CostError
from edgeplan.formulation.queueing.departures import departure_scv, tandem_wait_us, thinned_scv
from edgeplan.formulation.queueing.multi_server import (
    gigc_wait_us,
    mdc_exact_wait_us,
    mdc_wait_us,
    mgc_wait_us,
    mmc_wait_us,
    waiting_probability,
)
from edgeplan.formulation.queueing.swapping import pollaczek_khinchine_wait_us


def erlang_c(load: float, servers: int) -> float:
    head = sum(load**k / math.factorial(k) for k in range(servers))
    tail = load**servers / math.factorial(servers) * servers / (servers - load)
    return tail / (head + tail)


def kiefer_wolfowitz(arrivals: np.ndarray, services: np.ndarray, servers: int) -> np.ndarray:
    free, waits = [0.0] * servers, []
    for arrival, service in zip(arrivals.tolist(), services.tolist(), strict=True):
        first = min(range(servers), key=free.__getitem__)
        start = max(arrival, free[first])
        free[first] = start + service
        waits.append(start - arrival)
    return np.array(waits)


@pytest.mark.parametrize("servers", [1, 2, 7, 30])
@pytest.mark.parametrize("rho", [0.1, 0.7, 0.98])
def test_exponential_service_is_erlang_c(servers, rho):
    wait = erlang_c(servers * rho, servers) * 800.0 / (servers * (1 - rho))
    rate = servers * rho / 800.0 * 1e6
    assert mmc_wait_us(rate, 800.0, servers) == pytest.approx(wait, rel=1e-10)
    assert mgc_wait_us(rate, 800.0, 1.0, servers) == pytest.approx(wait, rel=1e-10)
    assert waiting_probability(rate, 800.0, servers) == pytest.approx(erlang_c(servers * rho, servers), rel=1e-10)


@pytest.mark.parametrize("scv", [0.0, 0.4, 3.0])
def test_one_server_is_pollaczek_khinchine(scv):
    plain = pollaczek_khinchine_wait_us(900.0, 800.0, 800.0**2 * (1 + scv))
    assert mgc_wait_us(900.0, 800.0, scv, 1) == pytest.approx(float(plain), rel=1e-12)
    if scv == 0.0:
        assert mdc_exact_wait_us(900.0, 800.0, 1) == pytest.approx(float(plain), rel=1e-12)


@pytest.mark.parametrize("servers", [2, 3, 5])
@pytest.mark.parametrize("rho", [0.2, 0.6, 0.95])
def test_constant_service_exactly_is_the_embedded_chain(servers, rho):
    """Numbers in the system a service apart are a Markov chain: N → max(0, N − c) + Poisson(cρ)."""
    load, size = servers * rho, 700
    poisson = np.exp(np.arange(size) * math.log(load) - load - np.array([math.lgamma(k + 1.0) for k in range(size)]))
    transition = np.zeros((size, size))
    for state in range(size):
        rest = max(0, state - servers)
        transition[state, rest:] = poisson[: size - rest]
    transition[:, -1] += 1.0 - transition.sum(axis=1)
    equations = np.vstack([(transition.T - np.eye(size))[1:], np.ones(size)])
    number = np.linalg.solve(equations, np.append(np.zeros(size - 1), 1.0))
    waiting = float(number @ np.maximum(0, np.arange(size) - servers))
    assert mdc_exact_wait_us(load * 1e6, 1.0, servers) == pytest.approx(waiting / load, rel=1e-8)


def test_constant_service_approximately_is_within_a_seventh():
    for servers in (1, 2, 3, 4, 8, 16):
        for rho in np.arange(0.05, 0.99, 0.05):
            exact = float(mdc_exact_wait_us(servers * rho * 1e6, 1.0, servers))
            if exact > 1e-3:
                assert float(mdc_wait_us(servers * rho * 1e6, 1.0, servers)) == pytest.approx(exact, rel=0.14)


def test_limits():
    for formula in (mmc_wait_us, mdc_wait_us, mdc_exact_wait_us):
        assert formula(0.0, 100.0, 2) == 0.0
        assert formula(10.0, 100.0, 0) == np.inf
        assert formula(1e4, 100.0, 1) == np.inf
        assert waiting_probability(1e4, 100.0, 1) == waiting_probability(1.0, 1.0, 0) == 1.0
        assert formula([1.0, 1e6], 10.0, [[1], [20]]).shape == (2, 2)
    assert gigc_wait_us(10.0, 0.0, 100.0, 0.0, 3) == 0.0
    with pytest.raises(CostError, match="service_scv"):
        mgc_wait_us(1.0, 1.0, -0.1, 1)


def test_more_variability_waits_longer_and_more_servers_shorter():
    scv = np.array([0.0, 0.2, 0.5, 1.0, 2.0, 5.0])
    waits = gigc_wait_us(3000.0, 0.8, 600.0, scv, 2)
    assert np.all(np.diff(waits) > 0)
    assert np.all(np.diff(gigc_wait_us(3000.0, scv, 600.0, 0.5, 2)) > 0)
    assert np.all(np.diff(gigc_wait_us(1500.0, 0.8, 600.0, 0.5, np.arange(1, 10))) < 0)


@pytest.mark.parametrize("servers", [2, 4])
def test_general_service_is_close_to_a_recursion(servers):
    rng = np.random.default_rng(servers)
    arrivals = np.cumsum(rng.exponential(1.0 / (0.8 * servers), 300_000))
    waits = kiefer_wolfowitz(arrivals, rng.gamma(2.0, 0.5, 300_000), servers)
    assert float(mgc_wait_us(0.8 * servers * 1e6, 1.0, 0.5, servers)) == pytest.approx(waits.mean(), rel=0.06)


def test_departures_of_poisson_arrivals_and_exponential_service_are_poisson():
    assert departure_scv([0.2, 0.9], 1.0, 1.0) == pytest.approx([1.0, 1.0])
    assert departure_scv(1.0, 1.0, 0.3) == pytest.approx(0.3)
    assert departure_scv(0.0, 0.4, 0.3) == pytest.approx(0.4)
    assert thinned_scv([0.0, 3.0], [0.25, 1.0]) == pytest.approx([0.75, 3.0])


@pytest.mark.parametrize(
    ("first", "second"), [(600.0, 800.0), (800.0, 600.0), pytest.param(300.0, 900.0, marks=pytest.mark.slow)]
)
def test_constant_services_in_tandem_are_exact(first, second):
    """Tenant alone, one server: exact, and all the waiting is at the slower place."""
    rng = np.random.default_rng(0)
    arrivals = np.cumsum(rng.exponential(1000.0, 400_000))
    ends = arrivals + kiefer_wolfowitz(arrivals, np.full(400_000, first), 1) + first
    waits = kiefer_wolfowitz(ends, np.full(400_000, second), 1)
    arrival_scv = departure_scv(first / 1000, 1.0, 0.0)
    wait = float(tandem_wait_us(1000.0, arrival_scv, first, 0.0, second, 0.0, 1))
    assert wait == pytest.approx(waits.mean(), rel=0.08, abs=1e-6)
    assert wait == 0.0 or second > first


def test_tandem_behind_exponential_service_has_poisson_arrivals():
    poisson = pytest.approx(float(mgc_wait_us(700.0, 2500.0, 0.3, 2)))
    assert tandem_wait_us(700.0, 1.0, 500.0, 1.0, 2500.0, 0.3, 2) == poisson
    assert tandem_wait_us(700.0, 1.0, 0.0, 0.0, 2500.0, 0.3, 2) == poisson
    assert tandem_wait_us(700.0, 1.0, 500.0, 0.0, 2500.0, 0.3, 1) == np.inf
