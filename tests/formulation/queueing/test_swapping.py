"""The wait for a server that swaps: limits, an algebra of its own, bounds, simulation."""

import numpy as np
import pytest
from edgeplan.formulation.errors import CostError, WorkloadError
from edgeplan.formulation.queueing.moments import wait_moments_us
from edgeplan.formulation.queueing.swapping import (
    approximate_mean_wait_us,
    exact_mean_wait_us,
    mixture_wait_us,
    pollaczek_khinchine_wait_us,
    wait_bounds_us,
)

FORMULAS = (exact_mean_wait_us, approximate_mean_wait_us, lambda *mix: wait_bounds_us(*mix)[0])


def test_pollaczek_khinchine_of_constant_and_exponential_services():
    assert pollaczek_khinchine_wait_us(1e5, 5.0, 25.0) == pytest.approx(2.5)
    assert pollaczek_khinchine_wait_us(1e5, 5.0, 50.0) == pytest.approx(5.0)


@pytest.mark.parametrize("formula", [*FORMULAS, mixture_wait_us])
@pytest.mark.parametrize("scv", [0.0, 0.7])
def test_one_tenant_never_swaps_again(formula, scv):
    wait = formula([100.0], [4000.0], [30_000.0], scv, scv)
    assert float(wait) == pytest.approx(float(pollaczek_khinchine_wait_us(100.0, 4000.0, 16e6 * (1 + scv))), rel=1e-12)


@pytest.mark.parametrize("formula", FORMULAS)
def test_without_swap_times_it_is_pollaczek_khinchine(formula, random_mix):
    rng = np.random.default_rng(1)
    for _ in range(20):
        rate, service, reload = random_mix(rng)
        mix = (rate, service, 0.0 * reload, 0.5)
        assert float(formula(*mix)) == pytest.approx(float(mixture_wait_us(*mix)), rel=1e-9)


@pytest.mark.parametrize("n", [2, 5, 16])
def test_equal_tenants_meet_the_closed_form(n):
    """Equal tenants leave the server idle equally often: bounds, approximation and exact wait are one."""
    mix = (np.full(n, 400.0 / n), np.full(n, 700.0), np.full(n, 900.0))
    exact = exact_mean_wait_us(*mix)
    p = 1 / n
    square = 700.0**2 + (1 - p) * 900 * (2 * 700 + 900)
    assert exact == pytest.approx(float(pollaczek_khinchine_wait_us(400.0, 700 + (1 - p) * 900, square)), rel=1e-12)
    assert float(approximate_mean_wait_us(*mix)) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-8, 1e-10, 1e-12, 1e-14, 0.0])
def test_almost_equal_tenants_are_no_trouble(step):
    """Next to equal zeros of the denominators the wait is continuous: its change is of the order of the step."""
    rate, service, reload = np.array([50.0, 50, 50, 80]), np.array([3e3, 3e3, 3e3, 1e3]), np.array([4e3, 4e3, 4e3, 2e3])
    there = exact_mean_wait_us(rate, service, reload)
    moved = exact_mean_wait_us(rate * [1, 1 + step, 1, 1], service * [1, 1, 1 + step, 1], reload)
    assert moved == pytest.approx(there, rel=5 * step + 1e-7)


@pytest.mark.parametrize("tiny", [1e-3, 1e-6, 1e-9, 1e-12])
def test_tenants_that_hardly_come_hardly_matter(tiny):
    rate, service, reload = np.array([100.0, 60]), np.array([3e3, 4e3]), np.array([2e3, 3e3])
    alone = exact_mean_wait_us(rate, service, reload)
    more = exact_mean_wait_us([*rate, tiny, 2 * tiny], [*service, 2e3, 1e3], [*reload, 3e3, 5e3])
    assert more == pytest.approx(alone, rel=3 * tiny + 1e-10)
    assert exact_mean_wait_us([*rate, 0.0], [*service, 2e3], [*reload, 3e3]) == alone


def test_no_service_time_and_extreme_swaps(random_mix):
    rng = np.random.default_rng(3)
    for case in range(300):
        rate, service, reload = random_mix(rng, int(rng.integers(2, 17)))
        which = rng.random(len(rate)) < 0.5
        if case % 2:
            service = np.where(which, 0.0, service)
        else:
            reload = np.where(which, 1e4 * service, 0.0)
        p = rate / rate.sum()
        rate *= rng.choice([0.05, 0.5, 0.99, 0.999999]) / np.sum(rate * (service + (1 - p) * reload)) * 1e6
        low, high = wait_bounds_us(rate, service, reload)
        exact = exact_mean_wait_us(rate, service, reload)
        assert low * (1 - 1e-9) <= exact <= high * (1 + 1e-9)
        # The series cancel 1 − ρ, so that they know less than the closed form.
        assert wait_moments_us(rate, service, reload)[0] == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("load", [1.0, 1.3])
@pytest.mark.parametrize("formula", [*FORMULAS, mixture_wait_us])
def test_too_much_load_waits_for_ever(formula, load, random_mix):
    rate, service, reload = random_mix(np.random.default_rng(4), 3, load * (1 + 1e-12))
    assert formula(rate, service, reload) == np.inf


def test_nothing_arrives():
    assert exact_mean_wait_us([0.0, 0.0], [1.0, 2.0], [1.0, 2.0]) == 0.0
    assert mixture_wait_us([0.0, 0.0], [1.0, 2.0], [1.0, 2.0]) == 0.0


@pytest.mark.parametrize("scv", [(0.0, 0.0), (0.4, 0.0), (0.3, 2.0)])
def test_bounds_hold_and_are_as_close_as_claimed(scv, random_mix):
    rng = np.random.default_rng(5)
    for _ in range(400):
        rate, service, reload = random_mix(rng)
        low, high = wait_bounds_us(rate, service, reload, *scv)
        exact = exact_mean_wait_us(rate, service, reload, *scv)
        y = rate / rate.sum() * reload
        assert low * (1 - 1e-10) <= exact <= high * (1 + 1e-10)
        assert low <= approximate_mean_wait_us(rate, service, reload, *scv) <= high
        assert high - low <= np.ptp(y) * (1 + 1e-9)
        # The transform's own power series: it shares the idle weights with the closed form, and nothing else.
        assert wait_moments_us(rate, service, reload, *scv)[0] == pytest.approx(exact, rel=1e-9)


def test_heavy_traffic_leaves_only_the_closed_form(random_mix):
    rate, service, reload = random_mix(np.random.default_rng(6), 5, 0.99999)
    low, high = wait_bounds_us(rate, service, reload)
    assert high / low - 1 < 1e-4


def test_units_and_order_do_not_matter(random_mix):
    rate, service, reload = random_mix(np.random.default_rng(7), 9)
    exact = exact_mean_wait_us(rate, service, reload, 0.2, 0.1)
    assert exact_mean_wait_us(rate / 60, service * 60, reload * 60, 0.2, 0.1) == pytest.approx(60 * exact, rel=1e-11)
    turned = np.random.default_rng(8).permutation(9)
    assert exact_mean_wait_us(rate[turned], service[turned], reload[turned], 0.2, 0.1) == pytest.approx(
        exact, rel=1e-11
    )


def test_closed_forms_take_many_mixes_at_once(random_mix):
    rng = np.random.default_rng(9)
    mixes = [random_mix(rng, 4) for _ in range(6)]
    stacked = [np.array(part).reshape(2, 3, 4) for part in zip(*mixes, strict=True)]
    both = np.array(wait_bounds_us(*stacked)).reshape(2, 6)
    assert approximate_mean_wait_us(*stacked).shape == (2, 3)
    for k, mix in enumerate(mixes):
        assert tuple(both[:, k]) == tuple(float(b) for b in wait_bounds_us(*mix))
        assert mixture_wait_us(*stacked).reshape(-1)[k] == pytest.approx(float(mixture_wait_us(*mix)))


def test_bad_input_is_refused():
    with pytest.raises(WorkloadError, match="rate_hz"):
        exact_mean_wait_us([-1.0], [1.0], [1.0])
    with pytest.raises(CostError, match="reload_us"):
        wait_bounds_us([1.0], [1.0], [np.nan])
    with pytest.raises(CostError, match="broadcast"):
        exact_mean_wait_us([1.0, 2.0], [1.0, 2.0, 3.0], [1.0])
    with pytest.raises(WorkloadError, match="one entry a class"):
        exact_mean_wait_us([], [], [])


def check_against_simulation(simulate, random_mix, mixes, requests, seed):
    """Every mix within its interval at 99 % for all of them together (Bonferroni: each at 1 − 0.01/mixes)."""
    rng = np.random.default_rng(seed)
    plain = 0
    for number in range(mixes):
        rate, service, reload = random_mix(rng)
        scv = [(0.0, 0.0), (0.0, 0.0), (0.5, 1.5)][number % 3]
        exact = exact_mean_wait_us(rate, service, reload, *scv)
        mean, half, _ = simulate(rate, service, reload, scv, requests, number, 1 - 0.01 / mixes)
        assert abs(exact - mean) <= half, f"mix {number}: {exact} is not in {mean} ± {half}"
        plain += abs(float(mixture_wait_us(rate, service, reload, *scv)) - mean) > half
    # The intervals are narrow enough to refuse a formula that is wrong.
    assert plain >= mixes / 8


def test_exact_wait_agrees_with_simulation(simulate, random_mix):
    check_against_simulation(simulate, random_mix, 20, 2_000_000, 10)


@pytest.mark.slow
def test_exact_wait_agrees_with_simulation_on_many_mixes(simulate, random_mix):
    check_against_simulation(simulate, random_mix, 200, 2_000_000, 11)


def test_second_moment_agrees_with_simulation(simulate, random_mix):
    rng = np.random.default_rng(12)
    for number in range(6):
        rate, service, reload = random_mix(rng, load=0.3 + 0.08 * number)
        _, _, waits = simulate(rate, service, reload, requests=2_000_000, seed=number)
        assert wait_moments_us(rate, service, reload)[1] == pytest.approx(float(np.mean(waits**2)), rel=0.08)
