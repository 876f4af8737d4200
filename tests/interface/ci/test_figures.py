"""Intervals of simulated figures: they cover the truth, and comparing the same requests narrows them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgeplan.formulation import Periodic, Plan, PlannedSegment, Problem
from edgeplan.interface.figures import FIGURES, SECTIONS, AssessedPlan, Simulation, difference, sectioned, subjects

PLAYED = Simulation(requests=3000, seed=5)


@pytest.mark.parametrize(
    ("statistic", "truth"),
    [
        (lambda x: float(np.mean(x)), 1.0),
        (lambda x: float(np.quantile(x, 0.5)), math.log(2)),
        (lambda x: float(np.quantile(x, 0.99)), math.log(100)),
        (lambda x: float(np.mean(x > 2)), math.exp(-2)),
    ],
    ids=["mean", "median", "p99", "share"],
)
def test_intervals_cover_the_truth(statistic, truth: float) -> None:
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(400):
        # Correlated, as responses are: moving maxima would be biased, so the same value simply comes several times.
        found = sectioned(np.repeat(rng.exponential(size=500), 4)[:, None], statistic)
        covered += found.low <= truth <= found.high
    # 95 % is stated; four standard errors of 400 trials are 4 %.
    assert covered / 400 >= 0.91


def test_what_does_not_vary_has_no_width() -> None:
    found = sectioned(np.full((100, 1), 7.0), lambda x: float(np.quantile(x, 0.99)))
    assert (found.value, found.low, found.high) == (7.0, 7.0, 7.0)


def test_few_values_have_no_interval_and_none_are_unknown() -> None:
    few = sectioned(np.arange(2.0 * SECTIONS - 1)[:, None], lambda x: float(np.mean(x)))
    assert few.value == pytest.approx(SECTIONS - 1)
    assert math.isnan(few.half_width)
    assert math.isnan(sectioned(np.empty((0, 1)), lambda x: float(np.mean(x))).value)


def test_a_plan_does_not_differ_from_itself(problem: Problem, plan: Plan) -> None:
    assessed = AssessedPlan.of(problem, plan, PLAYED)
    for figure in FIGURES.values():
        for subject in subjects(problem, figure):
            for relative in (False, True):
                change = difference(assessed, assessed, figure, subject, relative)
                assert (change.value, change.low, change.high) == (0, 0, 0)


def test_paired_differences(problem: Problem, plan: Plan) -> None:
    """Whole models instead of segments: what changes is certain though either figure alone is vague."""
    large = plan.models[1]
    whole = large.model_copy(update={"segments": (large.segments[0].model_copy(update={"stop": 8}),)})
    old = AssessedPlan.of(problem, plan, PLAYED)
    new = AssessedPlan.of(problem, plan.model_copy(update={"models": (plan.models[0], whole)}), PLAYED)
    for figure in FIGURES.values():
        for subject in subjects(problem, figure):
            before, after = old.estimate(figure, subject), new.estimate(figure, subject)
            change = difference(old, new, figure, subject)
            backwards = difference(new, old, figure, subject)
            assert backwards.value == -change.value
            if math.isfinite(before.value):
                assert change.value == pytest.approx(after.value - before.value, abs=1e-9)
                share = difference(old, new, figure, subject, relative=True)
                if before.value:
                    assert share.value == pytest.approx(after.value / before.value - 1, abs=1e-12)
    mean = FIGURES["mean_us"]
    paired = difference(old, new, mean, "large")
    assert paired.half_width < old.estimate(mean, "large").half_width
    assert paired.high < 0  # two fixed costs less


def on_one(segment: PlannedSegment) -> PlannedSegment:
    return segment.model_copy(update={"cores": (0,)})


def test_where_nothing_is_random_there_is_no_interval(problem: Problem, plan: Plan) -> None:
    steady = Periodic(period_us=130_000)
    streams = (problem.streams[0], problem.streams[1].model_copy(update={"arrival": steady}))
    parts = [part.model_copy(update={"segments": tuple(on_one(s) for s in part.segments)}) for part in plan.models]
    crowded = plan.model_copy(update={"models": tuple(parts)})
    assessed = AssessedPlan.of(problem.replace(streams=streams), crowded, PLAYED)
    mean = FIGURES["mean_us"]
    found = assessed.estimate(mean, "small")
    assert found.low == found.value == found.high
    assert found.value == pytest.approx(assessed.responses["small"].response_us.mean())
    columns = assessed.responses["small"].response_us[:, None]
    assert sectioned(columns, lambda x: float(np.mean(x))).half_width > 0, "stretches differ all the same"
    other = AssessedPlan.of(assessed.problem, crowded, Simulation(PLAYED.requests, seed=PLAYED.seed + 1))
    assert other.estimate(mean, "small") == found
    random = AssessedPlan.of(problem, crowded, PLAYED)
    assert random.estimate(mean, "small").half_width > 0


@pytest.mark.parametrize("requests", [5, 50, 5000])
def test_that_none_was_seen_to_be_late_is_no_proof(problem: Problem, plan: Plan, requests: int) -> None:
    few = Simulation(requests, seed=5)
    assessed = AssessedPlan.of(problem, plan, few)
    n = len(assessed.responses["small"].response_us)
    found = assessed.estimate(FIGURES["miss_ratio"], "small")
    assert (found.value, found.low) == (0, 0)
    # So rare that none comes among so many with the chance that the interval leaves.
    assert (1 - found.high) ** n == pytest.approx(0.025)
    never = problem.replace(streams=(problem.streams[0].model_copy(update={"deadline_us": 1.0}), problem.streams[1]))
    always = AssessedPlan.of(never, plan, few).estimate(FIGURES["miss_ratio"], "small")
    assert (always.value, always.high, always.low) == (1, 1, pytest.approx(1 - found.high))


def test_what_has_no_deadline_misses_none_for_sure(problem: Problem, plan: Plan) -> None:
    large = problem.streams[1].model_copy(update={"deadline_us": None})
    assessed = AssessedPlan.of(problem.replace(streams=(problem.streams[0], large)), plan, PLAYED)
    found = assessed.estimate(FIGURES["miss_ratio"], "large")
    assert (found.value, found.low, found.high) == (0, 0, 0)
