"""A process is killed while it writes: what it had been told is safe is found again."""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path

import pytest
from edgeplan.runtime_bridge.state import Setup, StateError, StateStore

from .conftest import Nursery


def whole(folder: Path) -> bool:
    """Whether SQLite finds the closed file sound and each document is referred to."""
    connection = sqlite3.connect(folder / "state.db")
    sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    unresolved = connection.execute("PRAGMA foreign_key_check").fetchall()
    connection.close()
    return sound and not unresolved


@pytest.mark.parametrize("kills", [25, pytest.param(250, marks=pytest.mark.slow)])
def test_killed_at_any_moment(nursery: Nursery, tmp_path: Path, kills: int) -> None:
    rng = random.Random(6)
    troubles: list[str] = []
    good = last = 0
    for seed in range(kills):
        nursery.start("writes", tmp_path, seed)
        if seed % 5:  # some are killed before they have opened the file
            said = [nursery.next()]
            time.sleep(rng.uniform(0.0, 0.1))
            said += nursery.kill()
        else:
            time.sleep(rng.uniform(0.0, 0.01))
            said = nursery.kill()
        good = max([good, *(int(plan) for status, plan in said if status == "good")])
        last = max([last, *(int(plan) for _, plan in said)])

        with StateStore(tmp_path, max_bytes=2**20, on_trouble=troubles.append) as store:
            stored = store.last_good("base")
            rows = {row.id: row for row in store.plans(10**6)}
            assert max(rows, default=0) >= last
            assert not any(row.status == "starting" for row in rows.values())
            if good:
                # A later one may have turned good without having come to say so.
                assert stored is not None
                assert stored.row.id >= good
                assert stored.row.status == "good"
            # What was said is so; of the last one that was starting more may have come true.
            assert all(rows[int(plan)].status != "good" or int(plan) >= good for _, plan in said if int(plan) in rows)
        assert whole(tmp_path)
        assert not troubles
    assert good > kills


def test_each_thing_said_is_true(nursery: Nursery, tmp_path: Path) -> None:
    nursery.start("writes", tmp_path, 1)
    said = [nursery.next() for _ in range(60)] + nursery.kill()
    latest = {int(plan): status for status, plan in said}
    may_be = {
        "good": {"good", "retired"},
        "starting": {"failed", "good", "rolled_back"},
        "failed": {"failed"},
        "rolled_back": {"rolled_back"},
    }
    with StateStore(tmp_path, max_bytes=2**20) as store:
        found = {row.id: row.status for row in store.plans(10**6)}
    goods = [plan for plan, status in found.items() if status == "good"]
    assert len(goods) == 1
    for plan in latest.keys() & found.keys():  # the oldest have been dropped
        assert found[plan] in may_be[latest[plan]]
    assert len(latest.keys() & found.keys()) > 3


def test_one_process_at_a_time(nursery: Nursery, tmp_path: Path) -> None:
    nursery.start("holds", tmp_path)
    _, pid = nursery.next()
    with pytest.raises(StateError, match=f"process {pid} "):
        StateStore(tmp_path)
    nursery.kill()
    with StateStore(tmp_path) as store:
        store.mark(store.begin(Setup("base", "{}", "{}"), "1", "start"), "good")
