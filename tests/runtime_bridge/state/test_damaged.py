"""A damaged file never keeps the service from coming up, and never gives a plan that was not written."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeplan.runtime_bridge.state import Setup, StateError, StateStore
from edgeplan.runtime_bridge.state.database import DamagedError, Database
from edgeplan.runtime_bridge.state.folder import KEPT_DAMAGED

SETUP = Setup("base", '{"scenario": 1}', '{"profile": 1}')
DATABASE, JOURNAL = "state.db", "state.db-wal"


def plan_text(number: int) -> str:
    return f'{{"number": {number}, "noise": "{random.Random(number).randbytes(3000).hex()}"}}'


@pytest.fixture
def killed(tmp_path: Path, left_behind: Callable[[Path], Path]) -> Path:
    """What a process leaves that served by plan 11 and was killed: part of it in the journal."""
    with StateStore(tmp_path / "whole") as store:
        for number in range(1, 7):
            store.mark(store.begin(SETUP, plan_text(number), "drift"), "good")
    with StateStore(tmp_path / "whole") as store:
        for number in range(7, 12):
            store.mark(store.begin(SETUP, plan_text(number), "drift"), "good")
            store.decide({"number": number})
        folder = left_behind(tmp_path / "whole")
    assert (folder / JOURNAL).stat().st_size
    return folder


def comes_up(folder: Path, troubles: list[str]) -> int | None:
    """Open the folder, serve by a plan, and open it again. Returns the number of the plan it started from."""
    with StateStore(folder, on_trouble=troubles.append) as store:
        found = store.last_good("base")
        store.decisions(100)
        plan = store.begin(SETUP, plan_text(99), "start")
        store.mark(plan, "good")
        assert store.trouble is None
    with StateStore(folder, on_trouble=troubles.append) as store:
        again = store.last_good("base")
        assert again is not None
        assert again.plan == plan_text(99)
    connection = sqlite3.connect(folder / DATABASE)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    if found is None:
        return None
    number = int(found.plan.split(",")[0].split(":")[1])
    assert found.plan == plan_text(number)
    assert found.setup == SETUP
    return number


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def truncated(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def foreign(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE others (x)")
    connection.commit()
    connection.close()


def other_columns(path: Path) -> None:
    path.with_name(JOURNAL).unlink()
    connection = sqlite3.connect(path)
    connection.executescript("DROP TABLE plans; CREATE TABLE plans (id INTEGER PRIMARY KEY)")
    connection.close()


@pytest.mark.parametrize(
    ("harm", "told", "number"),
    [
        (lambda folder: None, False, 11),
        (lambda folder: garbage(folder / DATABASE), True, None),
        (lambda folder: truncated(folder / DATABASE, 0.6), None, None),
        (lambda folder: foreign(folder / DATABASE), True, None),
        (lambda folder: other_columns(folder / DATABASE), True, None),
        (lambda folder: (folder / DATABASE).write_text("no database"), True, None),
        (lambda folder: (folder / DATABASE).write_bytes(b""), False, None),
        (lambda folder: (folder / DATABASE).unlink(), False, None),
        (lambda folder: (folder / JOURNAL).unlink(), False, 6),  # what had come to the file itself
        (lambda folder: (folder / JOURNAL).write_bytes(b""), False, 6),
        (lambda folder: garbage(folder / JOURNAL), False, 6),
        (lambda folder: (folder / "state.lock").unlink(), False, 11),
    ],
    ids=[
        *("whole", "garbage", "truncated", "foreign", "other-columns", "text", "empty", "missing"),
        *("journal-missing", "journal-empty", "journal-garbage", "lock-missing"),
    ],
)
def test_comes_up(killed: Path, harm: Callable[[Path], object], told: bool | None, number: int | None) -> None:
    harm(killed)
    troubles: list[str] = []
    assert comes_up(killed, troubles) == number or told is None
    aside = list(killed.glob("state.db.damaged-*"))
    if told is not None:
        assert bool(troubles) == bool(aside) == told
    if troubles:
        assert "damaged" in troubles[0]


@pytest.mark.parametrize("seed", range(20))
def test_a_byte_here_and_there(killed: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = killed / rng.choice([DATABASE, JOURNAL])
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 10, 1000])):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)
    comes_up(killed, [])


def test_few_damaged_files_are_kept(tmp_path: Path) -> None:
    for _ in range(KEPT_DAMAGED + 3):
        (tmp_path / DATABASE).write_text("no database")
        (tmp_path / JOURNAL).write_text("no journal")
        comes_up(tmp_path, [])
    names = sorted(path.name for path in tmp_path.glob("*damaged*") if not path.name.endswith("-wal"))
    assert names == [f"state.db.damaged-{n}" for n in (KEPT_DAMAGED + 2, KEPT_DAMAGED + 3)]


def test_a_file_removed_while_it_is_used(tmp_path: Path, left_behind: Callable[[Path], Path]) -> None:
    with StateStore(tmp_path) as store:
        for number in range(3):
            store.mark(store.begin(SETUP, plan_text(number), "drift"), "good")
        (tmp_path / DATABASE).unlink()
        starting = store.begin(SETUP, plan_text(3), "drift")
        with StateStore(left_behind(tmp_path)) as other:
            found = other.last_good("base")
            assert found is not None
            assert found.plan == plan_text(2)
        store.mark(starting, "rolled_back")
        assert [row.status for row in store.plans(10)][:3] == ["rolled_back", "good", "retired"]


def test_a_file_damaged_while_it_is_used(tmp_path: Path, left_behind: Callable[[Path], Path]) -> None:
    troubles: list[str] = []
    rng = random.Random(2)
    with StateStore(tmp_path, max_bytes=2**20, on_trouble=troubles.append) as store:
        latest = 0
        for number in range(60):
            if number == 20:
                garbage(tmp_path / DATABASE)
                # It is noticed when a page has to be read again that SQLite had in memory.
                store._writer.read(lambda database: database._connection.execute("PRAGMA shrink_memory").fetchall())
            latest = store.begin(SETUP, f'"{rng.randbytes(5000).hex()}"', "drift")
            store.mark(latest, "good")
        assert store.trouble is None
        found = store.last_good("base")
        assert found is not None
        assert found.row.id == latest
        with StateStore(left_behind(tmp_path)) as other:
            found = other.last_good("base")
            assert found is not None
            assert found.row.id == latest
    assert any("damaged" in text for text in troubles)


def test_a_newer_file_is_refused_and_left_alone(killed: Path) -> None:
    connection = sqlite3.connect(killed / DATABASE)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    before = (killed / DATABASE).read_bytes()
    for _ in range(2):  # the first refusal lets the folder go
        with pytest.raises(StateError, match="newer EdgePlan"):
            StateStore(killed)
    assert (killed / DATABASE).read_bytes() == before


def test_a_file_that_another_program_has_open(killed: Path) -> None:
    connection = sqlite3.connect(killed / DATABASE)
    connection.execute("SELECT * FROM plans").fetchall()
    with pytest.raises(StateError, match="no other program"):
        StateStore(killed)
    connection.close()
    assert comes_up(killed, []) == 11


def fail_to_open(monkeypatch: pytest.MonkeyPatch, error: Exception, times: int) -> None:
    left = [error] * times
    opened = Database.__init__

    def failing(self: Database, path: Path, max_bytes: int) -> None:
        if left:
            raise left.pop()
        opened(self, path, max_bytes)

    monkeypatch.setattr(Database, "__init__", failing)


@pytest.mark.parametrize("error", [DamagedError("malformed"), sqlite3.OperationalError("disk I/O error")])
def test_a_disk_that_fails_for_a_moment(killed: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    fail_to_open(monkeypatch, error, 1)
    assert comes_up(killed, []) == 11
    assert not list(killed.glob("*damaged*"))


def test_a_disk_that_fails_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_to_open(monkeypatch, sqlite3.OperationalError("disk I/O error"), 6)
    troubles: list[str] = []
    with StateStore(tmp_path, on_trouble=troubles.append, longest_retry_s=0.05) as store:
        assert store.trouble == troubles[0]
        assert store.last_good("base") is None
        store.decide({"n": 1})
        plan = store.begin(SETUP, plan_text(1), "start")
        store.mark(plan, "good")
        while store.trouble:
            time.sleep(0.01)
    monkeypatch.undo()
    with StateStore(tmp_path) as store:
        found = store.last_good("base")
        assert found is not None
        assert found.row.id == plan
        assert store.decisions(1)[0].decision == {"n": 1}
