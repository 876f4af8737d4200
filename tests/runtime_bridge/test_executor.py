"""The executor: order, containment of failures, nothing lost. Steps are plain functions, so that order is exact."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from edgeplan.formulation import InferenceError, Step
from edgeplan.runtime_bridge import Executor, RequestRecord, now_us

CORES = sorted(os.sched_getaffinity(0))[:2]
WAIT_S = 20


@dataclass(frozen=True)
class Fake:
    """A model whose steps call functions; each adds its name to the tensors."""

    name: str
    steps: Sequence[Step]
    action: Callable[[str, int], None]

    def check(self, feeds: Mapping[str, np.ndarray]) -> None:
        if "bad" in feeds:
            raise InferenceError("request", expected="good", got="bad", remedy="Be good.")

    def run_step(self, index: int, tensors: dict[str, np.ndarray], gang: int | None = None) -> None:
        self.action(self.name, index)
        tensors[f"{self.name}{index}"] = np.zeros(1)

    def outputs(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(tensors)


def chain(n: int, core: int) -> list[Step]:
    return [Step(1, (core,), after=(k - 1,) if k else ()) for k in range(n)]


class Log:
    """Notes what ran, and holds the first step until told to go on."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, int]] = []
        self.gate = threading.Event()
        self.entered = threading.Event()

    def __call__(self, name: str, index: int) -> None:
        self.ran.append((name, index))
        if len(self.ran) == 1:
            self.entered.set()
            assert self.gate.wait(WAIT_S)


def test_an_earlier_deadline_goes_first_at_the_next_segment_boundary() -> None:
    log, executor = Log(), Executor([CORES[0]])
    long, short = Fake("long", chain(3, CORES[0]), log), Fake("short", chain(1, CORES[0]), log)
    first = executor.submit("long", long, {}, deadline_us=1e9)
    assert log.entered.wait(WAIT_S)
    second = executor.submit("short", short, {}, deadline_us=1e6)
    log.gate.set()
    second.result(WAIT_S)
    first.result(WAIT_S)
    assert log.ran == [("long", 0), ("short", 0), ("long", 1), ("long", 2)]
    assert executor.close(WAIT_S)


def test_every_worker_stays_on_its_core() -> None:
    seen: dict[str, set[int]] = {}
    executor = Executor(CORES)
    models = [
        Fake(f"m{core}", chain(2, core), lambda n, _: seen.update({n: os.sched_getaffinity(0)})) for core in CORES
    ]
    for future in [executor.submit(m.name, m, {}) for m in models]:
        future.result(WAIT_S)
    assert seen == {f"m{core}": {core} for core in CORES}
    executor.close(WAIT_S)


def test_many_requests_from_many_threads_all_end_once() -> None:
    finished: list[RequestRecord] = []
    executor = Executor(CORES, max_in_flight=10_000, on_finish=finished.append)
    steps = [Step(1, tuple(CORES)), Step(1, (CORES[-1],), (0,)), Step(len(CORES), tuple(CORES), (1,))]
    model = Fake("m", steps, lambda *_: None)
    futures = []

    def send() -> None:
        futures.extend(executor.submit("m", model, {}, deadline_us=float(i % 7)) for i in range(200))

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert all(set(f.result(WAIT_S)) == {"m0", "m1", "m2"} for f in futures)
    assert executor.close(WAIT_S)
    assert sorted(r.request for r in finished) == list(range(800))
    assert all([s.segment for s in r.segments] == [0, 1, 2] for r in finished)


def test_a_failing_segment_fails_its_own_request_only() -> None:
    def action(name: str, index: int) -> None:
        if name == "broken" and index == 1:
            raise RuntimeError("no such kernel")

    executor = Executor([CORES[0]])
    broken, sound = (Fake(n, chain(3, CORES[0]), action) for n in ("broken", "sound"))
    futures = [executor.submit(m.name, m, {}) for m in (broken, sound, broken, sound)]
    for future in futures[::2]:
        with pytest.raises(InferenceError, match="segment 1: no such kernel"):
            future.result(WAIT_S)
    assert all("sound2" in future.result(WAIT_S) for future in futures[1::2])
    assert executor.close(WAIT_S)


def test_what_does_not_fit_or_is_too_much_is_refused_and_written_down() -> None:
    log, finished = Log(), []
    executor = Executor([CORES[0]], max_in_flight=1, on_finish=finished.append)
    model = Fake("m", chain(1, CORES[0]), log)
    with pytest.raises(InferenceError, match="Be good"):
        executor.submit("m", model, {"bad": np.zeros(1)}).result(WAIT_S)
    accepted = executor.submit("m", model, {})
    assert log.entered.wait(WAIT_S)
    with pytest.raises(InferenceError, match="1 in flight"):
        executor.submit("m", model, {}).result(WAIT_S)
    log.gate.set()
    accepted.result(WAIT_S)
    executor.close(WAIT_S)
    with pytest.raises(InferenceError, match="closed executor"):
        executor.submit("m", model, {}).result(WAIT_S)
    assert [bool(r.error) for r in finished] == [True, True, False, True]
    assert all(r.missed for r in finished if r.error)


def test_closing_waits_for_what_was_accepted() -> None:
    log, executor = Log(), Executor([CORES[0]])
    futures = [executor.submit("m", Fake("m", chain(2, CORES[0]), log), {}) for _ in range(3)]
    assert log.entered.wait(WAIT_S)
    assert not executor.drain(0.01)
    closer = threading.Thread(target=executor.close)
    closer.start()
    log.gate.set()
    closer.join(WAIT_S)
    assert all(future.done() for future in futures)
    assert executor.in_flight == 0


def test_the_response_counts_from_the_scheduled_arrival() -> None:
    finished: list[RequestRecord] = []
    executor = Executor([CORES[0]], on_finish=finished.append)
    due_us = now_us() - 5e6
    executor.submit("m", Fake("m", chain(1, CORES[0]), lambda *_: None), {}, arrival_us=due_us, deadline_us=1e6).result(
        WAIT_S
    )
    executor.close(WAIT_S)
    assert finished[0].response_us > 5e6
    assert finished[0].missed


def test_a_request_that_was_accepted_cannot_be_taken_back() -> None:
    """Nor does an attempt harm its worker: callers that wait with a time limit (asyncio) cancel what they wait for."""
    log, executor = Log(), Executor([CORES[0]])
    model = Fake("m", chain(1, CORES[0]), log)
    running, waiting, last = (executor.submit("m", model, {}) for _ in range(3))
    assert log.entered.wait(WAIT_S)
    assert not running.cancel()
    assert not waiting.cancel()
    log.gate.set()
    for future in (running, waiting, last):
        future.result(WAIT_S)
    assert executor.close(WAIT_S)


def test_whatever_fails_around_a_segment_fails_its_request_and_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(Fake):
        def outputs(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            raise KeyError("answer")

    executor = Executor([CORES[0]])
    with pytest.raises(InferenceError, match="got outputs: KeyError"):
        executor.submit("m", Mute("m", chain(1, CORES[0]), lambda *_: None), {}).result(WAIT_S)
    sound = Fake("m", chain(1, CORES[0]), lambda *_: None)

    def refuse(pid: int, cores: object) -> None:
        raise OSError("the core was taken away")

    other = Executor([CORES[0]])  # none of its threads is held to a core yet
    with monkeypatch.context() as patch:
        patch.setattr(os, "sched_setaffinity", refuse)
        with pytest.raises(InferenceError, match="segment 0: the core was taken away"):
            other.submit("m", sound, {}).result(WAIT_S)
    for each in (executor, other):
        each.submit("m", sound, {}).result(WAIT_S)
        assert each.close(WAIT_S)


def test_closing_with_a_time_limit_loses_nothing_and_may_be_repeated() -> None:
    log, executor = Log(), Executor(CORES)
    model = Fake("m", [Step(1, (CORES[k % len(CORES)],), after=(k - 1,) if k else ()) for k in range(3)], log)
    futures = [executor.submit("m", model, {}) for _ in range(3)]
    assert log.entered.wait(WAIT_S)
    assert not executor.close(0.01)
    log.gate.set()
    for future in futures:
        future.result(WAIT_S)
    for _ in range(2):
        assert executor.close(WAIT_S)
    assert not executor._workers.alive


def test_a_request_without_a_time_is_refused() -> None:
    executor = Executor([CORES[0]])
    model = Fake("m", chain(1, CORES[0]), lambda *_: None)
    for times in ({"deadline_us": float("nan")}, {"arrival_us": float("nan")}, {"arrival_us": float("inf")}):
        with pytest.raises(InferenceError, match="expected a finite arrival and a deadline"):
            executor.submit("m", model, {}, **times).result(WAIT_S)
    executor.submit("m", model, {}).result(WAIT_S)
    executor.close(WAIT_S)


def test_a_segment_that_hangs_fails_its_own_request_only() -> None:
    gate = threading.Event()

    def action(name: str, index: int) -> None:
        if name == "stuck":
            assert gate.wait(WAIT_S)

    finished: list[RequestRecord] = []
    executor = Executor([CORES[0]], on_finish=finished.append, hang_us=50e3)
    stuck, sound = (Fake(name, chain(2, CORES[0]), action) for name in ("stuck", "sound"))
    hanging, behind = executor.submit("stuck", stuck, {}), executor.submit("sound", sound, {})
    same = executor.submit("stuck", stuck, {})
    given_up: list[RequestRecord] = []
    began = now_us()
    while not given_up and now_us() - began < WAIT_S * 1e6:
        given_up = executor.give_up()
        threading.Event().wait(0.01)
    assert [record.model for record in given_up] == ["stuck"]
    with pytest.raises(InferenceError, match=r"segment 0: no end after \d\.\d s, predicted 0 µs"):
        hanging.result(WAIT_S)
    assert "sound1" in behind.result(WAIT_S)
    with pytest.raises(InferenceError, match="it waited for a segment that hangs"):
        same.result(WAIT_S)
    gate.set()  # it comes back late: nothing of it counts any more
    for _ in range(3):
        executor.submit("sound", sound, {}).result(WAIT_S)
    assert executor.close(WAIT_S)
    assert sorted(r.request for r in finished) == list(range(6))
    assert executor.waiting() == {}


def test_a_process_that_was_stopped_has_no_hanging_segments() -> None:
    log, executor = Log(), Executor([CORES[0]], hang_us=1.2e6)
    future = executor.submit("m", Fake("m", chain(1, CORES[0]), log), {})
    assert log.entered.wait(WAIT_S)
    executor.give_up()
    executor._looked_us -= 60e6  # what a stop of a minute does: nobody looked in the meantime
    for running in executor._running.values():
        running.began_us -= 60e6
    assert executor.give_up() == []
    log.gate.set()
    future.result(WAIT_S)
    assert executor.close(WAIT_S)


@pytest.mark.parametrize("failure", [SystemExit(3), MemoryError(), KeyboardInterrupt()], ids=repr)
def test_whatever_a_segment_raises_its_worker_lives(failure: BaseException) -> None:
    def action(name: str, index: int) -> None:
        if name == "broken":
            raise failure

    executor = Executor([CORES[0]])
    with pytest.raises(InferenceError, match="segment 0"):
        executor.submit("broken", Fake("broken", chain(1, CORES[0]), action), {}).result(WAIT_S)
    executor.submit("sound", Fake("sound", chain(1, CORES[0]), action), {}).result(WAIT_S)
    assert executor.close(WAIT_S)


def test_who_cannot_take_a_record_keeps_no_answer_back() -> None:
    def forgetful(record: RequestRecord) -> None:
        raise ValueError("no room")

    executor = Executor([CORES[0]], on_finish=forgetful)
    for _ in range(3):
        executor.submit("m", Fake("m", chain(2, CORES[0]), lambda *_: None), {}).result(WAIT_S)
    assert executor.close(WAIT_S)
