"""Prices against brute force: exact ones are differences of two optima, others are intervals that hold the truth."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from edgeplan.formulation import EdgePlanError, Problem, UnsupportedError
from edgeplan.interface.table import Cell
from edgeplan.interface.whatif import Knob, Price, Reply, knobs_of, prices, prices_data, prices_table, turned
from edgeplan.interface.whatif.answers import Played, played
from edgeplan.solvers import Solution, by_simulation, judge, solve
from edgeplan.solvers.policies import SIMULATED_REQUESTS
from hypothesis import given, settings
from hypothesis import strategies as st

from .problems import CASES, problem_of


@cache
def found_prices(kind: str, seed: int) -> tuple[Price, ...]:
    return prices(problem_of(kind, seed), method="auto", time_limit_s=30, requests=0)


def optimum(problem: Problem, price: Price) -> Solution | None:
    """By brute force, of the problem with the price's knob turned; None where nothing can run."""
    try:
        return solve(turned(problem, price.knob, price.turned), "brute_force")
    except EdgePlanError:
        return None


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_exact_prices_are_differences_of_two_optima(kind: str, seed: int) -> None:
    problem = problem_of(kind, seed)
    base = solve(problem, "brute_force")
    if base.objective is None:
        assert found_prices(kind, seed) == ()
        return
    for price in found_prices(kind, seed):
        if price.knob.subject == "m1" or (price.turned > price.value and price.knob.kind == "cores"):
            continue  # one of two models does, and three cores are many more plans than two
        other = optimum(problem, price)
        if other is None or other.objective is None:
            assert price.after.status == "infeasible"
            continue
        assert price.is_exact or price.after.status == "feasible"  # a plan on cores that the solver does not offer
        assert price.gain_us == pytest.approx(base.objective - other.objective, abs=1e-6)


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_relaxing_never_hurts_and_tightening_never_helps(kind: str, seed: int) -> None:
    for price in found_prices(kind, seed):
        if price.gain_us is not None and price.never_hurts:
            assert price.gain_us >= -1e-6 if price.direction == "relaxed" else price.gain_us <= 1e-6


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_every_knob_is_priced_in_both_directions_as_far_as_there_are(kind: str, seed: int) -> None:
    found = found_prices(kind, seed)
    if found:
        assert {price.knob for price in found} == set(knobs_of(problem_of(kind, seed)))
        assert len({(price.knob, price.direction) for price in found}) == len(found)


def test_a_limit_far_away_costs_nothing(problem: Problem) -> None:
    knob = Knob("memory", "ram")
    roomy = turned(problem, knob, 2**29)
    for price in prices(roomy, knobs=[knob], requests=0):
        assert price.is_exact
        assert price.gain_us == 0
        assert price.verdict == "free"


def test_a_limit_that_binds_is_told() -> None:
    problem = problem_of("latency of one", 7)
    tight = solve(problem, "brute_force")
    assert tight.evaluation is not None
    (memory,) = (m.name for m in problem.platform.memories)
    loose = solve(turned(problem, Knob("memory", memory), 2**40), "brute_force")
    (price,) = prices(problem, knobs=[Knob("memory", memory)], step=0.9, tighten=False, requests=0)
    assert tight.objective is not None
    assert loose.objective is not None
    assert price.gain_us is not None
    assert 0 <= price.gain_us <= tight.objective - loose.objective + 1e-6
    assert (price.verdict == "binds") == (price.gain_us > 1e-6 * tight.objective)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 500), min_size=4, max_size=4), st.sampled_from(CASES))
def test_intervals_hold_the_truth_whatever_was_left_unproven(slack: list[float], case: tuple[str, int]) -> None:
    for price in found_prices(*case):
        true_gain = price.gain_us
        if true_gain is None:
            continue
        sides = []
        for reply, above, below in ((price.before, *slack[:2]), (price.after, *slack[2:])):
            assert reply.objective_us is not None
            optimum_us = reply.objective_us
            sides.append(
                replace(reply, status="feasible", objective_us=optimum_us + above, bound_us=optimum_us - below)
            )
        low, high = replace(price, before=sides[0], after=sides[1]).interval_us
        assert low - 1e-6 <= true_gain <= high + 1e-6


def test_within_a_policy_the_price_starts_at_its_own_optimum(problem: Problem) -> None:
    pooled = next(c for c in by_simulation(problem, 8.0) if c.policy.name.startswith("pool"))
    assert pooled.solution.objective is not None
    found = prices(problem, pooled.solution, knobs=[Knob("memory", "ram")], requests=0)
    before = found[0].before
    assert before.objective_us is not None
    # The policy's plan may be up to 1 % above its optimum, for cuts that hardly pay are given up.
    assert 0.99 * pooled.solution.objective - 1 <= before.objective_us <= pooled.solution.objective * (1 + 1e-9)
    assert before.plan is not None
    assert all(s.configuration.threads == 1 for part in before.plan.models for s in part.segments)


def test_misses_count_as_the_judge_counts_them(problem: Problem, plan) -> None:
    here = played(problem, plan, SIMULATED_REQUESTS, seed=5)
    assert here.miss_ratio == pytest.approx(judge(problem, plan, seed=5).miss_ratio)
    assert min(here.model_p99_us.values()) <= here.p99_us <= max(here.model_p99_us.values())


def test_a_problem_without_a_plan_has_no_prices(problem: Problem) -> None:
    assert prices(turned(problem, Knob("memory", "ram"), 2**20), requests=0) == ()


def test_a_front_has_no_price(problem: Problem) -> None:
    alone = problem.replace(models=problem.models[:1], streams=problem.streams[:1], objective="front")
    with pytest.raises(UnsupportedError, match="front"):
        prices(alone)


def test_a_luckier_search_is_no_gain(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that finds less for the problem as it is than for a looser one, by a plan that fits both."""
    from edgeplan.interface.whatif.answers import Asker, Reply

    best = solve(problem)
    assert best.plan is not None
    assert best.objective is not None
    worse = solve(problem, "greedy")
    assert worse.objective is not None

    def ask(self: Asker, asked: Problem, known=None) -> Reply:
        if asked is problem:
            return Reply("feasible", worse.objective, None, worse.plan)
        return Reply("feasible", best.objective, None, best.plan)

    monkeypatch.setattr(Asker, "ask", ask)
    (price,) = prices(problem, knobs=[Knob("memory", "ram")], tighten=False, requests=0)
    assert price.gain_us == pytest.approx(0, abs=1e-6)


def test_tables_and_data_hold_every_price(problem: Problem) -> None:
    found = prices(problem, knobs=[Knob("memory", "ram"), Knob("rate", "large")], requests=200)
    table, data = prices_table(found), prices_data(found)
    assert len(table.rows) == len(found) == len(data["steps"])
    assert {row[0].text if isinstance(row[0], Cell) else row[0] for row in table.rows} == {"memory.ram", "rate.large"}
    assert isinstance(found[0].before.played, Played)
    assert data["before"]["simulated"]["p99_us"] > 0
    assert prices_table(()).rows == ()


def test_a_gap_that_nobody_knows_is_not_said_to_be_none() -> None:
    knob = Knob("memory", "ram")
    before, after = Reply("feasible", 2000.0, None), Reply("feasible", 1000.0, None)
    note = prices_table([Price(knob, "relaxed", 1.0, 2.0, before, after, True)]).note
    assert "feasible, not proven" in note
    assert "gap" not in note
    known = Reply("feasible", 2000.0, 1500.0)
    assert "gap 25.0 %" in prices_table([Price(knob, "relaxed", 1.0, 2.0, known, after, True)]).note
