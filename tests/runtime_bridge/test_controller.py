"""The controller asked from outside: re-solves, scenarios that change, plans that come back, plans written down."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeplan.formulation import Plan, PlanError, Problem
from edgeplan.profiles import Session
from edgeplan.runtime_bridge import Assumptions, Controller, Drift, Hysteresis, LiveRuntime, Observation, Replan, replan
from edgeplan.runtime_bridge.trial import Prediction, TrialSettings

from ..conftest import CORES, ORT, Toys

WAIT_S = 20


class Log:
    """Plans as they were written down."""

    def __init__(self) -> None:
        self.entries: list[list[Any]] = []

    def begin(self, plan: Plan, origin: str, reason: str, setup: Any) -> int:
        self.entries.append([origin, "starting", setup])
        return len(self.entries) - 1

    def mark(self, number: int, status: str, reason: str = "") -> None:
        self.entries[number][1] = status


def solving(problem: Problem, asked: list[Assumptions] | None = None) -> Callable[..., Replan]:
    def solve(running: Plan | None, seen: Assumptions, time_limit_s: float, seed: int) -> Replan:
        if asked is not None:
            asked.append(seen)
        return replan(problem, running, seen, time_limit_s, seed)

    return solve


def always(toys: Toys, plan: Plan) -> Callable[..., Replan]:
    """Finds that plan, and that it is much better."""

    def solve(running: Plan | None, seen: Assumptions, time_limit_s: float, seed: int) -> Replan:
        from dataclasses import replace

        found = replan(toys.problem, running, seen, 0.5, seed)
        assert found.best.judgement is not None
        better = replace(found.best.judgement, miss_ratio=0.0, stretch=0.1)
        best = replace(found.best, solution=replace(found.best.solution, plan=plan), judgement=better)
        return replace(found, best=best, predictions={m: Prediction(0.0, 100.0) for m in toys.files})

    return solve


def thirds(toys: Toys) -> Plan:
    return toys.plan(lambda n: [(0, n // 3, ORT), (n // 3, n, ORT)])


def test_a_re_solve_is_asked_for_and_written_down(toys: Toys) -> None:
    log = Log()
    with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
        controller = Controller(runtime, toys.problem, solve=always(toys, thirds(toys)), plan_log=log)
        decision = controller.resolve("asked for")
        assert (decision.action, decision.origin, decision.plan_version) == ("switched", "request", 1)
        assert decision.reason.startswith("asked for: simulated")
        assert decision.expected is not None
        assert decision.before is not None
        assert log.entries == [["request", "good", None]]
        runtime.submit("left", toys.feeds()).result(WAIT_S)


def test_a_plan_that_cannot_be_opened_is_written_down_as_such(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()

    def failing(*_: Any) -> Session:
        raise RuntimeError("no memory")

    with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
        controller = Controller(runtime, toys.problem, solve=always(toys, thirds(toys)), plan_log=log)
        with monkeypatch.context() as broken:
            broken.setattr(type(runtime._pool._backends["onnxruntime-cpu"]), "open", failing)
            decision = controller.resolve()
        assert decision.action == "failed"
        assert "could not be opened: no memory" in decision.reason
        assert runtime.plan == toys.halved()
        assert log.entries == [["request", "failed", None]]


def test_what_nobody_asked_for_is_good_only_after_its_probation(toys: Toys) -> None:
    log = Log()
    drifted = Observation(2e6, {"left": 600, "right": 100}, {}, {}, dict.fromkeys(CORES, 0.0))
    with (
        LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime,
        Controller(
            runtime,
            toys.problem,
            solve=always(toys, thirds(toys)),
            hysteresis=Hysteresis(persistence=1, rest_us=0.0),
            interval_s=3600,
            plan_log=log,
        ) as controller,
    ):
        decision = controller.check(drifted)
        assert decision is not None
        assert decision.action == "switched"
        assert controller.check(drifted) is None
        assert log.entries == [["drift", "starting", None]]
        controller._probation.end()
        assert controller.check(drifted) is None
        assert log.entries == [["drift", "good", None]]


def test_earlier_plans_come_back(toys: Toys) -> None:
    log = Log()
    with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
        controller = Controller(runtime, toys.problem, solve=always(toys, thirds(toys)), plan_log=log)
        controller.resolve()
        decision = controller.go_back(0, "better as it was")
        assert (decision.action, decision.origin, decision.plan_version) == ("switched", "rollback", 2)
        assert runtime.plan == toys.halved()
        assert log.entries == [["request", "rolled_back", None], ["rollback", "good", None]]
        for version, words in ((7, "got none"), (2, "the one that serves")):
            with pytest.raises(PlanError, match=words):
                controller.go_back(version, "")


def test_a_plan_that_does_worse_than_predicted_and_before_goes(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrialSettings(block_us=5e3, first_look=8, settle_us=0.0)
    with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
        controller = Controller(
            runtime, toys.problem, solve=always(toys, thirds(toys)), hysteresis=Hysteresis(persistence=10**6)
        )
        controller._probation._settings = settings
        seen = Observation(2e6, {}, {}, {}, dict.fromkeys(CORES, 0.0))

        def ask(deadline_us: float) -> None:
            for _ in range(20):
                runtime.submit("left", toys.feeds(), deadline_us=deadline_us).result(WAIT_S)
                threading.Event().wait(0.006)
                controller.check(seen)

        ask(1e9)
        assert controller.resolve().action == "switched"
        ask(1.0)  # all are late now, and none was predicted to be
        ask(1.0)
        assert runtime.plan == toys.halved()
        last = controller.decisions[-1]
        assert (last.origin, last.action, last.plan_version) == ("trial", "switched", 2)
        assert "late" in last.reason
        ask(1.0)
        assert runtime.version == 2, "the plan that came back is not tried"


def test_a_look_that_fails_is_not_the_last_one(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, again = [], threading.Event()
    with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
        observe = runtime.observer.observe

        def failing() -> Observation:
            looks.append(len(looks))
            if len(looks) == 1:
                raise FileNotFoundError("/proc/1/task")
            again.set()
            return observe()

        monkeypatch.setattr(runtime.observer, "observe", failing)
        with Controller(runtime, toys.problem, interval_s=0.01, solve=solving(toys.problem)):
            assert again.wait(WAIT_S)


def test_without_drift_in_view_a_plan_on_probation_is_still_looked_after(toys: Toys) -> None:
    with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
        controller = Controller(runtime, toys.problem, interval_s=0.005, solve=always(toys, thirds(toys)))
        controller._probation._settings = TrialSettings(block_us=5e3, first_look=8, settle_us=0.0)
        controller.start(watch=False)
        try:

            def ask(deadline_us: float) -> None:
                for _ in range(40):
                    runtime.submit("left", toys.feeds(), deadline_us=deadline_us).result(WAIT_S)
                    threading.Event().wait(0.006)

            ask(1e9)
            assert controller.resolve().action == "switched"
            for _ in range(10):
                ask(1.0)
                if runtime.plan == toys.halved():
                    break
            assert [decision.origin for decision in controller.decisions] == ["request", "trial"]
        finally:
            controller.close()


@pytest.mark.slow
def test_what_was_seen_before_a_decision_says_nothing_after_it(toys: Toys) -> None:
    """Who waited for a scenario without a model must not assume that model's rate."""
    seen = Observation(2e6, {"left": 600, "right": 600}, {}, {}, dict.fromkeys(CORES, 0.0))
    with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
        controller = Controller(
            runtime,
            toys.problem,
            hysteresis=Hysteresis(persistence=1, rest_us=0.0),
            solve=lambda *asked: replan(controller.problem, *asked),
        )
        found: list[Any] = []
        watcher = threading.Thread(target=lambda: found.append(controller.check(seen)))
        change, files = part_of(toys, "left"), {"left": toys.files["left"]}
        solved = controller._solved

        def meanwhile(*arguments: Any) -> Any:
            watcher.start()
            threading.Event().wait(0.2)
            return solved(*arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(controller, "_solved", meanwhile)
            assert controller.change(change, files, "right goes", time_limit_s=0.5).action == "switched"
        watcher.join(WAIT_S)
        assert found == [None]
        assert set(controller.assumed.rate_hz) == {"left"}


def part_of(toys: Toys, *names: str) -> Problem:
    models = tuple(m for m in toys.problem.models if m.name in names)
    return toys.problem.replace(models=models, streams=tuple(s for s in toys.problem.streams if s.model in names))


def test_a_scenario_changes_and_a_change_that_fails_changes_nothing(toys: Toys) -> None:
    log, left = Log(), part_of(toys, "left")
    plan = toys.whole().model_copy(update={"models": toys.whole().models[:1]})
    with LiveRuntime(left, plan, {"left": toys.files["left"]}) as runtime:
        controller = Controller(runtime, left, plan_log=log, solve=lambda *asked: replan(controller.problem, *asked))
        decision = controller.change(toys.problem, toys.files, "right comes", time_limit_s=1.0, setup="both")
        assert (decision.action, decision.origin) == ("switched", "change"), decision.reason
        assert decision.reason.startswith("right comes")
        for model in toys.files:
            runtime.submit(model, toys.feeds()).result(WAIT_S)
        assert log.entries == [["change", "good", "both"]]
        assert set(controller.assumed.rate_hz) == set(toys.files)

        hard = toys.problem.replace(
            streams=tuple(s.model_copy(update={"deadline_us": 1.0, "percentile": 1.0}) for s in toys.problem.streams)
        )
        failed = controller.change(hard, toys.files, "too hard", time_limit_s=0.5)
        assert failed.action == "failed"
        # Each of the two deadlines is a smallest set that clashes by itself; the one that is named is either.
        words = r"too hard: not every limit can be kept: deadline of (left|right): 1 µs is below its fastest possible"
        assert re.match(words, failed.reason)
        assert controller.problem is toys.problem
        assert runtime.problem is toys.problem
        assert len(log.entries) == 1
        best = controller.change(hard, toys.files, "as well as it goes", time_limit_s=0.5, best_effort=True)
        assert best.action == "switched"
        record_before = len(runtime.records)
        runtime.submit("left", toys.feeds()).result(WAIT_S)
        record = runtime.records[record_before]
        assert record.deadline_us - record.arrival_us == 1.0

        gone = controller.change(part_of(toys, "right"), {"right": toys.files["right"]}, "left goes", time_limit_s=0.5)
        assert gone.action == "switched"
        assert set(runtime.files) == {"right"}
        assert controller.resolve().action in {"switched", "kept"}
        with pytest.raises(PlanError, match="one for others"):
            controller.go_back(0, "")


def test_a_change_that_fails_in_whatever_way_leaves_the_scenario(toys: Toys) -> None:
    left = part_of(toys, "left")

    def broken(*_: object) -> Replan:
        raise RuntimeError("can't start new thread")

    with LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime:
        controller = Controller(runtime, toys.problem, solve=broken)
        with pytest.raises(RuntimeError):
            controller.change(left, {"left": toys.files["left"]}, "right goes")
        assert controller.problem is toys.problem
        assert set(controller.assumed.rate_hz) == set(toys.files)


def test_who_asks_a_closed_controller_starts_no_planner(toys: Toys) -> None:
    with LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime:
        controller = Controller(runtime, toys.problem)
        controller.close()
        assert controller.fault(()).action == "cancelled"
        assert controller.resolver.planner is None


def test_a_change_that_does_not_prove_itself_brings_the_plan_before_back(toys: Toys) -> None:
    log, left = Log(), part_of(toys, "left")
    with LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime:
        controller = Controller(
            runtime, toys.problem, plan_log=log, solve=lambda *asked: replan(controller.problem, *asked)
        )
        served: list[set[str]] = []

        def prove() -> None:
            served.append(set(runtime.files))
            raise KeyError("no answer")

        files = {"left": toys.files["left"]}
        decision = controller.change(left, files, "right goes", time_limit_s=0.5, prove=prove)
        assert decision.action == "failed"
        assert "no answer" in decision.reason
        assert served == [{"left"}]
        assert (runtime.plan, runtime.problem, controller.problem) == (toys.whole(), toys.problem, toys.problem)
        assert log.entries == [["change", "failed", None]]
        for model in toys.files:
            runtime.submit(model, toys.feeds()).result(WAIT_S)


@pytest.mark.slow
def test_a_change_whose_file_is_missing_leaves_all_as_it_is(toys: Toys, tmp_path: Path) -> None:
    left = part_of(toys, "left")
    plan = toys.whole().model_copy(update={"models": toys.whole().models[:1]})
    with (
        LiveRuntime(left, plan, {"left": toys.files["left"]}) as runtime,
        Controller(runtime, left, interval_s=3600) as controller,
    ):
        files = {**toys.files, "right": tmp_path / "nowhere.onnx"}
        decision = controller.change(toys.problem, files, "right comes", time_limit_s=0.5)
        assert decision.action == "failed"
        assert "nowhere.onnx" in decision.reason
        runtime.submit("left", toys.feeds()).result(WAIT_S)
        assert controller.resolve().action in {"switched", "kept"}


def test_a_solve_is_cancelled_from_another_thread(toys: Toys) -> None:
    with (
        LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime,
        Controller(runtime, toys.problem, interval_s=3600) as controller,
    ):
        found: list[Any] = []
        asker = threading.Thread(target=lambda: found.append(controller.resolve(time_limit_s=60.0)))
        asker.start()
        while not controller.cancel():
            threading.Event().wait(0.01)
        asker.join(WAIT_S)
        assert [decision.action for decision in found] == ["cancelled"]
        assert runtime.version == 0
        unwanted, another = threading.Event(), threading.Event()
        unwanted.set()
        assert controller.resolve(cancelled=unwanted).action == "cancelled"
        late = threading.Thread(target=controller.cancel, args=(unwanted,), daemon=True)
        late.start()
        late.join(WAIT_S)
        assert not late.is_alive(), "it does not wait for a question that is over"
        asker = threading.Thread(target=lambda: found.append(controller.resolve(time_limit_s=60.0, cancelled=another)))
        asker.start()
        while controller.resolver._asked is not another:
            threading.Event().wait(0.01)
        assert not controller.cancel(unwanted), "another question is being solved"
        while not controller.cancel(another):
            threading.Event().wait(0.01)
        asker.join(WAIT_S)
        assert found[-1].action == "cancelled"


def test_who_asks_for_an_earlier_plan_does_not_wait_for_a_re_solve(toys: Toys) -> None:
    with (
        LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime,
        Controller(
            runtime, toys.problem, hysteresis=Hysteresis(persistence=1, rest_us=0.0), interval_s=3600, time_limit_s=60.0
        ) as controller,
    ):
        runtime.swap(toys.problem, thirds(toys))
        seen = Observation(2e6, {"left": 600, "right": 100}, {}, {}, dict.fromkeys(CORES, 0.0))
        found: list[Any] = []
        watcher = threading.Thread(target=lambda: found.append(controller.check(seen)))
        watcher.start()
        while not controller._for_drift:
            threading.Event().wait(0.01)
        threading.Event().wait(0.2)
        assert controller.go_back(0, "now").action == "switched"
        watcher.join(WAIT_S)
        assert [decision.action for decision in found] == ["cancelled"]
        assert runtime.plan == toys.halved()


def test_a_backend_that_is_gone_and_memory_that_is_short_are_planned_around(toys: Toys) -> None:
    asked: list[Assumptions] = []
    with LiveRuntime(toys.problem, toys.halved(), toys.files) as runtime:
        controller = Controller(runtime, toys.problem, solve=solving(toys.problem, asked))
        drift = Drift("backend", "openvino-cpu", 0.0, 1.0)
        decision = controller.fault((drift,), gone=frozenset({"openvino-cpu"}))
        assert decision.origin == "fault"
        assert asked[-1].gone == {"openvino-cpu"}
        controller.fault((), memory_bytes={"host": 1000.0})
        assert asked[-1].memory_bytes == {"host": 1000.0}
        assert asked[-1].gone == {"openvino-cpu"}


def test_what_a_fault_leaves_is_what_is_solved(toys: Toys) -> None:
    from dataclasses import replace

    from edgeplan.formulation import Configuration, CostTable

    other = Configuration(backend="elsewhere")
    models = tuple(
        replace(m, costs=CostTable.create([ORT, other], [[50.0, 5.0]] * m.graph.n_layers)) for m in toys.problem.models
    )
    problem = toys.problem.replace(models=models)
    rates = dict.fromkeys(toys.files, 50.0)
    for gone, backend in ((frozenset(), "elsewhere"), (frozenset({"elsewhere"}), ORT.backend)):
        found = replan(problem, None, Assumptions(rates, gone=gone), 2.0, 0)
        assert found.plan is not None
        assert {s.configuration.backend for m in found.plan.models for s in m.segments} == {backend}
        assert found.current is None
        assert set(found.predictions) == set(toys.files)
    everything = replan(problem, None, Assumptions(rates, gone=frozenset({"elsewhere", ORT.backend})), 2.0, 0)
    assert everything.plan is not None, "models that have nothing else keep what they have"
    tight = replan(problem, None, Assumptions(rates, memory_bytes={"host": 1.0}), 2.0, 0)
    assert tight.plan is None


def test_more_than_the_device_can_carry_is_planned_for_a_share_of_it(toys: Toys) -> None:
    problem = toys.problem.replace(streams=tuple(stream.at_rate(5000.0) for stream in toys.problem.streams))
    found = replan(problem, None, Assumptions(dict.fromkeys(toys.files, 5000.0)), 0.5, 0)
    assert found.plan is not None
    assert "of the requests" in found.view
    assert any("utilisation" in clash for clash in found.unmet)
