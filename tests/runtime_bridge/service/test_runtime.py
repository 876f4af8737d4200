"""The service on real sessions: right answers from batches, failures contained, plans exchanged, nothing lost."""

from __future__ import annotations

import itertools
import math
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from edgeplan.formulation import (
    AdmissionError,
    Configuration,
    InferenceError,
    Periodic,
    PlanError,
    Problem,
    StalePlanError,
    Stream,
    UnsupportedError,
)
from edgeplan.profiles import resolve_model, sample_inputs
from edgeplan.runtime_bridge.service import ServiceRuntime, ServiceSettings, summarise_service
from edgeplan.runtime_bridge.service import runtime as runtime_module

from .conftest import CORES, ORT, PLATFORM, Lookups, batched, instance, model_of, plan_of, unbatched, write_lookup

WAIT_S = 30
LONG_US = 60e6
EVERYONE = ServiceSettings(admission=False)


def test_batches_of_real_models_answer_as_single_requests_do() -> None:
    """Whole and in pieces, on one instance and on two, in batches that fill their session and that do not."""
    openvino = Configuration(backend="openvino-cpu")
    files = {name: resolve_model(name) for name in ("squeezenet", "shufflenet")}
    backends = [ORT]
    if find_spec("openvino") is not None:
        backends.append(openvino)
    models = tuple(model_of(name, path, batched(*backends)) for name, path in files.items())
    problem = Problem(models, PLATFORM, objective="latency")
    unlike = [instance(models[0], CORES, configuration=c) for c in backends]
    plan = plan_of(problem, {"squeezenet": unlike, "shufflenet": [instance(models[1], CORES, pieces=2)]}, 4, LONG_US)
    feeds = {name: [sample_inputs(path, seed=seed) for seed in range(7)] for name, path in files.items()}
    with ServiceRuntime(problem, plan, files, EVERYONE) as runtime:
        futures = {name: [runtime.submit(name, f) for f in feeds[name]] for name in files}
        runtime.close()
    assert sorted(r.batch_size for r in runtime.records) == [3] * 6 + [4] * 8
    for name, path in files.items():
        for future, given in zip(futures[name], feeds[name], strict=True):
            answer = future.result(0)
            for output, expected in unbatched(path, given).items():
                assert answer[output].shape == expected.shape
                np.testing.assert_allclose(answer[output], expected, rtol=1e-3, atol=1e-5)


def test_answers_go_to_those_who_asked_and_are_their_own(lookups: Lookups) -> None:
    with ServiceRuntime(lookups.problem, lookups.plan(window_us=2000.0, pieces=3), lookups.files, EVERYONE) as runtime:
        asked = [(model, lookups.feeds(seed)) for seed in range(40) for model in lookups.files]
        answers = [runtime.submit(model, feeds) for model, feeds in asked]
        for future, (model, feeds) in zip(answers, asked, strict=True):
            np.testing.assert_allclose(future.result(WAIT_S)["answer"], lookups.expected(model, feeds), rtol=1e-5)
    assert max(r.batch_size for r in runtime.records) == 4
    kept = [future.result()["answer"] for future in answers]
    assert not any(np.shares_memory(a, b) for a, b in itertools.pairwise(kept))


def test_every_request_is_written_down(lookups: Lookups) -> None:
    with ServiceRuntime(lookups.problem, lookups.plan(window_us=3000.0), lookups.files, EVERYONE) as runtime:
        for _ in range(5):
            for seed in range(6):
                runtime.submit("left", lookups.feeds(seed), deadline_us=LONG_US)
            assert runtime.drain(WAIT_S)
    records = runtime.records
    assert sorted(r.request for r in records) == list(range(30))
    for r in records:
        assert r.arrival_us <= r.left_us <= r.start_us <= r.finish_us
        assert r.response_us == pytest.approx(r.queue_us + r.service_us)
        assert (r.model, r.instance, r.plan_version, r.error, r.refused) == ("left", 0, 0, "", False)
        assert 1 <= r.batch_size <= 4
    summary = summarise_service(records, 1.0)
    assert (summary.offered, summary.served, summary.missed, summary.refused, summary.failed) == (30, 30, 0, 0, 0)
    assert 1 < summary.mean_batch <= 4


def test_a_failing_batch_fails_its_own_requests_only_and_says_so(lookups: Lookups) -> None:
    with ServiceRuntime(lookups.problem, lookups.plan(2, LONG_US), lookups.files, EVERYONE) as runtime:
        feeds = lookups.feeds()
        pairs = [(feeds, feeds), (feeds, lookups.broken), (feeds, feeds)]
        futures = [[runtime.submit("left", f) for f in pair] for pair in pairs]
        for future in futures[1]:
            with pytest.raises(InferenceError, match=r"batch of 2 requests for model 'left'.*segment 0.*no others"):
                future.result(WAIT_S)
        for future in futures[0] + futures[2]:
            np.testing.assert_allclose(future.result(WAIT_S)["answer"], lookups.expected("left", feeds), rtol=1e-5)
        assert runtime.drain(WAIT_S)
        assert [bool(r.error) for r in sorted(runtime.records, key=lambda r: r.request)] == [0, 0, 1, 1, 0, 0]
        assert not any(r.refused for r in runtime.records)


@pytest.mark.parametrize(
    "bad",
    [
        {"picture": np.zeros((1, 2), np.int64)},
        {"index": np.zeros((2, 2), np.int64)},
        {"index": np.zeros((1, 3), np.int64)},
        {"index": np.zeros((1, 2), np.float32)},
        {"index": [[0, 0]]},
        {},
    ],
)
def test_a_request_that_does_not_fit_is_refused_alone(lookups: Lookups, bad: dict[str, np.ndarray]) -> None:
    with ServiceRuntime(lookups.problem, lookups.plan(3, LONG_US), lookups.files, EVERYONE) as runtime:
        good = [runtime.submit("left", lookups.feeds()) for _ in range(2)]
        with pytest.raises(InferenceError, match="request for model 'left'"):
            runtime.submit("left", bad).result(0)
        good.append(runtime.submit("left", lookups.feeds()))
        assert all(future.result(WAIT_S) for future in good)
        with pytest.raises(InferenceError, match="one of left, right"):
            runtime.submit("middle", lookups.feeds())


def test_times_that_are_none_are_refused_and_harm_no_order(lookups: Lookups) -> None:
    nan = math.nan
    with ServiceRuntime(lookups.problem, lookups.plan(4, LONG_US), lookups.files, EVERYONE) as runtime:
        waiting = [runtime.submit("left", lookups.feeds(), deadline_us=deadline_us) for deadline_us in (2e7, 1e7)]
        for times in ({"deadline_us": nan}, {"arrival_us": nan}, {"arrival_us": math.inf}):
            with pytest.raises(InferenceError, match="expected a finite arrival and a deadline"):
                runtime.submit("left", lookups.feeds(), **times).result(0)
        with pytest.raises(TypeError):
            runtime.submit("left", lookups.feeds(), priority=nan)
        waiting.append(runtime.submit("left", lookups.feeds(), priority=-2))
        assert runtime.close(WAIT_S)
        assert all(future.exception() is None for future in waiting)
    assert [r.refused for r in runtime.records].count(True) == 3


def test_a_deadline_that_cannot_be_met_is_refused_at_once(lookups: Lookups) -> None:
    stream = Stream(model="left", arrival=Periodic(period_us=1e6), deadline_us=100.0)  # three layers take 170 µs
    problem = lookups.problem.replace(streams=(stream,))
    with ServiceRuntime(problem, lookups.plan(), lookups.files) as runtime:
        refused = runtime.submit("left", lookups.feeds())
        assert refused.done()
        error = refused.exception()
        assert isinstance(error, AdmissionError)
        assert error.predicted_us > error.deadline_us
        assert "predicted finish" in str(error)
        runtime.submit("left", lookups.feeds(), deadline_us=LONG_US).result(WAIT_S)
        runtime.submit("right", lookups.feeds()).result(WAIT_S)
    assert [r.refused for r in runtime.records] == [True, False, False]
    assert summarise_service(runtime.records, 1.0).refused_share == pytest.approx(1 / 3)


def test_closing_serves_what_was_accepted_without_waiting_for_company(lookups: Lookups) -> None:
    runtime = ServiceRuntime(lookups.problem, lookups.plan(4, LONG_US), lookups.files, EVERYONE)
    futures = [runtime.submit(model, lookups.feeds()) for model in lookups.files for _ in range(3)]
    assert not runtime.drain(0.05)
    assert runtime.close(WAIT_S)
    assert all(future.done() and future.exception() is None for future in futures)
    assert {r.batch_size for r in runtime.records} == {3}
    late = runtime.submit("left", lookups.feeds())
    with pytest.raises(AdmissionError, match="a closed one"):
        late.result(0)
    assert runtime.close()
    assert not runtime._executor._workers.alive
    with pytest.raises(InferenceError, match="a closed one"):
        runtime.apply(lookups.plan())
    assert not runtime._sessions._pool._open, "sessions were left open"


def test_plans_are_exchanged_under_load_with_no_request_lost(lookups: Lookups) -> None:
    plans = [lookups.plan(1), lookups.plan(4, 500.0, copies=2), lookups.plan(2, 1000.0, pieces=3)]
    futures = []
    with ServiceRuntime(lookups.problem, plans[0], lookups.files, EVERYONE) as runtime:
        stop = threading.Event()

        def send() -> None:
            while not stop.is_set():
                futures.append(runtime.submit("left", lookups.feeds(len(futures))))
                time.sleep(0.0005)

        sender = threading.Thread(target=send)
        sender.start()
        for k in range(1, 9):
            runtime.apply(plans[k % 3])
            time.sleep(0.02)
        stop.set()
        sender.join()
        answers = [future.result(WAIT_S) for future in futures]
        assert runtime.version == 8
    assert sorted(r.request for r in runtime.records) == list(range(len(futures)))
    assert len({r.plan_version for r in runtime.records}) > 2
    for seed, answer in enumerate(answers):
        np.testing.assert_allclose(answer["answer"], lookups.expected("left", lookups.feeds(seed)), rtol=1e-5)
    assert not runtime._sessions._pool._open, "sessions were left open"


def test_requests_that_wait_leave_by_the_new_plan(lookups: Lookups) -> None:
    with ServiceRuntime(lookups.problem, lookups.plan(4, LONG_US), lookups.files, EVERYONE) as runtime:
        futures = [runtime.submit("left", lookups.feeds()) for _ in range(3)]
        runtime.apply(lookups.plan(3, LONG_US))
        assert all(future.result(WAIT_S) for future in futures)
        assert [(r.plan_version, r.batch_size) for r in runtime.records] == [(1, 3)] * 3


def test_what_was_learnt_of_the_machine_outlives_the_plan(lookups: Lookups) -> None:
    with ServiceRuntime(lookups.problem, lookups.plan(), lookups.files, EVERYONE) as runtime:
        for seed in range(5):
            runtime.submit("left", lookups.feeds(seed)).result(WAIT_S)
        assert runtime.drain(WAIT_S)
        (learnt,) = {planned.served.pace for planned in runtime._generation.instances["left"]}
        assert learnt != 1.0
        runtime.apply(lookups.plan(copies=2))
        assert {planned.served.pace for planned in runtime._generation.instances["left"]} == {learnt}


def test_a_plan_that_cannot_serve_leaves_the_old_one(lookups: Lookups) -> None:
    with ServiceRuntime(lookups.problem, lookups.plan(), lookups.files) as runtime:
        services = lookups.plan().services
        foreign = lookups.plan().model_copy(
            update={"services": tuple(s.model_copy(update={"sha256": "0" * 64}) for s in services)}
        )
        with pytest.raises(StalePlanError):
            runtime.apply(foreign)
        with pytest.raises(PlanError, match="a service for model 'right'"):
            runtime.apply(lookups.plan().model_copy(update={"services": services[:1]}))
        unknown = ORT.model_copy(update={"form": "prepacked"})
        instances = {m.name: [instance(m, configuration=unknown)] for m in lookups.problem.models}
        with pytest.raises(PlanError, match="instance 0 of model 'left' at batch 4"):
            runtime.apply(plan_of(lookups.problem, instances))
        assert runtime.version == 0
        runtime.submit("left", lookups.feeds()).result(WAIT_S)


@pytest.mark.parametrize(("max_batch", "batch"), [(2, 2), (2, 1), (1, 2)])
def test_a_fixed_batch_dimension_is_refused_before_anything_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_batch: int, batch: int
) -> None:
    monkeypatch.setenv("EDGEPLAN_CACHE", str(tmp_path / "cache"))
    files = {"fixed": write_lookup(tmp_path / "fixed.onnx", 0, batch=1), "open": write_lookup(tmp_path / "o.onnx", 1)}
    models = tuple(model_of(name, path, batched(ORT)) for name, path in files.items())
    problem = Problem(models, PLATFORM, objective="latency")
    plan = plan_of(problem, {m.name: [instance(m, batch=batch)] for m in models}, max_batch)
    with pytest.raises(UnsupportedError, match=r"batches of model 'fixed'.*got index \[1, 2\].*dynamic batch"):
        ServiceRuntime(problem, plan, files)
    assert not (tmp_path / "cache" / "segments").exists()
    alone = plan_of(problem, {m.name: [instance(m, batch=1)] for m in models}, 1)
    with ServiceRuntime(problem, alone, files) as runtime:
        runtime.submit("fixed", {"index": np.array([[1, 2]])}).result(WAIT_S)


def test_nothing_wakes_up_while_nothing_happens(lookups: Lookups, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    real = runtime_module.Desk.departures

    def counted(desk: runtime_module.Desk, now_us: float) -> list:
        looks.append(now_us)
        return real(desk, now_us)

    monkeypatch.setattr(runtime_module.Desk, "departures", counted)
    with ServiceRuntime(lookups.problem, lookups.plan(4, 200e3), lookups.files, EVERYONE) as runtime:
        runtime.submit("left", lookups.feeds()).result(WAIT_S)
        after = len(looks)
        time.sleep(0.3)
        assert len(looks) <= after + 1
        # One look as it came, one as the timer was told, one as the window ended, one as the batch ended, and one each
        # for the timer to go to sleep again.
        assert after <= 8
    assert math.isfinite(runtime.records[0].finish_us)
