"""Months of plans and decisions: the folder keeps its bound, and what matters is never dropped."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest
from edgeplan.runtime_bridge.state import Setup, StateStore


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def noise(rng: random.Random, n_bytes: int) -> str:
    return f'"{rng.randbytes(n_bytes).hex()}"'  # hexadecimal halves when it is compressed


@pytest.mark.parametrize("max_bytes", [2**20, 2**21])
def test_many_times_the_bound(tmp_path: Path, max_bytes: int) -> None:
    rng = random.Random(5)
    written = largest = 0
    with StateStore(tmp_path, max_bytes=max_bytes) as store:
        profile = noise(rng, 3000)
        texts: dict[int, str] = {}
        while written < 10 * max_bytes:
            if rng.random() < 0.2:
                profile = noise(rng, rng.choice([100, max_bytes // 64]))
            text = noise(rng, rng.choice([300, max_bytes // 128, max_bytes // 40]))
            plan = store.begin(Setup("base", "{}", profile), text, "drift", predicted={"noise": noise(rng, 100)})
            texts[plan] = text
            store.mark(plan, rng.choice(["good", "good", "failed", "rolled_back"]))
            for _ in range(rng.randrange(60)):
                decision = {"reason": noise(rng, rng.choice([50, 1500, max_bytes // 200]))}
                store.decide(decision, kind="fault")
                written += len(str(decision))
            written += len(text) // 2
            largest = max(largest, folder_bytes(tmp_path))
        rows = store.plans(10**6)
        good = [row for row in rows if row.status == "good"]
        before = [row for row in rows if row.status == "retired"]
        for row in (good[0], before[0]):
            found = store.plan(row.id)
            assert found is not None
            assert found.plan == texts[row.id]
        assert store.trouble is None
        assert len(store.decisions(10**6)) > 50
    assert max_bytes / 4 < largest <= max_bytes
    assert folder_bytes(tmp_path) <= max_bytes


def test_a_smaller_bound_than_before(tmp_path: Path) -> None:
    rng = random.Random(5)
    with StateStore(tmp_path) as store:
        for _ in range(30):
            store.mark(store.begin(Setup("base", "{}", "{}"), noise(rng, 60_000), "drift"), "good")
            store.decide({"reason": noise(rng, 30_000)})
    assert folder_bytes(tmp_path) > 2**21
    with StateStore(tmp_path, max_bytes=2**20) as store:
        last = store.plans(1)[0]
        store.decide({})
    assert folder_bytes(tmp_path) <= 2**20
    with StateStore(tmp_path, max_bytes=2**20) as store:
        found = store.last_good("base")
        assert found is not None
        assert found.row == last
        assert store.decisions(1)[0].decision == {}


def test_a_plan_that_is_too_large(tmp_path: Path) -> None:
    rng = random.Random(5)
    setup = Setup("base", "{}", "{}")
    with StateStore(tmp_path, max_bytes=2**20) as store:
        store.mark(store.begin(setup, '"small"', "start"), "good")
        for _ in range(5):
            large = store.begin(setup, noise(rng, 2**17), "drift")
            store.mark(large, "good")
        found = store.last_good("base")
        assert found is not None
        assert found.row.id == large
        assert store.trouble is not None
        assert "too large" in store.trouble
        store.mark(large, "rolled_back")
        small = store.begin(setup, '"small"', "rollback")
        store.mark(small, "good")
        assert store.trouble is None
        store.mark(store.begin(setup, noise(rng, 2**17), "drift"), "good")
    with StateStore(tmp_path, max_bytes=2**20) as store:
        found = store.last_good("base")
        assert found is not None
        assert found.plan == '"small"'


def test_documents_are_stored_once_and_go_with_the_last_that_needs_them(tmp_path: Path) -> None:
    rng = random.Random(5)
    profile = noise(rng, 10_000)
    with StateStore(tmp_path, max_bytes=2**20) as store:
        for _ in range(40):
            store.mark(store.begin(Setup("base", "{}", profile), noise(rng, 10_000), "drift"), "good")
        rows = store.plans(10**6)
    connection = sqlite3.connect(tmp_path / "state.db")
    stored = {digest for (digest,) in connection.execute("SELECT sha256 FROM documents")}
    connection.close()
    assert stored == {digest for row in rows for digest in row.content}
    assert len(rows) < 40
