"""What has been told is found again by the next process, wherever this one ends."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeplan.runtime_bridge.state import Setup, StateError, StateStore

SETUP = Setup("base", '{"models": ["ü", "\\ud800"]}', '{"costs": [1.5]}')
LeftBehind = Callable[[Path], Path]


def test_everything_comes_back(tmp_path: Path) -> None:
    odd = Setup("base", "\ud800 half a character", '{"same": "text"}')
    with StateStore(tmp_path / "made" / "too") as store:
        assert store.last_good("base") is None
        first = store.begin(SETUP, '{"same": "text"}', "start", "it starts", {"gain": 0.5, "limit": float("inf")})
        store.mark(first, "good", "all answered")
        second = store.begin(odd, '{"same": "text"}', "drift", "slower", {"model": "a"})
        store.decide({"action": "kept", "seen": [1, 2.5, None]})
        store.decide({"model": "a"}, kind="fault")
        assert second > first
        before = store.plans(10)
        store.mark(second, "failed", "no memory")
    with StateStore(tmp_path / "made" / "too") as store:
        found = store.last_good("base")
        assert found is not None
        assert found.row == before[1]
        assert (found.row.origin, found.row.reason, found.row.status_reason) == ("start", "it starts", "all answered")
        assert found.row.predicted == {"gain": 0.5, "limit": None}
        assert (found.setup, found.plan) == (SETUP, '{"same": "text"}')
        assert store.last_good("other files") is None
        other = store.plan(second)
        assert other is not None
        assert (other.setup, other.row.status, other.row.status_reason) == (odd, "failed", "no memory")
        assert store.plan(77) is None
        assert [(d.kind, d.decision) for d in store.decisions(10)] == [
            ("fault", {"model": "a"}),
            ("plan", {"action": "kept", "seen": [1, 2.5, None]}),
        ]
        assert store.begin(SETUP, "{}", "start") > second


# What was done before the process was killed, and the plan that the next one starts from.
ENDS: list[tuple[str, str | None]] = [
    ("", None),
    ("begin a", None),
    ("begin a, good a", "a"),
    ("begin a, failed a", None),
    ("begin a, good a, begin b", "a"),
    ("begin a, good a, begin b, failed b", "a"),
    ("begin a, good a, begin b, rolled_back b", "a"),
    ("begin a, good a, begin b, good b", "b"),
    ("begin a, good a, begin b, good b, rolled_back b", "a"),
    ("begin a, good a, begin b, good b, begin a", "b"),
    ("begin a, good a, begin b, good b, begin a, good a, rolled_back b", "a"),
    ("begin a, good a, begin b, kill, begin c", "a"),
    ("begin a, good a, begin b, kill, begin a", "a"),
    ("begin a, good a, begin a, kill, begin a", None),
    ("begin a, good a, begin a, kill, begin a, good a", "a"),
    ("begin a, good a, begin b, good b, begin b, kill, begin b, kill", "a"),
    ("begin a, good a, begin b, good b, begin b, close, begin b, close, begin b, close", "b"),
    ("begin a, good a, begin b, good b, failed b, kill, begin b", "a"),
]


@pytest.mark.parametrize(("done", "expected"), ENDS)
def test_killed_after_each_step(tmp_path: Path, left_behind: LeftBehind, done: str, expected: str | None) -> None:
    folder, latest = tmp_path / "state", {}
    store = StateStore(folder)
    for step in filter(None, done.split(", ")):
        if step == "kill":
            copy = left_behind(folder)
            store.close()
            folder, store = copy, StateStore(copy)
        elif step == "close":
            store.close()
            store = StateStore(folder)
        elif step.startswith("begin"):
            latest[step[-1]] = store.begin(SETUP, json.dumps(step[-1]), "test")
        else:
            store.mark(latest[step[-1]], step[:-2])
    with StateStore(left_behind(folder)) as other:
        found = other.last_good("base")
        assert (None if found is None else json.loads(found.plan)) == expected
    store.close()


def test_stopping_in_order_blames_nobody(tmp_path: Path) -> None:
    with StateStore(tmp_path) as store:
        store.begin(SETUP, "1", "start")
    with StateStore(tmp_path) as store:
        assert [row.status for row in store.plans(10)] == ["stopped"]


def test_order_is_not_that_of_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    for number in range(3):
        with StateStore(tmp_path) as store:
            store.mark(store.begin(SETUP, str(number), "drift"), "good")
            store.decide({"number": number})
    with StateStore(tmp_path) as store:
        found = store.last_good("base")
        assert found is not None
        assert found.plan == "2"
        assert [d.decision["number"] for d in store.decisions(10)] == [2, 1, 0]


def test_pages_of_history(tmp_path: Path) -> None:
    with StateStore(tmp_path) as store:
        for number in range(100):
            store.decide({"number": number})
        for number in range(20):
            store.mark(store.begin(SETUP, str(number), "drift"), "good")
        seen, before = [], None
        while page := store.decisions(7, before):
            seen += [d.decision["number"] for d in page]
            before = page[-1].id
        assert seen == list(range(99, -1, -1))
        assert [row.id for row in store.plans(3)] == [20, 19, 18]
        assert [row.id for row in store.plans(3, before=18)] == [17, 16, 15]
        assert store.decisions(0) == store.plans(-1) == []


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_whatever_is_decided_does_not_fail_the_caller(tmp_path: Path) -> None:
    circle: dict[str, object] = {}
    circle["self"] = circle
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    odd = [
        {"x": float("nan")},
        {"path": Path("x")},
        {"half": "\ud800"},
        {"x": Hostile()},
        circle,
        {"deep": deep},
        {("a", "b"): 1},
        {"long": "x" * 10**6},
        {"number": 10**400},
    ]
    with StateStore(tmp_path) as store:
        for decision in odd:
            store.decide(decision, kind="\ud800 odd")
        plan = store.begin(SETUP, "1", "\ud800" * 10**6, "\0" * 10**6, {"x": Hostile()})
        store.mark(plan, "good", "\udfff")
        assert store.trouble is None
    with StateStore(tmp_path) as store:
        found = [d.decision for d in store.decisions(100)][::-1]
        assert found[:3] == [{"x": None}, {"path": "x"}, {"half": "\ud800"}]
        assert [next(iter(d)) for d in found[3:]] == ["unreadable"] * 4 + ["too_long", "number"]
        assert store.last_good("base") is not None
        json.dumps(found, allow_nan=False)


def test_many_threads(tmp_path: Path) -> None:
    def work(store: StateStore, name: int) -> None:
        for number in range(20):
            store.decide({"thread": name, "number": number})
            store.mark(store.begin(SETUP, f"{name * 100 + number}", "drift"), "good")
            store.decisions(5)
            assert store.last_good("base") is not None

    with StateStore(tmp_path) as store:
        threads = [threading.Thread(target=work, args=(store, name)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(row.status == "good" for row in store.plans(100)) == 1
    with StateStore(tmp_path) as store:
        found = [d.decision for d in store.decisions(1000)]
        assert len(found) == len(store.plans(1000)) == 80
        for name in range(4):
            assert [d["number"] for d in found if d["thread"] == name] == list(range(19, -1, -1))


def test_trouble_may_be_told_to_the_store_itself(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StateError, match="expected a file"):
        StateStore(tmp_path)
    (tmp_path / "state.db").rmdir()
    with StateStore(tmp_path, on_trouble=lambda text: store.decide({"text": text}, kind="fault")) as store:
        (tmp_path / "state.db").unlink()
        (tmp_path / "state.db").mkdir()
        store.mark(store.begin(SETUP, "1", "start"), "good")
        assert store.trouble is not None
        while not (found := store.decisions(1)):
            time.sleep(0.01)
        assert found[0].decision["text"] == store.trouble
        (tmp_path / "state.db").rmdir()
        while store.trouble:
            time.sleep(0.01)
    with StateStore(tmp_path) as store:
        assert store.last_good("base") is not None


def test_what_is_asked_wrongly(tmp_path: Path) -> None:
    with StateStore(tmp_path) as store:
        plan = store.begin(SETUP, "1", "start")
        for status in ("starting", "fine"):
            with pytest.raises(StateError, match="expected one of good"):
                store.mark(plan, status)
        for unknown in (0, plan + 1, -1):
            with pytest.raises(StateError, match="Begin the plan first"):
                store.mark(unknown, "good")
    with pytest.raises(StateError, match="at least 1048576"):
        StateStore(tmp_path, max_bytes=1000)


def test_after_it_is_closed_nothing_fails(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    store.close()
    store.close()
    store.mark(store.begin(SETUP, "1", "start"), "good")
    store.decide({})
    assert store.decisions(5) == []
    with StateStore(tmp_path) as other:
        assert other.plans(5) == []


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StateError, match="a folder that can be made and written"):
            StateStore(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="takes the right to write from a folder, which does not bind root")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o500)
    with pytest.raises(StateError, match="a folder that can be made and written"):
        StateStore(tmp_path / "state")
