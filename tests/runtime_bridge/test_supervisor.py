"""Faults injected into a live runtime: each is contained to what it concerns, reported, and recovered from."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeplan.formulation import AdmissionError, Configuration, CostTable, InferenceError, Plan, Problem
from edgeplan.profiles import SegmentFiles, Session, model_sha256, open_backend
from edgeplan.runtime_bridge import Assumptions, Controller, LiveRuntime, Replan, replan, supervisor
from edgeplan.runtime_bridge.faults.health import BreakerSettings, Health
from edgeplan.runtime_bridge.faults.memory import MemoryLevel, MemoryMonitor, MemoryReading, MemoryState
from edgeplan.runtime_bridge.supervisor import Fault, Supervisor

from ..conftest import ORT, Toys, write_model
from .test_controller import part_of
from .test_swap import sized

WAIT_S = 20
QUICK = BreakerSettings(failures=3, successes=1, first_wait_us=0.2e6)


def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    ends_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < ends_s, "it never came to that"
        time.sleep(0.02)


class Faulty:
    """A backend whose sessions fail or hang on command, by the model or the backend that they were opened for."""

    holds_workspace = True

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.closed = False
        self.failing: set[str] = set()
        self.hanging: set[str] = set()
        self.gate = threading.Event()
        self._model_of = {model_sha256(path)[:24]: name for name, path in files.items()}

    def open(self, segment: SegmentFiles, configuration: Configuration, cores: tuple[int, ...]) -> Session:
        if self.closed:
            raise RuntimeError("no memory")
        session = open_backend(ORT.backend).open(segment, ORT, cores)
        (model,) = (name for digest, name in self._model_of.items() if digest in str(segment.source))
        names, run = {model, configuration.backend}, session.run

        def broken(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            if names & self.failing:
                raise RuntimeError("no such device")
            if names & self.hanging:
                assert self.gate.wait(WAIT_S)
            return run(feeds)

        object.__setattr__(session, "run", broken)
        return session


@dataclass
class Watched:
    """A runtime with all that looks after it, and what was told."""

    runtime: LiveRuntime
    controller: Controller
    supervisor: Supervisor
    faulty: Faulty
    told: list[tuple[str, str, bool]]
    assumed: list[Assumptions]

    def ask(self, toys: Toys, model: str) -> dict[str, np.ndarray]:
        return self.runtime.submit(model, toys.feeds()).result(WAIT_S)


def answers(w: Watched, toys: Toys, model: str) -> bool:
    """Whether a model is taken in again."""
    try:
        return bool(w.ask(toys, model))
    except AdmissionError:
        return False


@contextmanager
def watched(
    toys: Toys,
    problem: Problem,
    plan: Plan,
    files: Mapping[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    memory: MemoryMonitor | None = None,
) -> Iterator[Watched]:
    faulty, told, assumed = Faulty(files), [], []

    def solve(running: Plan | None, seen: Assumptions, limit_s: float, seed: int) -> Replan:
        assumed.append(seen)
        return replan(problem, running, seen, 0.5, seed)

    monkeypatch.setattr("edgeplan.runtime_bridge.sessions.open_backend", lambda name: faulty)
    with LiveRuntime(problem, plan, files, hang_us=0.3e6) as runtime:
        controller = Controller(runtime, problem, solve=solve)
        supervisor = Supervisor(
            runtime,
            controller,
            on_fault=lambda fault, ended: told.append((fault.kind, fault.model, ended)),
            health=Health(QUICK),
            memory=memory,
        )
        with supervisor:
            yield Watched(runtime, controller, supervisor, faulty, told, assumed)
            faulty.gate.set()


def test_a_model_that_fails_is_refused_then_probed_then_taken_in(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    with watched(toys, toys.problem, toys.halved(), toys.files, monkeypatch) as w:
        w.ask(toys, "left")
        w.faulty.failing.add("left")
        for _ in range(QUICK.failures):
            with pytest.raises(InferenceError, match="no such device"):
                w.ask(toys, "left")
        with pytest.raises(AdmissionError, match="failed 3 times in a row"):
            w.ask(toys, "left")
        w.ask(toys, "right")
        until(lambda: ("failing", "left", False) in w.told)
        assert [(f.kind, f.model) for f in w.supervisor.faults] == [("failing", "left")]
        w.faulty.failing.clear()
        until(lambda: answers(w, toys, "left"))
        until(lambda: ("failing", "left", True) in w.told)
        assert w.supervisor.faults == ()


def test_a_hanging_segment_costs_its_model_only_and_its_sessions_are_opened_anew(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(toys, toys.problem, toys.whole(), toys.files, monkeypatch) as w:
        w.ask(toys, "left")
        old = w.runtime._lineup.served["left"].pipeline.sessions[0][0]
        w.faulty.hanging.add("left")
        hanging = [w.runtime.submit("left", toys.feeds()) for _ in range(3)]
        for future in hanging:
            with pytest.raises(InferenceError):
                future.result(WAIT_S)
        w.faulty.hanging.clear()  # new sessions work
        w.ask(toys, "right")
        until(lambda: ("hang", "left", False) in w.told)
        until(lambda: w.runtime._lineup.served["left"].pipeline.sessions[0][0] is not old)
        until(lambda: answers(w, toys, "left"))
        answer = w.ask(toys, "left")
        for name, value in toys.unsplit("left", toys.feeds()).items():
            np.testing.assert_allclose(answer[name], value, rtol=1e-4, atol=1e-5)


def test_a_model_that_an_exchange_left_without_sessions_is_opened_again(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "REOPEN_US", 0.2e6)
    problem = sized(toys, 45)
    with watched(toys, problem, toys.halved(), toys.files, monkeypatch) as w:
        w.faulty.closed = True
        with pytest.raises(RuntimeError, match="no memory"):
            w.runtime.swap(problem, toys.whole())
        (lost,) = w.runtime.lost
        until(lambda: ("lost", lost, False) in w.told)
        with pytest.raises(AdmissionError, match="they could not be opened"):
            w.ask(toys, lost)
        w.faulty.closed = False
        until(lambda: ("lost", lost, True) in w.told)
        for model in toys.files:
            w.ask(toys, model)
        assert w.runtime.version == 0


def test_a_model_that_goes_takes_its_fault_along(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    right = part_of(toys, "right")
    plan = toys.halved().model_copy(update={"models": toys.halved().models[1:]})
    with watched(toys, toys.problem, toys.halved(), toys.files, monkeypatch) as w:
        w.faulty.failing.add("left")
        for _ in range(QUICK.failures):
            with pytest.raises(InferenceError, match="no such device"):
                w.ask(toys, "left")
        until(lambda: ("failing", "left", False) in w.told)
        w.runtime.swap(right, plan, scenario=right, files={"right": toys.files["right"]})
        until(lambda: ("failing", "left", True) in w.told)
        w.faulty.failing.clear()
        w.runtime.swap(toys.problem, toys.halved(), scenario=toys.problem, files=toys.files)
        w.ask(toys, "left")


def test_only_one_request_at_a_time_probes_a_model(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs takes a core for seconds; were those refused meanwhile to make room, it would take all of them."""
    with watched(toys, toys.problem, toys.halved(), toys.files, monkeypatch) as w:
        w.faulty.failing.add("left")
        for _ in range(QUICK.failures):
            with pytest.raises(InferenceError, match="no such device"):
                w.ask(toys, "left")
        w.faulty.failing.clear()
        w.faulty.hanging.add("left")
        time.sleep(QUICK.first_wait_us / 1e6 + 0.05)
        probe = w.runtime.submit("left", toys.feeds())
        for _ in range(4):
            with pytest.raises(AdmissionError, match="a probe is under way"):
                w.ask(toys, "left")
        assert w.runtime.in_flight == 1
        w.ask(toys, "right")
        w.faulty.gate.set()
        probe.exception(WAIT_S)


@pytest.mark.slow
def test_a_backend_that_has_gone_is_planned_around_and_tried_again(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_RETRY_US", 2e6)
    fast = Configuration(backend="provider")
    models = tuple(
        replace(m, costs=CostTable.create([ORT, fast], [[50.0, 5.0]] * m.graph.n_layers)) for m in toys.problem.models
    )
    problem = toys.problem.replace(models=models)
    plan = toys.plan(lambda n: [(0, n, fast)])

    def backends(runtime: LiveRuntime) -> set[str]:
        return {s.configuration.backend for part in runtime.plan.models for s in part.segments}

    with watched(toys, problem, plan, toys.files, monkeypatch) as w:
        solve = w.controller.resolver.solve
        assert solve is not None

        def slowly(*asked: Any) -> Replan:
            time.sleep(1.2)  # several looks pass meanwhile
            return solve(*asked)

        w.controller.resolver.solve = slowly
        for model in toys.files:
            w.ask(toys, model)
        w.faulty.failing.add("provider")
        for model in toys.files:
            for _ in range(QUICK.failures):
                with pytest.raises(InferenceError, match="no such device"):
                    w.ask(toys, model)
        until(lambda: backends(w.runtime) == {ORT.backend})
        w.faulty.failing.clear()
        for model in toys.files:
            until(lambda model=model: answers(w, toys, model))
        assert ("backend", "", False) in w.told
        assert any(assumed.gone == {"provider"} for assumed in w.assumed)
        until(lambda: backends(w.runtime) == {"provider"})
        assert ("backend", "", True) in w.told
        until(lambda: answers(w, toys, "left"))
        time.sleep(1.7)
        assert [d.origin for d in w.controller.decisions] == ["fault", "fault"], "it is not given up untried"
        assert w.told.count(("backend", "", False)) == 1
        assert backends(w.runtime) == {"provider"}


class Monitor(MemoryMonitor):
    """Memory as a test says it is."""

    level = MemoryLevel.OK

    def check(self, at_us: float) -> MemoryState:
        return MemoryState(self.level, "as the test says", at_us, MemoryReading.take(self.limit))


@pytest.mark.slow
def test_critical_memory_is_planned_with_less_and_few_requests_are_taken(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = Monitor()
    with watched(toys, toys.problem, toys.halved(), toys.files, monkeypatch, monitor) as w:
        monitor.level = MemoryLevel.CRITICAL
        until(lambda: w.assumed)
        planned = w.runtime.evaluation.memory_bytes["host"]
        assert w.assumed[-1].memory_bytes == {"host": pytest.approx(0.8 * planned)}
        assert ("memory", "", False) in w.told
        w.faulty.hanging.add("left")
        busy = [w.runtime.submit("left", toys.feeds()) for _ in range(w.runtime.n_cores)]
        with pytest.raises(AdmissionError, match="memory is critical"):
            w.ask(toys, "right")
        w.faulty.gate.set()
        for future in busy:
            future.result(WAIT_S)
        w.ask(toys, "right")
        monitor.level = MemoryLevel.OK
        until(lambda: ("memory", "", True) in w.told)
        until(lambda: w.assumed[-1].memory_bytes == {})


def test_an_exchanged_file_is_told_and_what_is_open_serves_on(
    toys: Toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: tmp_path / f"{name}.onnx" for name in toys.files}
    for name, path in files.items():
        shutil.copy(toys.files[name], path)
    with watched(toys, toys.problem, toys.whole(), files, monkeypatch) as w:
        expected = w.ask(toys, "left")
        until(lambda: w.supervisor._files is not None)
        original = files["left"].read_bytes()
        write_model(tmp_path / "other.onnx", seed=77, depth=5)
        os.replace(tmp_path / "other.onnx", files["left"])
        until(lambda: ("file", "left", False) in w.told)
        assert [fault.model for fault in w.supervisor.faults] == ["left"]
        answer = w.ask(toys, "left")
        assert all(np.array_equal(answer[name], expected[name]) for name in expected)
        files["left"].write_bytes(original)
        until(lambda: ("file", "left", True) in w.told)


def test_a_stopped_process_believes_nothing_of_what_it_measured(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    with watched(toys, toys.problem, toys.whole(), toys.files, monkeypatch) as w:
        w.ask(toys, "left")
        until(lambda: w.supervisor._clock._last is not None)
        w.supervisor._clock._late_us = -1e6  # every check counts as late
        until(lambda: ("clock", "", False) in w.told)
        w.runtime.observer.forget()
        assert w.runtime.observer.observe().arrivals == {}


def test_a_remedy_that_fails_leaves_the_watch_at_work(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    with watched(toys, toys.problem, toys.whole(), toys.files, monkeypatch) as w:
        monkeypatch.setattr(w.runtime, "renew", lambda *_, **__: 1 / 0)
        w.faulty.hanging.add("left")
        with pytest.raises(InferenceError):
            w.ask(toys, "left")
        until(lambda: ("hang", "left", False) in w.told)
        w.faulty.gate.set()
        w.ask(toys, "right")


def test_faults_are_plain_data() -> None:
    fault = Fault("file", "left", "gone", 1.0)
    assert fault.data == {"kind": "file", "model": "left", "reason": "gone", "since_us": 1.0}
