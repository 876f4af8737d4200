"""Starting again from what was kept, with the state on a real disk."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")

from edgeplan.formulation import Gang, Plan, StalePlanError
from edgeplan.interface.case import Case
from edgeplan.interface.serving import startup
from edgeplan.interface.serving.changes import ScenarioChange, changed_case
from edgeplan.interface.serving.engine import Engine, EngineSettings
from edgeplan.interface.serving.keeper import Keeper, base_key
from edgeplan.runtime_bridge.state import StateStore

from ...conftest import CORES, GANG, ORT, Toys

WAIT_S = 20
QUIET = EngineSettings(adapt=False)


@pytest.fixture(autouse=True)
def prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparing sessions in a process of its own has its own tests."""
    monkeypatch.setattr(startup, "prepare_plan", lambda *_: None)
    monkeypatch.setattr(startup, "PROOF_S", 0.0)


def statuses(store: StateStore, wanted: list[str]) -> list[str]:
    """Of all plans, the latest first, once they are as wanted or it is too late."""
    until_s = time.monotonic() + WAIT_S
    while (found := [row.status for row in store.plans(10)]) != wanted and time.monotonic() < until_s:
        time.sleep(0.01)
    return found


def thirds(toys: Toys) -> Plan:
    return toys.plan(lambda n: [(0, n // 3, ORT), (n // 3, n, ORT)])


def key_of(case: Case) -> str:
    return base_key(case.folder / "scenario.yaml", case.folder / "profile.json")


def not_asked() -> Plan:
    raise AssertionError("nothing is to be planned where a good plan is kept")


def test_a_service_goes_on_with_the_plan_it_had(toys: Toys, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        StateStore(case.folder / "state") as store,
        startup.started(case, toys.halved, QUIET, store, key_of(case)) as engine,
    ):
        assert engine.keeper is not None
        assert statuses(store, ["good"]) == ["good"]
        number = engine.keeper.begin(thirds(toys), "drift", "rates")
        engine.runtime.swap(engine.controller.problem, thirds(toys))
        engine.keeper.mark(number, "good")
    monkeypatch.setattr(startup, "prepare_plan", lambda *_: pytest.fail("sessions are only opened"))
    with (
        StateStore(case.folder / "state") as store,
        startup.started(case, not_asked, QUIET, store, key_of(case)) as engine,
    ):
        assert engine.runtime.plan == thirds(toys)
        engine.submit("left", toys.feeds()).result(WAIT_S)
        wanted = ["good", "retired", "retired"]
        assert statuses(store, wanted) == wanted


def test_other_files_are_planned_anew(toys: Toys, case: Case) -> None:
    with StateStore(case.folder / "state") as store:
        with startup.started(case, thirds.__get__(toys), QUIET, store, key_of(case)):
            pass
        with startup.started(case, toys.whole, QUIET, store, "another scenario") as engine:
            assert engine.runtime.plan == toys.whole()


@pytest.mark.parametrize(
    "failure", [StalePlanError("plan", expected="a", got="b", remedy="c"), MemoryError("plan: expected a")], ids=repr
)
def test_a_plan_that_cannot_be_opened_any_more_is_passed_over(
    toys: Toys, case: Case, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    key = key_of(case)
    with StateStore(case.folder / "state") as store:
        with startup.started(case, toys.halved, QUIET, store, key) as engine:
            assert engine.keeper is not None
            assert statuses(store, ["good"]) == ["good"]
            engine.keeper.mark(engine.keeper.begin(thirds(toys), "request", ""), "good")
        build = Engine.__init__

        def fussy(self: Engine, problem: object, plan: Plan, *arguments: object, **more: object) -> None:
            if plan == thirds(toys):
                raise failure
            build(self, problem, plan, *arguments, **more)

        monkeypatch.setattr(Engine, "__init__", fussy)
        with startup.started(case, not_asked, QUIET, store, key) as engine:
            assert engine.runtime.plan == toys.halved()
        assert {row.status for row in store.plans(10) if row.status_reason.startswith("plan: expected a")} == {"failed"}


@pytest.mark.skipif(len(CORES) < 2, reason="a gang is a segment on two cores at once, and there is one")
def test_a_plan_made_for_times_that_were_observed_serves_again(toys: Toys, case: Case) -> None:
    """By the measured times its gangs are no faster than one thread; nobody would plan them so now."""
    key, gang = key_of(case), Gang(configuration=GANG, cores=CORES)
    parts = tuple(
        part.model_copy(
            update={"segments": tuple(s.model_copy(update={"cores": CORES, "gangs": (gang,)}) for s in part.segments)}
        )
        for part in toys.halved().models
    )
    with StateStore(case.folder / "state") as store:
        with startup.started(case, toys.whole, QUIET, store, key) as engine:
            assert engine.keeper is not None
            number = engine.keeper.begin(toys.halved().model_copy(update={"models": parts}), "drift", "slower")
            engine.keeper.mark(number, "good")
        with startup.started(case, not_asked, QUIET, store, key) as engine:
            assert [len(part.segments) for part in engine.runtime.plan.models] == [2, 2]
            engine.submit("left", toys.feeds()).result(WAIT_S)


def test_who_interrupts_a_start_says_nothing_against_its_plan(
    toys: Toys, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = key_of(case)
    with StateStore(case.folder / "state") as store, startup.started(case, toys.halved, QUIET, store, key):
        pass

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for _ in range(3):
        with monkeypatch.context() as broken, StateStore(case.folder / "state") as store:
            broken.setattr(Engine, "__init__", interrupted)
            with pytest.raises(KeyboardInterrupt):
                startup.started(case, not_asked, QUIET, store, key)
    with (
        StateStore(case.folder / "state") as store,
        startup.started(case, not_asked, QUIET, store, key) as engine,
    ):
        assert engine.runtime.plan == toys.halved()


def test_a_changed_scenario_is_served_again_after_a_restart(toys: Toys, case: Case) -> None:
    change = ScenarioChange.model_validate({"remove": ["right"], "streams": [{"model": "left", "rate_hz": 10}]})
    with StateStore(case.folder / "state") as store:
        with startup.started(case, toys.halved, QUIET, store, key_of(case)) as engine:
            decision = engine.change(
                changed_case(case, change, threading.Event()), change.words, time_limit_s=2.0, best_effort=False
            )
            assert decision.action == "switched", decision.reason
            assert decision.reason.startswith("right goes, left at 10 Hz")
            assert list(engine.models) == ["left"]
        with startup.started(case, not_asked, QUIET, store, key_of(case)) as engine:
            assert list(engine.models) == ["left"]
            assert engine.runtime.problem.stream_of["left"].rate_hz == pytest.approx(10)


def test_a_plan_that_proves_itself_late_does_not_displace_a_newer_one(toys: Toys, case: Case) -> None:
    with StateStore(case.folder / "state") as store:
        keeper = Keeper(store, "key", case)
        older, newer = keeper.begin(toys.whole(), "drift", ""), keeper.begin(toys.halved(), "request", "")
        keeper.mark(newer, "good")
        keeper.mark(older, "good")
        assert [row.status for row in store.plans(10)] == ["good", "retired"]


def test_a_plan_that_twice_brings_the_process_down_is_passed_over(
    toys: Toys, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "PROOF_S", 3600.0)
    folder, key = case.folder / "state", key_of(case)
    with StateStore(folder) as store:
        keeper = Keeper(store, key, case)
        for plan in (toys.whole(), toys.halved()):
            keeper.mark(keeper.begin(plan, "request", ""), "good")
    for expected in (toys.halved(), toys.halved(), toys.whole()):
        store = StateStore(folder)
        engine = startup.started(case, not_asked, QUIET, store, key)
        assert engine.runtime.plan == expected
        engine.close()
        store._memory.stop = lambda: None  # it dies without a word
        store.close()


def test_the_key_is_of_the_files_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12")
    (tmp_path / "b").write_bytes(b"3")
    (tmp_path / "c").write_bytes(b"1")
    (tmp_path / "d").write_bytes(b"23")
    keys = {
        base_key(tmp_path / first, second and tmp_path / second)
        for first, second in (("a", "b"), ("b", "a"), ("c", "d"), ("a", None))
    }
    assert len(keys) == 4


def test_heaps_are_limited_before_anything_is_planned(toys: Toys, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the threads of solvers and sessions have got heaps of their own already."""
    happened: list[object] = []
    monkeypatch.setattr(startup, "limit_heaps", happened.append)

    def planned() -> Plan:
        happened.append("planned")
        return toys.whole()

    with startup.started(case, planned, QUIET):
        assert happened == [max(2, len(CORES)), "planned"]
