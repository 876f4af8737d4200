"""Who is in the accelerator's memory, and what that does to the wait."""

import numpy as np
import pytest
from edgeplan.formulation.errors import UnsupportedError
from edgeplan.formulation.queueing import presence
from edgeplan.formulation.queueing.presence import lru_presence, set_presence
from edgeplan.formulation.queueing.residency import accelerator_wait
from edgeplan.formulation.queueing.swapping import exact_mean_wait_us, mixture_wait_us
from numba import njit


@njit
def replay(requests, sets, size, capacity, hits):
    """The memory, request by request: sets where `capacity` is 0, otherwise segments, least recently used first out."""
    inside, used = np.zeros(len(size), np.bool_), np.full(len(size), -1)
    for k, i in enumerate(requests):
        if capacity == 0 and k and sets[i] != sets[requests[k - 1]]:
            inside[:] = False
        hits[k] = inside[i]
        inside[i] = True
        used[i] = k
        while capacity and size[inside].sum() > capacity:
            oldest = i
            for j in range(len(size)):
                if inside[j] and used[j] < used[oldest]:
                    oldest = j
            inside[oldest] = False


@njit
def lindley(busy, gaps):
    waits = np.zeros(len(busy))
    for k in range(1, len(busy)):
        waits[k] = max(0.0, waits[k - 1] + busy[k - 1] - gaps[k - 1])
    return waits


def hits_of(rng, share, sets, size, capacity, length=400_000):
    requests = rng.choice(len(share), length, p=share)
    hits = np.zeros(length, np.bool_)
    replay(requests, sets, size, capacity, hits)
    return requests, hits


def cases(kind, number):
    rng = np.random.default_rng(7)
    for _ in range(number):
        n = int(rng.integers(2, 9))
        share = np.maximum(rng.dirichlet(np.ones(n)), 0.01)
        yield rng, share / share.sum(), rng.integers(0, 3, n), rng.integers(50, 700, n), 1000 if kind == "lru" else 0


@pytest.mark.parametrize("kind", ["co_compiled", "lru"])
def test_absence_is_as_often_as_in_a_replay(kind):
    for rng, share, sets, size, capacity in cases(kind, 8):
        exact = lru_presence(share, size, capacity) if capacity else set_presence(share, sets)
        requests, hits = hits_of(rng, share, sets, size, capacity)
        assert exact.exact
        for i in range(len(share)):
            own = hits[requests == i]
            # Absences of a tenant come in runs where its set seldom does; five standard errors leave room for that.
            assert 1 - own.mean() == pytest.approx(exact.absent[i], abs=5 * np.sqrt(0.5 / len(own)) + 1e-3)


@pytest.mark.parametrize("kind", ["co_compiled", "lru"])
def test_joint_absence_is_as_often_as_in_a_replay(kind):
    """P(j's request is a hit, and i absent at the next request), from requests of i right after those of j."""
    for rng, share, sets, size, capacity in cases(kind, 4):
        exact = lru_presence(share, size, capacity) if capacity else set_presence(share, sets)
        requests, hits = hits_of(rng, share, sets, size, capacity)
        for i in range(len(share)):
            for j in range(len(share)):
                pair = (requests[1:] == i) & (requests[:-1] == j)
                if pair.sum() < 2000:
                    continue
                before, after = hits[:-1][pair], hits[1:][pair]
                tolerance = 5 * np.sqrt(0.5 / pair.sum())
                assert np.mean(before & ~after) == pytest.approx(exact.absent_after_hit[i, j], abs=tolerance)
                assert np.mean(~before & ~after) == pytest.approx(exact.absent_after_miss[i, j], abs=tolerance)


@pytest.mark.parametrize("kind", ["co_compiled", "lru"])
def test_absence_after_a_request_averages_to_absence(kind):
    for _, share, sets, size, capacity in cases(kind, 30):
        found = lru_presence(share, size, capacity) if capacity else set_presence(share, sets)
        after = (found.absent_after_hit + found.absent_after_miss) @ share
        assert after == pytest.approx(found.absent, abs=1e-12)


def test_rounded_sizes_come_close_to_all_subsets(monkeypatch):
    rng = np.random.default_rng(5)
    share = rng.dirichlet(np.ones(12))
    size = rng.integers(50_000, 700_000, 12)
    exact = lru_presence(share, size, 2_000_000)
    monkeypatch.setattr(presence, "EXACT_TENANTS", 3)
    rounded = lru_presence(share, size, 2_000_000)
    assert exact.exact
    assert not rounded.exact
    assert rounded.absent == pytest.approx(exact.absent, abs=5e-3)


def test_policies_meet_where_they_must(random_mix):
    rate, service, reload = random_mix(np.random.default_rng(1), 5)
    five, one = np.arange(5), np.zeros(5, np.int64)
    size = np.full(5, 600)
    token = accelerator_wait(rate, service, reload, five, size, 1000, "token")
    assert token.exact
    assert token.wait_us == pytest.approx(exact_mean_wait_us(rate, service, reload), rel=1e-12)
    assert token.swap_probability == pytest.approx(1 - rate / rate.sum())
    for sets, room, kind in ((five, 1000, "co_compiled"), (one, 1000, "lru"), (one, 100, "lru")):
        same = accelerator_wait(rate, service, reload, sets, size, room, kind)
        assert same.exact
        assert same.wait_us == pytest.approx(token.wait_us, rel=1e-12)
        assert same.departure_scv(0) == pytest.approx(token.departure_scv(0))
    for sets, room, kind in ((one, 1000, "co_compiled"), (one, 3000, "lru")):
        none = accelerator_wait(rate, service, reload, sets, size, room, kind)
        assert none.exact
        assert not none.swap_probability.any()
        assert none.wait_us == pytest.approx(float(mixture_wait_us(rate, service, 0 * reload)), rel=1e-12)


def test_the_general_formula_is_near_the_exact_one_for_tokens(random_mix):
    """Sets of one through the approximation: it has the closed form of `swapping` in it."""
    from edgeplan.formulation.queueing.residency import correlated_wait
    from edgeplan.formulation.queueing.swapping import approximate_mean_wait_us

    rng = np.random.default_rng(2)
    for _ in range(20):
        rate, service, reload = random_mix(rng, int(rng.integers(2, 9)))
        total, n = rate.sum() / 1e6, len(rate)
        found = set_presence(rate / rate.sum(), np.arange(n))
        wait = correlated_wait(rate / rate.sum(), service * total, reload * total, np.zeros(n), np.zeros(n), found)
        assert wait / total == pytest.approx(float(approximate_mean_wait_us(rate, service, reload)), rel=1e-9)


def test_tenants_that_do_not_visit_count_for_nothing(random_mix):
    rate, service, reload = random_mix(np.random.default_rng(3), 3)
    there = accelerator_wait(rate, service, reload, [0, 1, 1], [5, 5, 5], 9, "co_compiled", 0.2)
    more = accelerator_wait(
        [*rate, 50.0], [*service, 0.0], [*reload, 0.0], [0, 1, 1, -1], [5, 5, 5, 0], 9, "co_compiled", 0.2
    )
    assert more.wait_us == pytest.approx(there.wait_us)
    assert more.swap_probability[3] == more.share[3] == 0.0
    empty = accelerator_wait(rate, service, reload, [-1, -1, -1], [0, 0, 0], 9, "lru")
    assert (empty.wait_us, empty.utilisation, empty.exact) == (0.0, 0.0, True)


def test_too_much_load_and_unknown_policies(random_mix):
    rate, service, reload = random_mix(np.random.default_rng(4), 3, 1.2)
    assert accelerator_wait(rate * 2, service, reload, [0, 1, 1], [5, 5, 5], 9, "co_compiled").wait_us == np.inf
    with pytest.raises(UnsupportedError, match="fifo"):
        accelerator_wait(rate, service, reload, [0, 1, 1], [5, 5, 5], 9, "fifo")


@pytest.mark.parametrize("kind", ["co_compiled", "lru"])
def test_mean_wait_is_close_to_a_simulation(kind):
    """Within a tenth, and closer on average than Pollaczek–Khinchine."""
    ours, plain = [], []
    for rng, share, sets, size, capacity in cases(kind, 12):
        service = 1000.0 * rng.lognormal(0.0, 1.0, len(share))
        reload = service.mean() * rng.uniform(0.0, 4.0, len(share))
        load = accelerator_wait(share, service, reload, sets, size, 1000, kind).utilisation
        rate = share * rng.uniform(0.2, 0.85) / load
        stage = accelerator_wait(rate, service, reload, sets, size, 1000, kind)
        requests, hits = hits_of(rng, share, sets, size, capacity, 1_000_000)
        busy = service[requests] + np.where(hits, 0.0, reload[requests])
        mean = lindley(busy, rng.exponential(1e6 / rate.sum(), len(busy))).mean()
        p, swap = stage.share, stage.swap_probability
        square = np.sum(p * (service**2 + swap * reload * (2 * service + reload)))
        ours.append(stage.wait_us / mean - 1)
        plain.append(rate.sum() / 1e6 * square / (2 * (1 - stage.utilisation)) / mean - 1)
    assert np.abs(ours).max() < 0.1
    assert np.abs(ours).mean() < 0.5 * np.abs(plain).mean()
