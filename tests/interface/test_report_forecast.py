"""What is foretold of a plan follows from its simulation, and its intervals hold what they promise."""

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from edgeplan.formulation import Periodic, Plan, Problem, SimulatedRun, evaluate, simulate
from edgeplan.interface.report.forecast import (
    KEPT_BARS,
    LEAST_BEYOND,
    SECTIONS,
    ModelForecast,
    forecast,
    memory_steps,
    resident_bytes,
    schedule,
)

from . import report_cases as cases


@pytest.fixture(scope="module")
def crowd() -> tuple[Problem, Plan]:
    made = cases.problem([f"m{k}" for k in range(5)], cores=3, rate_hz=60)
    return made, cases.plan(made)


def test_runs_keep_to_the_plan_and_no_core_is_taken_twice(crowd: tuple[Problem, Plan]) -> None:
    problem, plan = crowd
    played = schedule(problem, plan, evaluate(problem, plan), seed=5)
    models = evaluate(problem, plan).models
    of_core = defaultdict(list)
    for run in played.runs:
        segment = models[run.model].segments[run.segment]
        ways = [(segment.planned, segment.latency_us), *zip(segment.planned.gangs, segment.gang_us, strict=True)]
        way, took_us = ways[0 if run.gang is None else run.gang + 1]
        assert len(run.cores) == way.configuration.threads
        assert set(run.cores) <= set(way.cores)
        assert run.finish_us - run.start_us == pytest.approx(took_us)
        for core in run.cores:
            of_core[core].append(run)
    for runs in of_core.values():
        assert all(a.finish_us <= b.start_us + 1e-6 for a, b in pairwise(runs))
    assert any(run.gang is not None for run in played.runs)
    assert {run.model for run in played.runs} == set(models)


def test_runs_end_when_the_responses_say(crowd: tuple[Problem, Plan]) -> None:
    problem, plan = crowd
    runs: list[SimulatedRun] = []
    responses = simulate(problem, plan, 1e6, seed=2, on_run=runs.append)
    assert simulate(problem, plan, 1e6, seed=2)["m1"].response_us == pytest.approx(responses["m1"].response_us)
    last = {(run.model, run.request): run.finish_us for run in runs}
    for name in ("m1", "m4"):  # whose segments all lie in one memory: no transfer follows
        of = responses[name]
        ends = [last[name, i] for i in range(len(of.arrival_us))]
        assert ends == pytest.approx(list(of.arrival_us + of.response_us))
    starts = [run.start_us for run in runs]
    assert starts == sorted(starts)


def test_a_schedule_is_bounded_and_knows_who_is_late() -> None:
    problem = cases.problem(["a", "b"], cores=1, rate_hz=400)
    plan = cases.plan(problem)
    played = schedule(problem, plan, evaluate(problem, plan))
    assert sum(len(run.cores) for run in played.runs) <= KEPT_BARS
    assert played.late
    assert 0 < played.busy_us(0) <= played.window_us * (1 + 1e-9)


def test_without_streams_everybody_asks_once() -> None:
    problem = cases.problem(["a", "b", "c"], cores=2, streams=False)
    plan = cases.plan(problem)
    assert forecast(problem, plan, 1000) is None
    played = schedule(problem, plan, evaluate(problem, plan))
    assert played.at_once
    assert {(run.model, run.request) for run in played.runs} == {("a", 0), ("b", 0), ("c", 0)}
    assert played.end_us == max(run.finish_us for run in played.runs)


def test_memory_along_the_schedule_is_what_the_runs_need(crowd: tuple[Problem, Plan]) -> None:
    problem, plan = crowd
    evaluation = evaluate(problem, plan)
    played = schedule(problem, plan, evaluation, seed=1)
    for memory in ("ram", "npu memory"):
        times_us, used = memory_steps(evaluation, played, memory)
        base = resident_bytes(evaluation, memory)
        for at in np.random.default_rng(0).uniform(played.begin_us, played.end_us, 50):
            needed = base
            for run in played.runs:
                segment = evaluation.models[run.model].segments[run.segment]
                if segment.memory == memory and run.start_us <= at < run.finish_us:
                    needed += segment.transient_bytes
            assert used[np.searchsorted(times_us, at, side="right") - 1] == pytest.approx(needed)
        assert used.min() >= base
        assert used.max() > base


def test_intervals_hold_the_true_percentile() -> None:
    rng = np.random.default_rng(1)
    trials, covered = 300, 0
    for _ in range(trials):
        model = ModelForecast(tuple(rng.exponential(1000.0, 400) for _ in range(SECTIONS)), 2000.0)
        estimate = model.percentile_us(0.9)
        covered += abs(estimate.value - 1000 * np.log(10)) <= estimate.half_width
    assert covered / trials > 0.9
    share = model.miss_ratio
    assert abs(share.value - np.exp(-2)) < 3 * share.half_width


def test_what_is_not_random_is_played_once() -> None:
    problem = cases.problem(["a"], cores=2)
    steady = problem.streams[0].model_copy(update={"arrival": Periodic(period_us=30_000)})
    problem = problem.replace(streams=(steady,))
    plan = cases.plan(problem)
    foretold = forecast(problem, plan, 2000)
    assert foretold is not None
    assert foretold.repetitions == 1
    estimate = foretold.models["a"].percentile_us(0.99)
    assert np.isnan(estimate.half_width)
    assert estimate.value == pytest.approx(evaluate(problem, plan).models["a"].latency_us)


def test_percentiles_that_too_few_requests_tell_are_not_told() -> None:
    few = ModelForecast((np.arange(1.0, 101.0),) * SECTIONS)
    assert few.percentile_us(0.99).half_width == pytest.approx(0.0)
    assert np.isnan(few.percentile_us(1 - (LEAST_BEYOND - 1) / 1000).value)
    told = few.percentile_us(1 - (LEAST_BEYOND + 1) / 1000)
    assert np.isfinite(told.value)
    assert np.isnan(told.half_width)
    assert np.isnan(ModelForecast(()).percentile_us(0.5).value)
    assert np.isnan(ModelForecast(()).miss_ratio.value)
    assert few.miss_ratio.value == 0
    assert np.isnan(few.miss_ratio.half_width), "ten times no miss do not say that there is none"


def test_same_seed_same_forecast(crowd: tuple[Problem, Plan]) -> None:
    one, same, other = (forecast(*crowd, 500, seed) for seed in (1, 1, 9))
    assert one is not None
    assert same is not None
    assert other is not None
    assert np.array_equal(one.models["m0"].responses_us, same.models["m0"].responses_us)
    assert not np.array_equal(one.models["m0"].responses_us, other.models["m0"].responses_us)
