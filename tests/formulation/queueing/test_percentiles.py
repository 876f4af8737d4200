"""Percentiles: closed forms, moments, simulation."""

import math

import numpy as np
import pytest
from edgeplan.formulation.errors import WorkloadError
from edgeplan.formulation.queueing.moments import wait_moments_us
from edgeplan.formulation.queueing.percentiles import CpuStage, SwappingServer, estimated_percentile_us


def test_exponential_services_have_exponential_tails():
    """M/M/1: P(W > t) = ρ exp(−(1 − ρ) t/E[S]), response exponential."""
    server = SwappingServer([700.0], [1000.0], [0.0], 1.0)
    assert server.wait_tail(0.0) == pytest.approx(0.7, abs=1e-6)
    for time in (100.0, 2000.0, 20_000.0):
        assert server.wait_tail(time) == pytest.approx(0.7 * math.exp(-0.3 * time / 1000), abs=1e-6)
        assert server.response_tail(0, time) == pytest.approx(math.exp(-0.3 * time / 1000), abs=1e-6)
    assert server.response_percentile_us(0, 0.99) == pytest.approx(1000 / 0.3 * math.log(100), rel=1e-5)
    assert server.wait_percentile_us(0.25) == 0.0


def test_constant_services_have_crommelins_distribution():
    """M/D/1: P(W ≤ t) = (1 − ρ) exp(λt) for t up to a service, with one more term up to two."""
    rho, server = 0.6, SwappingServer([600.0], [1000.0], [5000.0])
    for time in (200.0, 700.0):
        assert 1 - server.wait_tail(time) == pytest.approx((1 - rho) * math.exp(rho * time / 1000), abs=1e-3)
    later = (1 - rho) * (math.exp(0.9) - 0.3 * math.exp(0.3))
    assert 1 - server.wait_tail(1500.0) == pytest.approx(later, abs=1e-3)


def test_tails_integrate_to_the_moments(random_mix):
    rng = np.random.default_rng(2)
    for _ in range(4):
        rate, service, reload = random_mix(rng, 3, 0.6)
        server = SwappingServer(rate, service, reload, 0.5)
        mean, second = wait_moments_us(rate, service, reload, 0.5)
        times = np.linspace(0.0, 30 * mean, 1500)
        tails = np.array([server.wait_tail(time) for time in times])
        assert np.trapezoid(tails, times) == pytest.approx(mean, rel=5e-3)
        assert np.trapezoid(2 * times * tails, times) == pytest.approx(second, rel=1e-2)
        assert server.wait_tail(0.0) == pytest.approx(0.6, abs=1e-4)


@pytest.mark.slow
def test_percentiles_agree_with_simulation(simulate, random_mix):
    rng = np.random.default_rng(3)
    for number in range(4):
        rate, service, reload = random_mix(rng, 4, 0.5 + 0.1 * number)
        _, _, waits = simulate(rate, service, reload, requests=2_000_000, seed=number)
        server = SwappingServer(rate, service, reload)
        for level in (0.8, 0.95, 0.99):
            assert server.wait_percentile_us(level) == pytest.approx(float(np.quantile(waits, level)), rel=0.05)


def test_a_cpu_stage_shifts_and_spreads(random_mix):
    rate, service, reload = random_mix(np.random.default_rng(4), 3, 0.5)
    server = SwappingServer(rate, service, reload)
    plain = server.response_percentile_us(1, 0.9)
    assert server.response_percentile_us(1, 0.9, CpuStage(0.0, 0.0, 500.0, 0.0, 70.0)) == pytest.approx(
        plain + 570, rel=1e-6
    )
    assert server.response_percentile_us(1, 0.9, CpuStage(300.0, 0.2, 500.0)) > plain + 500


def test_estimate_from_means_is_exact_for_one_exponential_queue():
    """A wait that is 0 with probability 1 − ρ and otherwise exponential is the one of M/M/1."""
    wait = 0.7 / 0.3 * 1000
    quantile = wait / 0.7 * math.log(0.7 / 0.01)
    assert estimated_percentile_us(0.99, wait, 0.7, 250.0, 0.0, 0.0) == pytest.approx(250 + quantile, rel=1e-5)
    assert estimated_percentile_us(0.99, 0.0, 0.0, 250.0, 0.5, 100.0) == pytest.approx(350.0, rel=1e-6)
    assert estimated_percentile_us(0.3, 0.0, 0.0, 250.0, 0.5, 100.0) == pytest.approx(250.0, rel=1e-6)


def test_bad_input_is_refused():
    with pytest.raises(WorkloadError, match="level"):
        SwappingServer([1.0], [1.0], [1.0]).wait_percentile_us(1.0)
    with pytest.raises(WorkloadError, match="utilisation"):
        SwappingServer([1e6], [1.0], [1.0])
    with pytest.raises(WorkloadError, match="positive rates"):
        SwappingServer([1.0, 0.0], [1.0, 1.0], [1.0, 1.0])
