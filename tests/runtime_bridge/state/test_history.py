"""Which plan is good, and which are dropped: the rules without a disk."""

from __future__ import annotations

import pytest
from edgeplan.runtime_bridge.state.history import MAX_FAILURES, MAX_PLANS, PlanHistory
from edgeplan.runtime_bridge.state.records import PlanRow, Status
from hypothesis import given
from hypothesis import strategies as st


def added(history: PlanHistory, plan: str, base_key: str = "base") -> int:
    number = max(history.rows, default=0) + 1
    history.rows[number] = PlanRow(number, base_key, "scenario", "profile", plan, "drift", "", {}, 0.0, 0.0)
    return number


def tried(history: PlanHistory, plan: str, *fates: Status) -> int:
    number = added(history, plan)
    for fate in fates:
        history.mark(number, fate, "", 0.0)
    return number


def start(history: PlanHistory) -> str | None:
    return next((row.plan_sha256 for row in history.good("base")), None)


def death(history: PlanHistory) -> None:
    history.mark_starting("failed", "", 0.0)


def test_a_switch() -> None:
    history = PlanHistory()
    first = tried(history, "a", "good")
    second = tried(history, "b")
    assert start(history) == "a"
    history.mark(second, "good", "", 0.0)
    assert start(history) == "b"
    assert history.rows[first].status == "retired"


@pytest.mark.parametrize("fate", ["failed", "rolled_back", "stopped", "starting"])
def test_a_switch_that_comes_to_nothing(fate: Status) -> None:
    history = PlanHistory()
    tried(history, "a", "good")
    tried(history, "b", fate)
    assert start(history) == "a"
    assert history.rows[1].status == "good"


def test_a_plan_taken_back_after_it_was_good() -> None:
    history = PlanHistory()
    tried(history, "a", "good")
    tried(history, "b", "good")
    third = tried(history, "c", "good")
    history.mark(third, "rolled_back", "", 0.0)
    assert start(history) == "b"  # also where the process dies before it serves again
    tried(history, "b", "good")
    assert start(history) == "b"


def test_a_plan_taken_back_that_had_served_before() -> None:
    history = PlanHistory()
    tried(history, "a", "good")
    tried(history, "b", "good")
    tried(history, "b", "good")  # after a restart
    history.mark(3, "rolled_back", "", 0.0)
    assert start(history) == "a"
    tried(history, "b", "good")  # found good after all
    assert start(history) == "b"


def test_deaths_while_starting() -> None:
    history = PlanHistory()
    tried(history, "a", "good")
    tried(history, "b", "good")
    for _ in range(MAX_FAILURES):
        assert start(history) == "b"
        tried(history, "b")
        death(history)
    assert start(history) == "a"
    for _ in range(MAX_FAILURES):
        assert start(history) == "a"
        tried(history, "a")
        death(history)
    assert start(history) is None


def test_deaths_count_only_in_a_row() -> None:
    history = PlanHistory()
    for _ in range(5):
        tried(history, "a", "good")
        tried(history, "a")
        death(history)
    assert start(history) == "a"


def test_other_files_have_other_plans() -> None:
    history = PlanHistory()
    tried(history, "a", "good")
    other = added(history, "b", "other")
    history.mark(other, "good", "", 0.0)
    assert [row.plan_sha256 for row in history.good("other")] == ["b"]
    assert start(history) == "a"


FATES: list[Status] = ["good", "good", "failed", "rolled_back", "stopped"]
ATTEMPTS = st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from(FATES), max_size=2)), max_size=25)


@given(ATTEMPTS)
def test_what_is_started_from_had_been_good(attempts: list[tuple[str, list[Status]]]) -> None:
    history, were_good = PlanHistory(), set()
    for plan, fates in attempts:
        number = tried(history, plan, *fates)
        if "good" in fates:
            were_good.add(number)
        assert sum(row.status == "good" for row in history.rows.values()) <= 1
        rows = list(history.good("base"))
        assert {row.id for row in rows} <= were_good
        good = [row for row in history.rows.values() if row.status == "good"]
        later = [row for row in history.rows.values() if good and row.id > good[0].id]
        if good and all(row.status in ("starting", "stopped") or row.content != good[0].content for row in later):
            assert rows[0] == good[0]


@given(ATTEMPTS, st.integers(0, 20_000))
def test_the_good_plan_and_the_one_before_are_never_dropped(
    attempts: list[tuple[str, list[Status]]], max_bytes: int
) -> None:
    history = PlanHistory()
    for plan, fates in attempts:
        tried(history, plan, *fates)
    before = list(history.good("base"))
    other = next((row for row in before if row.content != before[0].content), None)
    everything = set(history.rows)
    sizes = dict.fromkeys("abc", 4000)
    dropped = history.drop_excess(sizes, max_bytes)
    assert set(dropped) | history.rows.keys() == everything
    after = list(history.good("base"))
    if before:
        assert before[0] in after
        assert other is None or other in after or before[0].status != "good"
    if not dropped or history.bytes_of(sizes) > max_bytes:
        assert not dropped or history.rows.keys() == history.protected()


def test_rows_are_counted_too() -> None:
    history = PlanHistory()
    for _ in range(MAX_PLANS + 100):
        tried(history, "a", "good")
    dropped = history.drop_excess({}, 2**30)
    assert dropped == list(range(1, 101))
