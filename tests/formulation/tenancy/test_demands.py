"""Demands of allocations against rules written down once more, for tenants drawn at random."""

import itertools

import numpy as np
import pytest
from edgeplan.formulation import (
    Accelerator,
    Allocation,
    CoCompiledResidency,
    LruResidency,
    PlanError,
    TenancyProblem,
    Tenant,
    TenantAllocation,
    TokenResidency,
)
from edgeplan.formulation.tenancy import demands, reload_us, service_us
from hypothesis import given, settings
from hypothesis import strategies as st

CAPACITY = 1000
POLICIES = {"token": TokenResidency(), "co_compiled": CoCompiledResidency(), "lru": LruResidency()}


def device(residency, **changes):
    return Accelerator(
        name="npu",
        weight_capacity_bytes=CAPACITY,
        residency=residency,
        reload_fixed_us=20,
        reload_us_per_byte=0.5,
        streaming_fixed_us=7,
        streaming_us_per_byte=0.25,
        handover_fixed_us=3,
        handover_us_per_byte=0.1,
    ).model_copy(update=changes)


@st.composite
def tenancies(draw, kind):
    """A problem with costs by rule, and an allocation that fits it."""
    n = draw(st.integers(1, 5))
    tenants, parts = [], []
    for i in range(n):
        points = draw(st.integers(2, 5))
        weights = sorted(draw(st.lists(st.integers(0, 1500), min_size=points - 1, max_size=points - 1)))
        tenants.append(
            Tenant.create(
                f"t{i}",
                [0.0, *(100.0 * k for k in range(1, points))],
                [float(50 * (points - 1 - k)) for k in range(points)],
                [0, *weights],
                [0, *draw(st.lists(st.integers(0, 90), min_size=points - 1, max_size=points - 1))],
                speedup=(1.0, 1.5),
            )
        )
        point = draw(st.integers(0, points - 1))
        threads = draw(st.integers(1, 2))
        cores = threads * draw(st.integers(1, 2)) if point < points - 1 else 0
        parts.append(TenantAllocation(tenant=f"t{i}", point=point, cores=cores, threads=threads))
    problem = TenancyProblem.create(tenants, np.ones(n), device(POLICIES[kind]), 4 * n)
    sets = ()
    if kind == "co_compiled" and draw(st.booleans()):
        order = draw(st.permutations([t.name for t in tenants]))
        cut = draw(st.integers(0, n))
        sets = tuple(members for members in (tuple(order[:cut]), tuple(order[cut:])) if members)
    return problem, Allocation(tenants=tuple(parts), co_compiled=sets)


def listed_sets(problem, allocation):
    return allocation.co_compiled or (tuple(t.name for t in problem.tenants),)


def check(problem, allocation):
    """Everything that holds under every policy; returns the demands and the residents by hand."""
    asked = demands(problem, allocation)
    streaming = problem.accelerator
    for i, (tenant, part) in enumerate(zip(problem.tenants, allocation.tenants, strict=True)):
        whole, on_cpu = int(tenant.weight_bytes[part.point]), tenant.cpu_us[part.point] > 0
        resident = int(asked.resident_bytes[i])
        assert asked.on_accelerator[i] == (part.point > 0)
        assert 0 <= resident <= min(whole, CAPACITY)
        if part.point == 0:
            assert (asked.residency_set[i], asked.service_us[i], asked.reload_us[i]) == (-1, 0, 0)
        else:
            streamed = whole - resident
            extra = streaming.streaming_fixed_us + streaming.streaming_us_per_byte * streamed if streamed else 0
            assert asked.service_us[i] == pytest.approx(tenant.accelerator_us[part.point] + extra)
            assert asked.reload_us[i] == pytest.approx(20 + 0.5 * resident if resident else 0)
        both = part.point > 0 and on_cpu
        assert asked.handover_us[i] == pytest.approx(3 + 0.1 * tenant.handover_bytes[part.point] if both else 0)
        speedup = tenant.speedup[part.threads - 1]
        assert asked.cpu_us[i] == pytest.approx(tenant.cpu_us[part.point] / speedup if on_cpu else 0)
        assert asked.servers[i] == (part.cores // part.threads if on_cpu else 0)
    return asked


@settings(max_examples=80, deadline=None)
@given(case=st.sampled_from(["token", "lru"]).flatmap(tenancies))
def test_separately_compiled_models_use_the_whole_memory(case):
    problem, allocation = case
    asked = check(problem, allocation)
    on = np.flatnonzero(asked.on_accelerator)
    for i in on:
        assert asked.resident_bytes[i] == min(problem.tenants[i].weight_bytes[allocation.tenants[i].point], CAPACITY)
    alone = problem.accelerator.residency.kind == "token"
    assert len(set(asked.residency_set[on])) == (len(on) if alone else min(1, len(on)))


@settings(max_examples=120, deadline=None)
@given(case=tenancies("co_compiled"))
def test_co_compiled_models_are_given_memory_in_their_order(case):
    problem, allocation = case
    asked = check(problem, allocation)
    names = [t.name for t in problem.tenants]
    for number, members in enumerate(listed_sets(problem, allocation)):
        room = CAPACITY
        for i in (names.index(name) for name in members):
            if not asked.on_accelerator[i]:
                continue
            assert asked.residency_set[i] == number
            given_ = min(room, int(problem.tenants[i].weight_bytes[allocation.tenants[i].point]))
            assert asked.resident_bytes[i] == given_
            room -= given_


@settings(max_examples=60, deadline=None)
@given(case=tenancies("co_compiled"), data=st.data())
def test_who_moves_to_the_front_of_its_set_gets_no_less(case, data):
    problem, allocation = case
    sets = listed_sets(problem, allocation)
    chosen = data.draw(st.sampled_from(sorted(itertools.chain.from_iterable(sets))))
    moved = tuple(tuple(sorted(members, key=lambda name: name != chosen)) for members in sets)
    i = [t.name for t in problem.tenants].index(chosen)
    before, after = demands(problem, allocation), demands(problem, allocation.model_copy(update={"co_compiled": moved}))
    assert after.resident_bytes[i] >= before.resident_bytes[i]
    assert after.service_us[i] <= before.service_us[i]
    others = np.arange(len(problem.tenants)) != i
    assert np.all(after.resident_bytes[others] <= before.resident_bytes[others])


def one(**changes):
    costs = {"accelerator_us": [0, 100], "cpu_us": [500, 0], "weight_bytes": [0, 1400]} | changes
    return TenancyProblem.create([Tenant.create("t", **costs)], [1], device(TokenResidency()), 1)


def test_measured_reloads_go_before_the_rule():
    problem = one(reload_us=[np.nan, 300.0])
    assert reload_us(problem, 0, 1, 1000) == 300
    # 400 bytes less, at the device's rate a byte, and never less than nothing.
    assert reload_us(problem, 0, 1, 600) == 300 - 0.5 * 400
    assert reload_us(problem, 0, 1, 100) == 0
    assert reload_us(problem, 0, 1, 0) == 0
    assert reload_us(one(), 0, 1, 600) == 20 + 0.5 * 600


def test_a_reload_that_was_measured_needs_no_weights():
    unknown = one(weight_bytes=[0, 0], reload_us=[np.nan, 300.0])
    assert reload_us(unknown, 0, 1, 0) == 300
    assert reload_us(one(weight_bytes=[0, 0]), 0, 1, 0) == 0
    assert reload_us(one(weight_bytes=[0, 0], reload_us=[np.nan, np.nan]), 0, 1, 0) == 0


def test_measured_streaming_goes_before_the_rule():
    assert service_us(one(), 0, 1, 1000) == 100 + 7 + 0.25 * 400
    assert service_us(one(), 0, 1, 600) == 100 + 7 + 0.25 * 800
    measured = one(streaming_us=[np.nan, 60.0])
    assert service_us(measured, 0, 1, 1000) == 160
    assert service_us(measured, 0, 1, 600) == 160 + 0.25 * 400
    within = one(streaming_us=[np.nan, 0.0])
    assert service_us(within, 0, 1, 1000) == 100
    assert service_us(within, 0, 1, 600) == 100 + 7 + 0.25 * 400


def test_measured_resident_bytes_go_before_the_capacity():
    problem = one(resident_bytes=[0, 900])
    asked = demands(problem, Allocation(tenants=(TenantAllocation(tenant="t", point=1),)))
    assert asked.resident_bytes.tolist() == [900]
    assert asked.service_us.tolist() == [100 + 7 + 0.25 * 500]
    assert asked.reload_us.tolist() == [20 + 0.5 * 900]


def test_a_device_that_cannot_stream_refuses_sets_that_do_not_fit():
    two = [Tenant.create(name, [0, 10], [np.inf, 0], [0, 600]) for name in ("a", "b")]
    strict = device(CoCompiledResidency(), streaming_us_per_byte=None)
    problem = TenancyProblem.create(two, [1, 1], strict, 0)
    tenants = tuple(TenantAllocation(tenant=name, point=1) for name in ("a", "b"))
    with pytest.raises(PlanError, match=r"tenant .b.: .* a streaming cost"):
        demands(problem, Allocation(tenants=tenants))
    apart = demands(problem, Allocation(tenants=tenants, co_compiled=(("b",), ("a",))))
    assert apart.resident_bytes.tolist() == [600, 600]
    assert apart.residency_set.tolist() == [1, 0]


def pair(residency="co_compiled"):
    tenants = [Tenant.create(name, [0, 10, 20], [40, 20, 0], [0, 5, 9], speedup=(1, 2)) for name in ("a", "b")]
    return TenancyProblem.create(tenants, [1, 1], device(POLICIES[residency]), 4)


@pytest.mark.parametrize(
    ("parts", "sets", "said"),
    [
        ([("b", 2, 0, 1), ("a", 2, 0, 1)], (), "expected a, b, got b, a"),
        ([("a", 2, 0, 1)], (), "expected a, b, got a"),
        ([("a", 3, 0, 1), ("b", 2, 0, 1)], (), "partition point: expected one of 0, 1, 2, got 3"),
        ([("a", 1, 0, 1), ("b", 2, 0, 1)], (), "a core or more"),
        ([("a", 1, 3, 2), ("b", 2, 0, 1)], (), "3 cores and 2 threads"),
        ([("a", 1, 3, 3), ("b", 2, 0, 1)], (), "at most 2"),
        ([("a", 1, 3, 1), ("b", 0, 2, 1)], (), "at most 4 in all, got 5"),
        ([("a", 2, 0, 1), ("b", 2, 0, 1)], (("a",),), "each of a, b in one set, got a"),
        ([("a", 2, 0, 1), ("b", 2, 0, 1)], (("a", "b"), ("a",)), "in one set"),
        ([("a", 2, 0, 1), ("b", 2, 0, 1)], (("a", "b", "c"),), "in one set"),
    ],
)
def test_an_allocation_that_does_not_fit_is_refused(parts, sets, said):
    tenants = tuple(TenantAllocation(tenant=t, point=p, cores=c, threads=k) for t, p, c, k in parts)
    with pytest.raises(PlanError, match=said):
        demands(pair(), Allocation(tenants=tenants, co_compiled=sets))


def test_a_tenant_that_stays_off_the_accelerator_needs_no_set():
    tenants = (TenantAllocation(tenant="a", point=0, cores=1), TenantAllocation(tenant="b", point=2))
    for sets in ((("b",),), (("a", "b"),)):
        asked = demands(pair(), Allocation(tenants=tenants, co_compiled=sets))
        assert asked.residency_set.tolist() == [-1, 0]


@pytest.mark.parametrize("kind", ["token", "lru"])
def test_sets_are_for_co_compiled_models_only(kind):
    tenants = tuple(TenantAllocation(tenant=name, point=2) for name in ("a", "b"))
    with pytest.raises(PlanError, match=f"residency is '{kind}'"):
        demands(pair(kind), Allocation(tenants=tenants, co_compiled=(("a", "b"),)))
