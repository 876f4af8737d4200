"""Plans exchanged where memory is short, models come and go, openings fail: nothing is lost, the old plan serves on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeplan.formulation import (
    AdmissionError,
    CostTable,
    InferenceError,
    Limits,
    ModelError,
    Plan,
    PlanError,
    Problem,
    StalePlanError,
)
from edgeplan.profiles import Session
from edgeplan.runtime_bridge import LiveRuntime
from edgeplan.runtime_bridge.pipeline import Pipeline

from ..conftest import ORT, Toys, write_model

WAIT_S = 20
MIB = 2**20


def sized(toys: Toys, limit_mib: float) -> Problem:
    """The toys with sessions that are said to take 10 MiB each, within so much memory."""
    models = tuple(
        replace(
            model,
            costs=CostTable.create(
                [ORT], np.full((model.graph.n_layers, 1), 50.0), fixed_us=20.0, session_bytes=10 * MIB
            ),
        )
        for model in toys.problem.models
    )
    limits = Limits(max_utilisation=1.0, memory_bytes={"host": round(limit_mib * MIB)})
    return toys.problem.replace(models=models, limits=limits)


def thirds(toys: Toys) -> Plan:
    return toys.plan(lambda n: [(0, n // 3, ORT), (n // 3, n, ORT)])


@contextmanager
def asked_all_the_time(runtime: LiveRuntime, toys: Toys) -> Iterator[None]:
    """Ask every model while the block runs; then hold every answer against the model's own."""
    feeds, futures, stop = toys.feeds(), [], threading.Event()

    def send() -> None:
        while not stop.is_set():
            futures.extend((model, runtime.submit(model, feeds)) for model in toys.files)
            time.sleep(0.001)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        time.sleep(0.05)
        yield
        time.sleep(0.05)
    finally:
        stop.set()
        sender.join()
    expected = {model: toys.unsplit(model, feeds) for model in toys.files}
    for model, future in futures:
        for name, value in future.result(WAIT_S).items():
            np.testing.assert_allclose(value, expected[model][name], rtol=1e-4, atol=1e-5)
    assert len(runtime.records) == len(futures)


def count_sessions(runtime: LiveRuntime, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sessions were open each time that another was opened, itself included."""
    backend, counts = type(runtime._pool._backends["onnxruntime-cpu"]), []
    open_session, opened = backend.open, []

    def counted(*arguments: Any) -> Session:
        session = open_session(*arguments)
        close = session.close
        monkeypatch.setattr(session, "close", lambda: (opened.remove(session), close()))
        opened.append(session)
        counts.append(len(opened) + already - closed_of_old())
        return session

    already = len(runtime._pool._open)
    old = [entry.session for entry in runtime._pool._open.values()]
    closed: list[Session] = []
    for session in old:
        monkeypatch.setattr(session, "close", lambda s=session, c=session.close: (closed.append(s), c()))

    def closed_of_old() -> int:
        return len(closed)

    monkeypatch.setattr(backend, "open", counted)
    return counts


@pytest.mark.parametrize(("limit_mib", "most"), [(100, 8), (65, 6), (45, 4)], ids=["together", "one by one", "in turn"])
def test_no_more_memory_is_taken_than_the_limit_allows_and_nothing_is_lost(
    toys: Toys, monkeypatch: pytest.MonkeyPatch, limit_mib: float, most: int
) -> None:
    """Two models of two sessions; each session is said to take 10 MiB."""
    problem = sized(toys, limit_mib)
    with LiveRuntime(problem, toys.halved(), toys.files) as runtime:
        counts = count_sessions(runtime, monkeypatch)
        with asked_all_the_time(runtime, toys):
            runtime.swap(problem, thirds(toys))
        assert runtime.version == 1
        assert max(counts) == most
        assert {r.plan_version for r in runtime.records} == {0, 1}


def test_no_third_plan_is_opened_while_requests_of_the_first_go_on(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = sized(toys, 85)
    run_step, entered, gate = Pipeline.run_step, threading.Event(), threading.Event()

    def slow(pipeline: Pipeline, *arguments: Any) -> None:
        entered.set()
        assert gate.wait(WAIT_S)
        run_step(pipeline, *arguments)

    with LiveRuntime(problem, toys.halved(), toys.files) as runtime:
        counts = count_sessions(runtime, monkeypatch)
        with monkeypatch.context() as slowed:
            slowed.setattr(Pipeline, "run_step", slow)
            asked = [runtime.submit(model, toys.feeds()) for model in toys.files]
            assert entered.wait(WAIT_S)
            runtime.swap(problem, thirds(toys))
            third = threading.Thread(target=runtime.swap, args=(problem, toys.whole()))
            third.start()
            time.sleep(0.2)
            gate.set()
            third.join(WAIT_S)
        assert runtime.plan == toys.whole()
        assert max(counts) <= 8
        for future in asked:
            future.result(WAIT_S)


@pytest.mark.parametrize("limit_mib", [100, 65, 45], ids=["together", "one by one", "in turn"])
@pytest.mark.parametrize("opening", range(1, 5))
def test_an_opening_that_fails_half_way_leaves_the_old_plan(
    toys: Toys, monkeypatch: pytest.MonkeyPatch, limit_mib: float, opening: int
) -> None:
    problem = sized(toys, limit_mib)
    with LiveRuntime(problem, toys.halved(), toys.files) as runtime:
        backend = type(runtime._pool._backends["onnxruntime-cpu"])
        open_session, left = backend.open, [opening]

        def failing(*arguments: Any) -> Session:
            left[0] -= 1
            if left[0] == 0:
                raise RuntimeError("out of memory")
            return open_session(*arguments)

        monkeypatch.setattr(backend, "open", failing)
        with asked_all_the_time(runtime, toys), pytest.raises(RuntimeError, match="out of memory"):
            runtime.swap(problem, thirds(toys))
        assert runtime.version == 0
        assert {served.version for served in runtime._lineup.served.values()} == {0}
        assert len(runtime._pool._open) == 4
        runtime.swap(problem, thirds(toys))
        assert runtime.plan == thirds(toys)


def test_where_nothing_can_be_opened_any_more_requests_fail_with_a_reason(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = sized(toys, 45)
    with LiveRuntime(problem, toys.halved(), toys.files) as runtime:

        def failing(*_: Any) -> Session:
            raise RuntimeError("the device has gone")

        with monkeypatch.context() as broken:
            broken.setattr(type(runtime._pool._backends["onnxruntime-cpu"]), "open", failing)
            with pytest.raises(RuntimeError, match="the device has gone"):
                runtime.swap(problem, thirds(toys))
        served = runtime._lineup.served
        assert len(served) == 1, "the model that had been closed could not be opened again; the other serves on"
        (lost,) = toys.files.keys() - served
        assert runtime.lost == (lost,)
        with pytest.raises(AdmissionError, match="they could not be opened"):
            runtime.submit(lost, toys.feeds()).result(WAIT_S)
        runtime.renew(runtime.lost)
        assert runtime.lost == ()
        runtime.submit(lost, toys.feeds()).result(WAIT_S)


def test_models_are_opened_again_each_for_itself(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange fails at its last opening; then one of both models that had changed cannot be opened either."""
    problem = sized(toys, 45)
    with LiveRuntime(problem, toys.halved(), toys.files) as runtime:
        opened: list[int] = []
        backend = type(runtime._pool._backends["onnxruntime-cpu"])
        open_session = backend.open

        def failing(*arguments: Any) -> Session:
            opened.append(len(opened))
            if len(opened) in (4, 5):
                raise RuntimeError("the device has gone")
            return open_session(*arguments)

        with monkeypatch.context() as broken:
            broken.setattr(backend, "open", failing)
            with pytest.raises(RuntimeError, match="the device has gone"):
                runtime.swap(problem, thirds(toys))
        assert len(runtime.lost) == 1
        (sound,) = toys.files.keys() - set(runtime.lost)
        runtime.submit(sound, toys.feeds()).result(WAIT_S)


def test_a_renewal_during_an_exchange_does_not_undo_it(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
        backend = type(runtime._pool._backends["onnxruntime-cpu"])
        open_session, opening, gate = backend.open, threading.Event(), threading.Event()

        def slow(*arguments: Any) -> Session:
            opening.set()
            assert gate.wait(WAIT_S)
            return open_session(*arguments)

        monkeypatch.setattr(backend, "open", slow)
        exchange = threading.Thread(target=runtime.swap, args=(toys.problem, thirds(toys)))
        renewal = threading.Thread(target=runtime.renew, args=(["left"],))
        exchange.start()
        assert opening.wait(WAIT_S)
        renewal.start()
        time.sleep(0.1)
        gate.set()
        exchange.join(WAIT_S)
        renewal.join(WAIT_S)
        assert runtime.plan == thirds(toys)
        assert (runtime.version, list(runtime.history.plans)) == (1, [0, 1])
        assert len(runtime._pool._open) == 4


def test_models_and_deadlines_change_with_the_scenario(toys: Toys, tmp_path: Path) -> None:
    def only(problem: Problem, plan: Plan, *names: str) -> tuple[Problem, Plan]:
        models = tuple(m for m in problem.models if m.name in names)
        streams = tuple(s for s in problem.streams if s.model in names)
        return problem.replace(models=models, streams=streams), plan.model_copy(
            update={"models": tuple(m for m in plan.models if m.model in names)}
        )

    left, right = (only(toys.problem, toys.whole(), name) for name in ("left", "right"))
    with LiveRuntime(*left, {"left": toys.files["left"]}) as runtime:
        with pytest.raises(InferenceError, match="one of left, got 'right'"):
            runtime.submit("right", toys.feeds())
        with pytest.raises(PlanError, match="one for the models left, got left, right"):
            runtime.swap(toys.problem, toys.halved())
        with pytest.raises(ModelError, match="none for right"):
            runtime.swap(toys.problem, toys.halved(), scenario=toys.problem)
        runtime.submit("left", toys.feeds()).result(WAIT_S)
        tight = toys.problem.replace(
            streams=tuple(s.model_copy(update={"deadline_us": 77_000.0}) for s in toys.problem.streams)
        )
        runtime.swap(tight, toys.halved(), scenario=tight, files=toys.files)
        for model in toys.files:
            runtime.submit(model, toys.feeds()).result(WAIT_S)
        assert {r.deadline_us - r.arrival_us for r in runtime.records[-2:]} == {77_000.0}
        runtime.swap(*right, scenario=right[0], files={"right": toys.files["right"]})
        with pytest.raises(InferenceError, match="one of right, got 'left'"):
            runtime.submit("left", toys.feeds())
        assert set(runtime.files) == {"right"}


def test_sessions_are_opened_anew_and_those_given_up_are_not_closed(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime:
        old = {entry.key[0]: entry.session for entry in runtime._pool._open.values()}
        closed: list[str] = []
        for name, session in old.items():
            monkeypatch.setattr(session, "close", lambda name=name: closed.append(name))
        runtime.renew(["left"], abandon=True)
        runtime.submit("left", toys.feeds()).result(WAIT_S)
        new = {entry.key[0]: entry.session for entry in runtime._pool._open.values()}
        assert new["left"] is not old["left"]
        assert new["right"] is old["right"]
        assert closed == []
        runtime.renew(["right"])
        assert closed == ["right"]


def test_a_file_that_was_exchanged_is_not_opened_for_the_old_plan(toys: Toys, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.onnx" for name in toys.files}
    for name, path in files.items():
        path.write_bytes(toys.files[name].read_bytes())
    with LiveRuntime(toys.problem, toys.whole(), files) as runtime:
        write_model(files["left"], seed=99)
        runtime.submit("left", toys.feeds()).result(WAIT_S)
        with pytest.raises(StalePlanError, match="the file that was planned for"):
            runtime.renew(["left"])
        answer = runtime.submit("left", toys.feeds()).result(WAIT_S)
        for name, value in toys.unsplit("left", toys.feeds()).items():
            np.testing.assert_allclose(answer[name], value, rtol=1e-4, atol=1e-5)


def test_a_request_that_nobody_could_take_keeps_no_session_open(toys: Toys) -> None:
    with LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime:
        with pytest.raises(TypeError):
            runtime.submit("left", None)  # which is no mapping at all
        runtime.swap(toys.problem, toys.halved())
        assert len(runtime._pool._open) == 4
