"""The decisions of the controller: quiet on noise, in time on a step, worth their cost, the same again."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from edgeplan.formulation import PlanError
from edgeplan.formulation.tenancy import Accelerator, Allocation, TenancyProblem, Tenant, TenantAllocation
from edgeplan.runtime_bridge.tenancy import (
    Answer,
    Belief,
    ControllerSettings,
    Decider,
    Journal,
    Outcome,
    TenantRecord,
    TenantWindow,
    Window,
    median_interval,
    poisson_rate,
    predicted_mean_us,
    propose,
    rehearse,
    replay,
    windows_of,
)
from edgeplan.solvers import solve
from edgeplan.solvers.tenancy import Reallocator
from pydantic import ValidationError
from scipy.stats import chi2

from .controlled import allocations, brute_force, predict, proposals, two_tenants, windows

FIRST, SWAPPED = (20.0, 2.0), (2.0, 20.0)


def rehearsed(
    rates: Callable[[float], tuple[float, ...]], seconds: float, seed: int = 0, **settings: object
) -> Journal:
    problem = two_tenants()
    allocation = brute_force(problem).allocation
    return rehearse(
        problem,
        allocation,
        windows(problem, allocation, rates, seconds, seed),
        proposals,
        ControllerSettings.model_validate(settings),
    )


def switches(journal: Journal) -> list[float]:
    return [c.decision.at_us / 1e6 for c in journal.decisions if c.decision.action == "switch"]


def step(t: float) -> tuple[float, float]:
    return FIRST if t < 30 else SWAPPED


def test_the_two_loads_want_different_allocations() -> None:
    assert brute_force(two_tenants(FIRST)).allocation != brute_force(two_tenants(SWAPPED)).allocation


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_an_hour_of_constant_rates_leads_to_no_switch(seed: int) -> None:
    assert switches(rehearsed(lambda _: FIRST, 3600, seed)) == []


def test_at_the_rates_where_two_allocations_are_equally_good_it_does_not_flap() -> None:
    """The worst place for a controller: whatever noise says, one of the two is a little better."""
    problem = two_tenants()
    ours, theirs = (brute_force(two_tenants(rates)).allocation for rates in (FIRST, SWAPPED))

    def advantage(share: float) -> float:
        mixed = two_tenants((22.0 * share, 22.0 * (1 - share)))
        return predict(mixed, ours) - predict(mixed, theirs)

    low, high = 0.1, 0.9
    assert advantage(low) > 0 > advantage(high)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if advantage(middle) > 0 else (low, middle)
    even = (22.0 * low, 22.0 * (1 - low))
    balanced = problem.replace(rate_hz=np.array(even))
    seen = windows(balanced, ours, lambda _: even, 3600)
    assert len(switches(rehearse(balanced, ours, seen, proposals))) <= 2


@pytest.mark.parametrize("seed", range(10))
def test_a_step_of_the_rates_leads_to_the_right_switch_within_six_seconds(seed: int) -> None:
    journal = rehearsed(step, 60, seed)
    times = switches(journal)
    assert times
    assert 30 < times[0] <= 36
    assert len(times) <= 2
    last = [c for c in journal.decisions if c.decision.action == "switch"][-1]
    assert last.answer.candidates[last.decision.chosen].allocation == brute_force(two_tenants(SWAPPED)).allocation


def test_a_tenant_that_falls_silent_keeps_the_floor_rate() -> None:
    journal = rehearsed(lambda t: FIRST if t < 10 else (20.0, 0.0), 60, floor_rate_hz=0.03)
    assert [c.question.after.rate_hz[1] for c in journal.decisions] == [0.03]


def test_costs_that_are_not_as_stated_are_learnt() -> None:
    problem = two_tenants()
    allocation = brute_force(problem).allocation
    seen = windows(problem, allocation, lambda _: FIRST, 60, cost=1.5)
    decisions = rehearse(problem, allocation, seen, proposals).decisions
    assert {d.quantity for c in decisions for d in c.question.drifts} <= {"service", "suffix"}
    belief = decisions[-1].question.after
    for part, service, suffix in zip(allocation.tenants, belief.service_factor, belief.suffix_factor, strict=True):
        assert service == pytest.approx(1.5 if part.point else 1.0, rel=0.03)
        assert suffix == pytest.approx(1.5 if part.cores else 1.0, rel=0.03)


def test_a_switch_that_costs_more_than_it_saves_is_not_made() -> None:
    cheap = rehearsed(step, 60)
    dear = rehearsed(step, 60, opening_us_per_session=1e9)
    assert switches(cheap)
    assert switches(dear) == []
    assert "less than the" in dear.decisions[0].decision.reason
    assert "below the" in rehearsed(step, 60, min_gain=0.99).decisions[0].decision.reason


def test_an_allocation_that_cannot_keep_up_is_left_whatever_the_switch_costs() -> None:
    problem = two_tenants((5.0, 5.0))
    everything = Allocation.model_validate({"tenants": [{"tenant": "a", "point": 2}, {"tenant": "b", "point": 2}]})
    rates = (45.0, 45.0)
    assert predict(two_tenants(rates), everything) == np.inf
    assert np.isfinite(predict(two_tenants(rates), brute_force(two_tenants(rates)).allocation))
    seen = windows(problem, everything, lambda t: rates, 20)
    first = rehearse(problem, everything, seen, proposals, ControllerSettings(opening_us_per_session=1e9)).decisions[0]
    assert first.decision.action == "switch"
    assert first.answer.candidates[0].mean_response_us is None
    assert "cannot keep up" in first.decision.reason


def test_where_nothing_keeps_up_or_the_solver_fails_it_says_so() -> None:
    problem = two_tenants()
    allocation = brute_force(problem).allocation

    def failing(_: object) -> SimpleNamespace:
        raise PlanError("solver", expected="luck", got="none", remedy="Try again.")

    for solver, why in ((lambda _: SimpleNamespace(allocation=None), "found no"), (failing, "the solver failed")):
        journal = rehearse(
            problem,
            allocation,
            windows(problem, allocation, step, 50),
            lambda p, a, b, solver=solver: propose(p, a, b, solver, predict),
        )
        assert all(c.decision.action == "keep" for c in journal.decisions)
        assert why in journal.decisions[0].decision.reason
    hopeless = rehearsed(lambda t: (900.0, 900.0), 10)
    assert "No allocation that was considered can keep up" in hopeless.decisions[0].decision.reason


def test_a_switch_that_fails_leaves_the_allocation_as_it_was() -> None:
    problem = two_tenants()
    allocation = brute_force(problem).allocation
    decider = Decider(problem, allocation, ControllerSettings(rest_s=4.0, horizon_s=30.0))
    failed_s, asked = [], []
    for window in windows(problem, allocation, step, 120):
        question = decider.look(window)
        if question is not None:
            asked.append(question)
            decider.decide(question, proposals(problem, allocation, decider.belief))
        if decider.switching_to is not None:
            failed_s.append(window.end_us / 1e6)
            decider.switched(Outcome(done=False, failure="no memory"))
    assert decider.allocation == allocation
    retries = [question for question in asked if not question.drifts]
    assert retries, "the load is as it was, so that nothing but the failure asks again"
    assert retries[0].why == "asked again after a failure"
    assert len(failed_s) < 12, "each failure waits longer than the one before"


def test_windows_of_rates_must_ascend() -> None:
    with pytest.raises(ValidationError, match="ascend"):
        ControllerSettings(rate_windows_s=(4.0, 2.0))


def test_alternatives_are_considered_by_name() -> None:
    problem = two_tenants()
    allocation = brute_force(problem).allocation
    other = brute_force(two_tenants(SWAPPED)).allocation
    journal = rehearse(
        problem,
        allocation,
        windows(problem, allocation, step, 60),
        lambda p, a, b: propose(p, a, b, brute_force, predict, lambda _: {"other": other}),
    )
    assert [c.name for c in journal.decisions[0].answer.candidates] == ["current", "solver", "other"]


@pytest.mark.parametrize("again", [None, proposals], ids=["recorded answers", "solved again"])
def test_a_journal_gives_the_same_decisions_bit_by_bit(again: Callable | None) -> None:
    journal = rehearsed(step, 60)
    replayed = replay(journal, again)
    assert replayed.difference is None
    assert replayed.events == journal.events[:-1]  # without the end
    assert [d.model_dump_json() for d in replayed.decisions] == [
        c.decision.model_dump_json() for c in journal.decisions
    ]


def test_a_replay_finds_what_was_tampered_with() -> None:
    journal = rehearsed(step, 60)
    at = next(i for i, event in enumerate(journal.events) if event.kind == "decision")
    events = list(journal.events)
    events[at] = events[at].model_copy(update={"reason": "because"})
    assert replay(Journal(journal.header, tuple(events))).difference == at
    missing = journal.events[: at - 2] + journal.events[at + 1 :]
    assert replay(Journal(journal.header, missing)).difference == at - 2


@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_the_interval_of_a_rate_is_garwoods(count: int) -> None:
    found = poisson_rate(count, 2.0, 0.9)
    assert found.low == pytest.approx(chi2.ppf(0.05, 2 * count) / 4 if count else 0.0)
    assert found.high == pytest.approx(chi2.ppf(0.95, 2 * count + 2) / 4)


def test_the_interval_of_a_median_covers_it_as_often_as_said() -> None:
    rng = np.random.default_rng(1)
    covered = [
        (found := median_interval(rng.exponential(1.0, 25).tolist(), 0.9)).low <= np.log(2) <= found.high
        for _ in range(2000)
    ]
    assert 0.9 <= np.mean(covered) <= 0.98


def test_a_trace_of_requests_becomes_windows() -> None:
    records = [
        TenantRecord(0, "a", 0, 1e6, 1e6, 1100000.0, True, 2e4, finish_us=1100000.0),
        TenantRecord(1, "b", 0, 1.2e6, cpu_start_us=1.2e6, cpu_end_us=1.7e6, finish_us=1.7e6),
        TenantRecord(2, "a", 1, 1.6e6, 1.6e6, 1.65e6, finish_us=1.65e6, error="lost"),
    ]
    first, second = windows_of(records, ("a", "b"), 0.5, version=0)
    assert [t.arrivals for t in first.tenants] == [1, 1]
    assert first.tenants[0] == TenantWindow(arrivals=1, service_us=(8e4,), reload_us=(2e4,), response_us=(1e5,))
    assert (second.tenants[0].arrivals, second.tenants[0].failed, second.tenants[0].service_us) == (1, 1, ())
    assert second.tenants[1].suffix_us == (pytest.approx(5e5),)
    assert isinstance(first, Window)


@pytest.mark.slow
def test_the_projects_own_solver_and_evaluator_drive_it() -> None:
    """Solved again by a solver that starts anew, a journal gives the same decisions too."""
    problem = two_tenants()
    allocation = solve(problem).allocation
    assert allocation is not None

    def fresh() -> Callable:
        reallocator = Reallocator(problem)
        return lambda p, a, b: propose(p, a, b, lambda q: reallocator.reallocate(problem=q), predicted_mean_us)

    journal = rehearse(problem, allocation, windows(problem, allocation, step, 60), fresh())
    assert len(switches(journal)) == 1
    last = [c for c in journal.decisions if c.decision.action == "switch"][-1]
    chosen = last.answer.candidates[last.decision.chosen]
    assert chosen.mean_response_us == pytest.approx(brute_mean(last.question.after), rel=0.01)
    assert replay(journal, fresh()).difference is None
    assert replay(journal).difference is None


def brute_mean(belief: Belief) -> float:
    """Least mean response of any allocation, by the evaluator."""
    seen = two_tenants().replace(rate_hz=np.array(belief.rate_hz))
    return min(predicted_mean_us(seen, a) for a in allocations(seen))


def test_streaming_stated_too_dear_leaves_a_problem_to_solve() -> None:
    # Streaming is stated as 10 ms, but whole requests take 5 ms: nothing is left for the service itself.
    device = Accelerator(name="npu", weight_capacity_bytes=1000, streaming_us_per_byte=10.0)
    tenant = Tenant.create("t", [0, np.inf, 4_000], [90_000, 50_000, 0], [0, 1000, 2000])
    problem = TenancyProblem.create([tenant], [20.0], device, 1)
    whole = Allocation(tenants=(TenantAllocation(tenant="t", point=2),))
    seen = [
        Window(
            start_us=k * 5e5,
            end_us=(k + 1) * 5e5,
            tenants=(TenantWindow(arrivals=10, service_us=(5_000.0,) * 10),),
        )
        for k in range(40)
    ]

    def proposals(problem: TenancyProblem, allocation: Allocation, belief: Belief) -> Answer:
        return propose(problem, allocation, belief, lambda _: SimpleNamespace(allocation=whole), lambda *_: 1_000.0)

    journal = rehearse(problem, whole, seen, proposals)
    assert len(journal.decisions) == 1
    assert 0 < journal.decisions[0].question.after.service_factor[0] <= 0.01
