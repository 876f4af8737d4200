"""The SQLite file of a state: what is written appears whole or not at all, and the file never outgrows its bound."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .changes import DECISION_BYTES, Change, Waiting
from .records import STATUSES, PlanRow, StateError, StoredDecision

APPLICATION_ID = 0x45504C4E
"""Marks the file as one of ours (``EPLN``)."""
SCHEMA_VERSION = 1
_VACUUM_PAGES = 128
_BUSY_TIMEOUT_S = 1.0

_SCHEMA = f"""
CREATE TABLE documents (sha256 TEXT NOT NULL UNIQUE, body BLOB NOT NULL) STRICT;
CREATE TABLE plans (
    id INTEGER PRIMARY KEY,
    base_key TEXT NOT NULL,
    scenario_sha256 TEXT NOT NULL REFERENCES documents (sha256),
    profile_sha256 TEXT NOT NULL REFERENCES documents (sha256),
    plan_sha256 TEXT NOT NULL REFERENCES documents (sha256),
    origin TEXT NOT NULL,
    reason TEXT NOT NULL,
    predicted TEXT NOT NULL,
    begun_at_s REAL NOT NULL,
    changed_at_s REAL NOT NULL,
    status TEXT NOT NULL CHECK (status IN {STATUSES}),
    status_reason TEXT NOT NULL
) STRICT;
CREATE TABLE decisions (id INTEGER PRIMARY KEY, at_s REAL NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL) STRICT;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""
_UNUSED_DOCUMENTS = """
SELECT sha256 FROM documents WHERE sha256 NOT IN (
    SELECT scenario_sha256 FROM plans UNION SELECT profile_sha256 FROM plans UNION SELECT plan_sha256 FROM plans
)"""
_ROOM = f"LENGTH(body) + LENGTH(kind) + {DECISION_BYTES}"
_PLAN_COLUMNS = (
    "id, base_key, scenario_sha256, profile_sha256, plan_sha256, origin, reason, predicted, begun_at_s, changed_at_s,"
    " status, status_reason"
)


class DamagedError(Exception):
    """The file is no database, not one of ours, or does not hold together."""


class Database:
    """An open state file. Not safe for several threads at once.

    It is locked for as long as it is open: then SQLite needs no shared memory file, so that a full disk cannot keep it
    from being opened and read.

    Parameters
    ----------
    path : Path
        Made if missing.
    max_bytes : int
        For the file and its journal together. The file gets half of it: a quarter for decisions, a quarter for plans,
        which whoever writes plans must keep. One write may take up to a quarter of it in the journal.

    Raises
    ------
    StateError
        It was written by a newer version, or another program has it open.
    DamagedError
        It must be set aside.
    sqlite3.OperationalError
        The disk is full or fails.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._connection = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        try:
            with _damage_told():
                self._prepare()
                self._decision_bytes: int = self._value(f"SELECT COALESCE(SUM({_ROOM}), 0) FROM decisions")
                self.last_decision: int = self._value("SELECT COALESCE(MAX(id), 0) FROM decisions")
            self._inode = os.stat(path).st_ino
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA foreign_keys = ON")
        if self._value("PRAGMA user_version") == 0 and self._value("SELECT COUNT(*) FROM sqlite_schema") == 0:
            execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts only before the first table is made
        elif self._value("PRAGMA application_id") != APPLICATION_ID:
            raise DamagedError("not a state of this service")
        elif (version := self._value("PRAGMA user_version")) > SCHEMA_VERSION:
            raise StateError(
                f"state file {self._path}",
                expected=f"schema version {SCHEMA_VERSION} at most",
                got=f"version {version}, of a newer EdgePlan",
                remedy="Install that version again, or give another folder.",
            )
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")  # in WAL mode anything less forgets commits when the power goes
        execute(f"PRAGMA journal_size_limit = {self._max_bytes // 16}")
        if self._value("PRAGMA user_version") == 0:
            with self._transaction():
                for statement in _SCHEMA.split(";\n"):
                    execute(statement)
        elif (found := self._value("PRAGMA quick_check(1)")) != "ok":
            raise DamagedError(str(found))

    def close(self) -> None:
        """Close it. What was written is in the file."""
        # Whatever keeps the journal from being moved into the file keeps the journal, so that nothing is lost.
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def in_place(self) -> bool:
        """Whether the file is still the one under its name; what is written to a removed one is lost."""
        try:
            return os.stat(self._path).st_ino == self._inode
        except FileNotFoundError:
            return False

    @property
    def empty(self) -> bool:
        """Whether nothing has been written yet."""
        return self.last_decision == 0 and self._value("SELECT COUNT(*) FROM plans") == 0

    def plans(self) -> list[PlanRow]:
        """All rows, by id."""
        with _damage_told():
            found = self._connection.execute(f"SELECT {_PLAN_COLUMNS} FROM plans ORDER BY id").fetchall()
            return [_plan_of(*row) for row in found]

    def document_bytes(self) -> dict[str, int]:
        """Length of each document, as it is stored."""
        return dict(self._connection.execute("SELECT sha256, LENGTH(body) FROM documents").fetchall())

    def document(self, digest: str) -> bytes | None:
        """A document, as it was written."""
        found = self._connection.execute("SELECT body FROM documents WHERE sha256 = ?", (digest,)).fetchone()
        return None if found is None else found[0]

    def decisions(self, limit: int, before: int | None) -> list[StoredDecision]:
        """Decisions with ids below `before`, the newest first."""
        found = self._connection.execute(
            "SELECT id, at_s, kind, body FROM decisions WHERE ? IS NULL OR id < ? ORDER BY id DESC LIMIT ?",
            (before, before, limit),
        )
        return [Waiting(*row).stored for row in found]

    def write(self, change: Change) -> None:
        """Write a change. Its rows and decisions appear together or not at all.

        Raises
        ------
        sqlite3.Error
            The same change may be written again; `damaged` tells whether to this file.
        """
        if change.gone:
            with self._transaction():
                self._drop(change)
        for digest, body in change.documents.items():
            # One transaction each bounds the journal; until a row refers to it, a document is nothing but garbage.
            if self._value("SELECT COUNT(*) FROM documents WHERE sha256 = ?", digest) == 0:
                with self._transaction():
                    self._connection.execute("INSERT INTO documents VALUES (?, ?)", (digest, body))
        kept_bytes = self._decision_bytes
        with self._transaction():
            self._connection.executemany(
                f"INSERT OR REPLACE INTO plans VALUES ({', '.join('?' * 12)})", [_plan_values(r) for r in change.rows]
            )
            self._connection.executemany(
                "INSERT OR IGNORE INTO decisions VALUES (?, ?, ?, ?)",
                [(d.id, d.at_s, d.kind, d.body) for d in change.decisions],
            )
            kept_bytes += sum(d.n_bytes for d in change.decisions)
            if kept_bytes > self._max_bytes // 4:
                kept_bytes -= self._drop_decisions(kept_bytes - self._max_bytes // 4 + self._max_bytes // 32)
        self._shrink()
        self._decision_bytes = kept_bytes
        self.last_decision = max([self.last_decision, *(d.id for d in change.decisions)])

    def _drop(self, change: Change) -> None:
        self._connection.executemany("DELETE FROM plans WHERE id = ?", [(plan,) for plan in change.gone])
        # What an attempt that failed has written of this change is of use to this one.
        unused = self._connection.execute(_UNUSED_DOCUMENTS).fetchall()
        self._connection.executemany(
            "DELETE FROM documents WHERE sha256 = ?", [row for row in unused if row[0] not in change.documents]
        )

    def _drop_decisions(self, excess_bytes: int) -> int:
        """Drop the oldest decisions; more at once than must be, so that it is not done every time."""
        freed = cut = 0
        sizes = self._connection.execute(f"SELECT id, {_ROOM} FROM decisions ORDER BY id")
        for decision, n_bytes in sizes:
            freed, cut = freed + n_bytes, decision
            if freed >= excess_bytes:
                break
        sizes.close()
        self._connection.execute("DELETE FROM decisions WHERE id <= ?", (cut,))
        return freed

    def _shrink(self) -> None:
        """Give free pages back where they are many; few are soon used again."""
        page_bytes = self._value("PRAGMA page_size")
        while self._value("PRAGMA freelist_count") * page_bytes > self._max_bytes // 8:
            self._empty_long_journal()
            # It has a step a page and no column, of which `execute` takes only the first step.
            self._connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._empty_long_journal()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # some failures roll back by themselves
                self._connection.execute("ROLLBACK")
            raise

    def _empty_long_journal(self) -> None:
        """Before each transaction, so that the journal never holds more than that and a little."""
        with contextlib.suppress(FileNotFoundError):
            if os.stat(f"{self._path}-wal").st_size > self._max_bytes // 16:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _value(self, statement: str, *values: object) -> Any:
        return self._connection.execute(statement, values).fetchone()[0]


def damaged(error: sqlite3.Error) -> bool:
    """Whether an error means that the file is not what it should be, as against a disk that is full or fails."""
    return primary_code(error) in _DAMAGE


_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT)
_DAMAGE_WHEN_READ = (*_DAMAGE, sqlite3.SQLITE_ERROR, None)  # no such table; a text that is none
_IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def primary_code(error: sqlite3.Error) -> int | None:
    """SQLite's code; None where the error is its binding's: a text that is none, an integer too large."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


@contextlib.contextmanager
def _damage_told() -> Iterator[None]:
    """Errors while a file is opened and read, as those that `Database` names."""
    try:
        yield
    except sqlite3.Error as error:
        if primary_code(error) in _DAMAGE_WHEN_READ:
            raise DamagedError(str(error)) from error
        if primary_code(error) in _IN_USE:
            raise StateError(
                "state file",
                expected="one that no other program has open",
                got=str(error),
                remedy="Close that program, and look at a copy of the file instead.",
            ) from error
        raise
    except (ValueError, TypeError) as error:
        raise DamagedError(str(error)) from error


def _plan_of(*values: Any) -> PlanRow:
    number, base_key, scenario, profile, plan, origin, reason, predicted, *rest = values
    return PlanRow(number, base_key, scenario, profile, plan, origin, reason, json.loads(predicted), *rest)


def _plan_values(row: PlanRow) -> tuple[object, ...]:
    return (
        row.id,
        row.base_key,
        *row.content,
        row.origin,
        row.reason,
        json.dumps(row.predicted),
        row.begun_at_s,
        row.changed_at_s,
        row.status,
        row.status_reason,
    )
