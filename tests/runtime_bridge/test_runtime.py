"""The live runtime on real sessions: right answers, plans exchanged under load, nothing lost."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from edgeplan.formulation import (
    CostTable,
    EdgePlanError,
    Gang,
    InferenceError,
    ModelPlan,
    Periodic,
    Plan,
    PlanError,
    Platform,
    PlatformError,
    Problem,
    StalePlanError,
    evaluate,
)
from edgeplan.profiles import Session
from edgeplan.runtime_bridge import (
    DEFAULT_SESSIONS,
    ONE_THREAD_SESSIONS,
    Assumptions,
    Controller,
    Hysteresis,
    LiveRuntime,
    ModelProcesses,
    ModelThreads,
    Observation,
    Phase,
    PinnedWorkers,
    Planner,
    Replan,
    SessionOptions,
    SetUp,
    compare,
    replan,
    run_scenario,
)

from ..conftest import CORES, GANG, ORT, Toys

WAIT_S = 20


@pytest.mark.parametrize("pieces", [1, 2, 3, 5, 12])
def test_a_split_model_answers_as_the_whole_one(toys: Toys, pieces: int) -> None:
    def cut(n: int) -> list:
        bounds = [n * k // pieces for k in range(pieces + 1)]
        return [(a, b, ORT) for a, b in itertools.pairwise(bounds)]

    with LiveRuntime(toys.problem, toys.plan(cut), toys.files) as runtime:
        for seed in range(3):
            feeds = toys.feeds(seed)
            for model in toys.files:
                answer = runtime.submit(model, feeds).result(WAIT_S)
                for name, expected in toys.unsplit(model, feeds).items():
                    np.testing.assert_allclose(answer[name], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(len(CORES) < 2, reason="a gang is a segment on two cores at once, and there is one")
def test_a_gang_answers_as_one_thread_does(toys: Toys) -> None:
    plan = toys.plan(lambda n: [(0, n // 2, GANG), (n // 2, n, ORT)])
    feeds = toys.feeds()
    with LiveRuntime(toys.problem, plan, toys.files) as runtime:
        answer = runtime.submit("left", feeds).result(WAIT_S)
    for name, expected in toys.unsplit("left", feeds).items():
        np.testing.assert_allclose(answer[name], expected, rtol=1e-4, atol=1e-5)


def test_answers_are_not_overwritten_by_later_requests(toys: Toys) -> None:
    with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
        first = runtime.submit("left", toys.feeds(1)).result(WAIT_S)
        kept = {name: value.copy() for name, value in first.items()}
        for seed in range(20):
            runtime.submit("left", toys.feeds(seed)).result(WAIT_S)
    assert all(np.array_equal(first[name], kept[name]) for name in first)


def test_plans_are_exchanged_under_load_with_no_request_lost(toys: Toys) -> None:
    feeds = toys.feeds()
    expected = toys.unsplit("left", feeds)
    futures = []
    with LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime:
        stop = threading.Event()

        def send() -> None:
            while not stop.is_set():
                futures.append(runtime.submit("left", feeds))
                time.sleep(0.001)

        sender = threading.Thread(target=send)
        sender.start()
        for _ in range(5):
            runtime.swap(toys.problem, toys.halved())
            time.sleep(0.02)
            runtime.swap(toys.problem, toys.whole())
            time.sleep(0.02)
        stop.set()
        sender.join()
        answers = [future.result(WAIT_S) for future in futures]
        assert runtime.version == 10
    assert len(runtime.records) == len(futures)
    assert len({r.request for r in runtime.records}) == len(futures)
    assert {r.plan_version for r in runtime.records} >= {0, 10} or len({r.plan_version for r in runtime.records}) > 2
    for answer in answers:
        for name, value in expected.items():
            np.testing.assert_allclose(answer[name], value, rtol=1e-4, atol=1e-5)


def test_a_runtime_that_was_closed_stays_closed(toys: Toys) -> None:
    with LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime:
        runtime.submit("left", toys.feeds()).result(WAIT_S)
        assert runtime.close(WAIT_S)
        with pytest.raises(InferenceError, match="a closed one"):
            runtime.swap(toys.problem, toys.halved())
    assert not runtime._pool._open, "sessions were left open"


def test_a_worker_does_not_wait_for_sessions_that_another_plan_opens(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last request of a plan lets go of its sessions, also while the next plan but one opens its own."""
    begin, opening, opened = threading.Event(), threading.Event(), threading.Event()
    with LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime:
        pipeline, backend = runtime._lineup.served["left"].pipeline, type(runtime._pool._backends["onnxruntime-cpu"])
        run_step, open_session = pipeline.run_step, backend.open

        def held_up(*arguments: Any) -> None:
            assert begin.wait(WAIT_S)
            run_step(*arguments)

        def slow(*arguments: Any) -> Session:
            opening.set()
            assert opened.wait(WAIT_S)
            return open_session(*arguments)

        object.__setattr__(pipeline, "run_step", held_up)
        last = runtime.submit("left", toys.feeds())
        runtime.swap(toys.problem, toys.halved())
        monkeypatch.setattr(backend, "open", slow)
        thirds = toys.plan(lambda n: [(0, n // 3, ORT), (n // 3, n, ORT)])
        swapper = threading.Thread(target=runtime.swap, args=(toys.problem, thirds))
        swapper.start()
        try:
            assert opening.wait(WAIT_S)
            begin.set()
            last.result(2)
        finally:
            opened.set()
            swapper.join()


def test_a_global_pool_has_no_more_threads_than_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 5})
    monkeypatch.setattr("onnxruntime.set_global_thread_pool_sizes", lambda *sizes: asked.append(sizes))
    SessionOptions(shared_pool=True).start_pool()
    assert asked == [(3, 1)]


@pytest.mark.skipif(len(CORES) < 2, reason="leaves one core out of two, and there is one")
def test_cores_that_are_not_there_are_refused(toys: Toys) -> None:
    """What is bound to them would never run: those of another machine, and those that the runtime was not given."""

    def on(cores: tuple[int, ...]) -> tuple[Problem, Plan]:
        (processor,), memories = toys.problem.platform.processors, toys.problem.platform.memories
        processor = processor.model_copy(update={"cores": cores})
        problem = toys.problem.replace(platform=Platform(name="other", processors=(processor,), memories=memories))
        parts = [
            part.model_copy(update={"segments": (part.segments[0].model_copy(update={"cores": cores[-1:]}),)})
            for part in toys.whole().models
        ]
        return problem, toys.whole().model_copy(update={"models": tuple(parts)})

    elsewhere = max(os.sched_getaffinity(0)) + 1000
    with pytest.raises(PlatformError, match=f"got {elsewhere}. Profile and plan on this machine"):
        LiveRuntime(*on((CORES[0], elsewhere)), toys.files)
    with LiveRuntime(*on(CORES[:1]), toys.files) as runtime:
        with pytest.raises(PlanError, match=f"cores that the runtime has: {CORES[0]}, got {CORES[1]}"):
            runtime.swap(*on(CORES))
        runtime.submit("left", toys.feeds()).result(WAIT_S)


def test_a_plan_that_cannot_be_opened_leaves_the_old_one_serving(toys: Toys) -> None:
    with LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime:
        foreign = toys.whole().model_copy(
            update={"models": tuple(m.model_copy(update={"sha256": "0" * 64}) for m in toys.whole().models)}
        )
        with pytest.raises(StalePlanError):
            runtime.swap(toys.problem, foreign)
        with pytest.raises(PlanError, match="coverage"):
            runtime.swap(toys.problem, toys.plan(lambda n: [(0, n - 1, ORT)]))
        runtime._pool.files = {"left": Path("nowhere.onnx"), "right": Path("nowhere.onnx")}
        runtime._pool._stores.clear()
        with pytest.raises((EdgePlanError, OSError)):
            runtime.swap(toys.problem, toys.halved())
        assert runtime.version == 0
        runtime.submit("left", toys.feeds()).result(WAIT_S)


def test_requests_that_do_not_fit_are_refused(toys: Toys) -> None:
    with LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime:
        with pytest.raises(InferenceError, match="one of left, right"):
            runtime.submit("middle", toys.feeds())
        with pytest.raises(InferenceError, match="inputs image"):
            runtime.submit("left", {"picture": np.zeros(1)}).result(WAIT_S)
        with pytest.raises(InferenceError, match="segment 0"):
            runtime.submit("left", {"image": np.zeros((1, 8, 5), np.float32)}).result(WAIT_S)
        runtime.submit("left", toys.feeds()).result(WAIT_S)


def test_a_run_reports_every_request_and_compares_segments(toys: Toys) -> None:
    report = run_scenario(toys.problem, toys.halved(), toys.files, [Phase(toys.problem.streams, 1.0)], adapt=False)
    assert report.drained
    assert [(s.model, s.offered, s.served) for s in report.summaries] == [
        ("left", 50, 50),
        ("right", 50, 50),
        ("all", 100, 100),
    ]
    assert {(s.model, s.segment, s.runs) for s in report.segments} == {(m, k, 50) for m in toys.files for k in (0, 1)}
    assert len(report.between(0.0, 0.5)) == 50


def test_stopping_a_run_answers_what_was_accepted(toys: Toys) -> None:
    stop = threading.Event()
    later = threading.Timer(0.5, stop.set)
    began = time.monotonic()
    report = run_scenario(
        toys.problem,
        toys.whole(),
        toys.files,
        [Phase(toys.problem.streams, 60.0)],
        stop=stop,
        on_phase=lambda *_: later.start(),  # once sessions are open
    )
    assert time.monotonic() - began < 20
    assert report.drained
    assert report.records
    assert not any(r.error for r in report.records)


def seen(rate_hz: float, foreign: dict[int, float] | None = None) -> Observation:
    return Observation(2e6, {"left": int(rate_hz * 2), "right": 100}, {}, {}, foreign or dict.fromkeys(CORES, 0.0))


def solver_of(toys: Toys) -> Callable[..., Replan]:
    return lambda running, assumed, time_limit_s, seed: replan(toys.problem, running, assumed, time_limit_s, seed)


def test_the_controller_decides_once_and_then_assumes_what_it_saw(toys: Toys) -> None:
    with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
        controller = Controller(
            runtime, toys.problem, hysteresis=Hysteresis(persistence=2, rest_us=0.0), solve=solver_of(toys)
        )
        assert controller.check(seen(50)) is None
        assert controller.check(seen(200)) is None
        decision = controller.check(seen(200))
        assert decision is not None
        assert [(d.kind, d.subject, d.observed) for d in decision.drifts] == [("rate", "left", 200.0)]
        assert decision.action in {"switched", "kept"}
        assert decision.reason
        assert runtime.version == (1 if decision.action == "switched" else 0)
        assert controller.check(seen(200)) is None
        assert controller.check(seen(200)) is None
        runtime.submit("left", toys.feeds()).result(WAIT_S)


def test_a_solver_that_fails_leaves_the_plan(toys: Toys) -> None:
    def broken(*_: object) -> Replan:
        raise PlanError("solver", expected="a plan", got="trouble", remedy="Try later.")

    with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
        controller = Controller(runtime, toys.problem, hysteresis=Hysteresis(persistence=1), solve=broken)
        decision = controller.check(seen(200))
        assert decision is not None
        assert decision.action == "failed"
        assert "trouble" in decision.reason
        assert runtime.version == 0


def test_the_planner_answers_from_its_own_process_and_prepares_what_is_needed(toys: Toys) -> None:
    assumed = Assumptions(dict.fromkeys(toys.files, 60.0))
    with Planner(toys.problem, toys.files) as planner:
        assert planner.pid != os.getpid()
        outcome = planner.replan(toys.halved(), assumed, 5.0, 0)
        assert outcome.plan is not None
        here = replan(toys.problem, toys.halved(), assumed, 5.0, 0)
        assert here.plan is not None
        assert outcome.plan.models == here.plan.models
        with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
            runtime.swap(outcome.problem, outcome.plan)
            runtime.submit("left", toys.feeds()).result(WAIT_S)


@pytest.mark.slow
def test_a_planner_that_dies_is_replaced(toys: Toys) -> None:
    with (
        LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime,
        Controller(
            runtime, toys.problem, hysteresis=Hysteresis(persistence=1, rest_us=0.0), interval_s=3600
        ) as controller,
    ):
        (pid,) = runtime.observer.own_pids - {os.getpid()}
        os.kill(pid, signal.SIGKILL)
        until_s = time.monotonic() + WAIT_S
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < until_s
            time.sleep(0.01)
        first = controller.check(seen(200))
        assert first is not None
        assert first.action in {"switched", "kept"}, "one that died while nobody asked it costs no answer"
        second = controller.check(seen(50))
        assert second is not None
        assert second.action in {"switched", "kept"}


def test_closing_a_controller_ends_its_planner(toys: Toys) -> None:
    with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
        with Controller(runtime, toys.problem):
            pids = runtime.observer.own_pids - {os.getpid()}
            assert len(pids) == 1
        assert not Path(f"/proc/{pids.pop()}").exists()


@pytest.mark.skipif(len(CORES) < 2, reason="plans around one core by using another, and there is none")
def test_a_taken_core_is_planned_around(toys: Toys) -> None:
    taken = Assumptions(dict.fromkeys(toys.files, 50.0), taken=frozenset(CORES[1:]))
    outcome = replan(toys.problem, toys.halved(), taken, time_limit_s=5.0, seed=0)
    assert outcome.plan is not None
    assert outcome.view in {f"core {CORES[1]} shared", f"without core {CORES[1]}"}
    gangs = [s for m in outcome.plan.models for s in m.segments if s.configuration.threads > 1]
    assert not gangs, "a gang is as slow as its slowest core"
    assert evaluate(outcome.problem, outcome.plan).feasible


def test_an_overloaded_device_still_gets_a_plan(toys: Toys) -> None:
    tight = tuple(s.model_copy(update={"deadline_us": 1.0, "percentile": 1.0}) for s in toys.problem.streams)
    problem = toys.problem.replace(streams=tight)
    outcome = replan(problem, toys.halved(), Assumptions(dict.fromkeys(toys.files, 50.0)), time_limit_s=5.0, seed=0)
    assert outcome.plan is not None
    assert outcome.view == "deadlines let go"


def faster_gangs(toys: Toys) -> Problem:
    """The toys with gangs that take half the time."""
    models = tuple(
        replace(m, costs=CostTable.create([ORT, GANG], [[50.0, 25.0]] * m.graph.n_layers, fixed_us=20.0))
        for m in toys.problem.models
    )
    return toys.problem.replace(models=models)


@pytest.mark.skipif(len(CORES) < 2, reason="a gang is a segment on two cores at once, and there is one")
def test_segments_run_as_gangs_on_an_idle_device_and_answer_the_same(toys: Toys) -> None:
    def ganged(part: ModelPlan) -> ModelPlan:
        gang = Gang(configuration=GANG, cores=CORES)
        segments = tuple(s.model_copy(update={"cores": CORES, "gangs": (gang,)}) for s in part.segments)
        return part.model_copy(update={"segments": segments})

    plan = toys.halved()
    plan = plan.model_copy(update={"models": tuple(ganged(part) for part in plan.models), "order": "least_slack"})
    with LiveRuntime(faster_gangs(toys), plan, toys.files) as runtime:
        for seed in range(3):
            feeds = toys.feeds(seed)
            answers = {model: runtime.submit(model, feeds) for model in toys.files}
            for model, answer in answers.items():
                for name, expected in toys.unsplit(model, feeds).items():
                    np.testing.assert_allclose(answer.result(WAIT_S)[name], expected, rtol=1e-4, atol=1e-5)
        runtime.drain(WAIT_S)
        runtime.submit("left", toys.feeds()).result(WAIT_S)
        assert [(s.gang, s.cores) for s in runtime.records[-1].segments] == [(0, CORES), (0, CORES)]


BASELINES = {
    "default": ModelThreads(),
    "no spinning": ModelThreads(SessionOptions(spinning=False)),
    "pinned": ModelThreads(SessionOptions(threads=1), pinned=True),
    "first come": PinnedWorkers(),
    "earliest deadline": PinnedWorkers("earliest_deadline"),
    "split": PinnedWorkers(core_of={"left": 0, "right": len(CORES) - 1}),
}


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
def test_every_baseline_answers_every_request(toys: Toys, baseline: ModelThreads | PinnedWorkers) -> None:
    feeds = toys.feeds()
    with baseline.open(toys.problem, toys.files) as server:
        futures = [(model, server.submit(model, feeds)) for _ in range(5) for model in toys.files]
        server.drain()
        for model, future in futures:
            for value, expected in zip(future.result(WAIT_S), toys.unsplit(model, feeds).values(), strict=True):
                np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
        assert len(server.records) == len(futures)
        server.submit("left", {"image": np.zeros(1, np.float32)}).result(WAIT_S)
        assert server.records[-1].error


@pytest.mark.slow
def test_a_closed_loop_keeps_every_set_up_busy(toys: Toys) -> None:
    set_ups = (
        SetUp("processes", "a process a model", baseline=ModelProcesses()),
        SetUp("pool", "one pool", baseline=ModelThreads(SessionOptions(shared_pool=True))),
        SetUp("plan", "the plan", toys.halved()),
    )
    comparison = compare(set_ups, toys.problem, toys.files, rounds=1, round_s=0.5, closed_loop=True)
    for result in comparison.results:
        assert {record.model for record in result.records} == set(toys.files)
        assert all(not record.error for record in result.records)
        for model in toys.files:
            own = [record for record in result.records if record.model == model]
            assert all(a.finish_us <= b.arrival_us for a, b in itertools.pairwise(own))


@pytest.mark.slow
def test_set_ups_are_measured_beside_each_other(toys: Toys) -> None:
    streams = tuple(s.model_copy(update={"arrival": Periodic(period_us=50_000)}) for s in toys.problem.streams)
    problem = toys.problem.replace(streams=streams)
    set_ups = (DEFAULT_SESSIONS, ONE_THREAD_SESSIONS, SetUp("plan", "the plan", toys.halved()))
    comparison = compare(set_ups, problem, toys.files, rounds=2, round_s=0.5)
    assert [len(r.records) for r in comparison.results] == [40, 40, 40]
    assert all(not record.error for r in comparison.results for record in r.records)
    assert all(r.peak_bytes > 0 for r in comparison.results)
    broken = toys.halved().model_copy(
        update={"models": tuple(m.model_copy(update={"sha256": "0" * 64}) for m in toys.halved().models)}
    )
    with pytest.raises(StalePlanError):
        compare((SetUp("stale", "a stale plan", broken),), problem, toys.files, rounds=1, round_s=0.1)
