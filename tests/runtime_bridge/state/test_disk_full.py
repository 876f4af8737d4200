"""The disk is full, really: serving goes on, and what waits is written when there is room."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeplan.runtime_bridge.state import Setup, StateStore, writer
from edgeplan.runtime_bridge.state.database import Database

from .conftest import CHILDREN, Nursery

SETUP = Setup("base", "{}", "{}")


@pytest.mark.parametrize("seed", range(4))
def test_a_limit_of_file_sizes(nursery: Nursery, tmp_path: Path, seed: int) -> None:
    nursery.start("limited", tmp_path, seed)
    assert nursery.next() == ["trouble", "True", "True", "50"]
    _, plan = nursery.next()
    nursery.kill()
    troubles: list[str] = []
    with StateStore(tmp_path, on_trouble=troubles.append) as store:
        stored = store.last_good("base")
        assert stored is not None
        assert stored.row.id == int(plan)
        assert [d.decision["n"] for d in store.decisions(100)] == list(range(49, -1, -1))
    assert not troubles


@pytest.mark.parametrize("mebibytes", [1, 2])
def test_a_full_file_system(tmp_path: Path, mebibytes: int) -> None:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("needs unshare (util-linux) and user namespaces, to mount a small file system")
    script = f"mount -t tmpfs -o size={mebibytes}m small {tmp_path} && exec {sys.executable} {CHILDREN}"
    ran = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        input=f"fills {tmp_path} 0\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = [line for line in ran.stdout.splitlines() if not line.startswith("child")]
    assert said == [
        "ready",
        "opened True",
        "trouble True 500",
        "again True",
        "trouble True",
        "finally True True",
        "ended",
    ], ran.stderr


def test_a_bound_on_pages_and_room_again(
    tmp_path: Path, left_behind: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Database] = []
    taken = Database.__init__

    def remembered(self: Database, path: Path, max_bytes: int) -> None:
        taken(self, path, max_bytes)
        opened.append(self)

    monkeypatch.setattr(Database, "__init__", remembered)
    rng, troubles = random.Random(1), list[str]()
    with StateStore(tmp_path, max_bytes=2**20, on_trouble=troubles.append, longest_retry_s=0.05) as store:
        store.mark(store.begin(SETUP, '"first"', "start"), "good")
        opened[0]._connection.execute("PRAGMA max_page_count = 1").fetchall()
        plans = [store.begin(SETUP, f'"{n} {rng.randbytes(10_000).hex()}"', "drift") for n in range(3)]
        store.mark(plans[-1], "good")
        for n in range(10_000):
            store.decide({"n": n, "text": "y" * 100})
        assert len(troubles) == 1
        assert "full" in troubles[0]
        assert store.trouble == troubles[0]
        assert 0 < store.dropped_decisions < 10_000  # what waits is bounded
        assert store.decisions(1)[0].decision["n"] == 9999
        with StateStore(left_behind(tmp_path)) as other:
            stored = other.last_good("base")
            assert stored is not None
            assert stored.plan == '"first"'  # older, as documented

        opened[0]._connection.execute("PRAGMA max_page_count = 100000").fetchall()
        while store.trouble:
            time.sleep(0.01)
        with StateStore(left_behind(tmp_path)) as other:
            stored = other.last_good("base")
            assert stored is not None
            assert stored.row.id == plans[-1]
            numbers = [d.decision["n"] for d in other.decisions(10**6)]
            assert numbers[0] == 9999
            assert numbers == sorted(numbers, reverse=True)


def test_a_disk_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    written = Database.write
    monkeypatch.setattr(writer, "PATIENCE_S", 0.1)
    with StateStore(tmp_path) as store:
        store.mark(store.begin(SETUP, '"first"', "start"), "good")
        monkeypatch.setattr(Database, "write", lambda self, change: answers.wait() and written(self, change))
        plan = store.begin(SETUP, '"second"', "drift")
        store.mark(plan, "good")
        store.decide({"n": 1})
        stored = store.last_good("base")
        assert stored is not None
        assert stored.plan == '"second"'
        assert [d.decision for d in store.decisions(10)] == [{"n": 1}]
        assert store.trouble is not None
        assert "not answered" in store.trouble
        monkeypatch.setattr(writer, "PATIENCE_S", 10.0)
        answers.set()
    with StateStore(tmp_path) as store:
        stored = store.last_good("base")
        assert stored is not None
        assert stored.row.id == plan
        assert [d.decision for d in store.decisions(10)] == [{"n": 1}]
