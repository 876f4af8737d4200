"""The thread that brings a state to the disk, opens its file, and opens it again when that is lost or damaged."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from .changes import Change
from .database import DamagedError, Database, damaged, primary_code
from .folder import StateFolder
from .memory import StateMemory
from .records import StateError

PATIENCE_S = 10.0
"""Longest that a caller waits for a disk that does not answer."""
_FIRST_RETRY_S = 0.25
_TRUSTED_ERRORS = 2
"""Errors in a row, while a file is written that passes its check, before it is taken for damaged."""
_log = logging.getLogger(__name__)
_Read = TypeVar("_Read")


class Writer:
    """Writes what a memory says is to be written.

    Parameters
    ----------
    memory : StateMemory
    changed : threading.Condition
        Guards the memory, and is notified when it changes.
    folder : StateFolder
    max_bytes : int
    on_trouble : callable, optional
        Told in words of each trouble as it begins.
    longest_retry_s : float
        Between two attempts.

    Raises
    ------
    StateError
        A newer version wrote the file, or another program has it open.
    """

    def __init__(
        self,
        memory: StateMemory,
        changed: threading.Condition,
        folder: StateFolder,
        max_bytes: int,
        on_trouble: Callable[[str], None] | None,
        longest_retry_s: float,
    ) -> None:
        self._memory = memory
        self._changed = changed
        self._folder = folder
        self._max_bytes = max_bytes
        self._on_trouble = on_trouble
        self._longest_retry_s = longest_retry_s
        self._disk = threading.Lock()  # guards the database; taken before `changed` where both are
        self._database: Database | None = None
        self._loaded = self._stopping = False
        self._damage_seen = 0  # errors in a row that say so
        self._asked = self._tried = 0
        self._attempt_began_s: float | None = None
        self._retry_s, self._retry_at_s = _FIRST_RETRY_S, 0.0
        self._trouble: str | None = None
        self._news: list[str] = []
        for wait_s in (0.1, 0.4, None):  # for without what is in the file, an older plan or none is begun with
            self._trouble = self._open_first()
            if self._trouble is None or wait_s is None:
                break
            time.sleep(wait_s)
        if self._trouble is not None:
            self._news.append(self._trouble)
        self._tell()
        self._thread = threading.Thread(target=self._run, name="edgeplan-state", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str | None:
        """What keeps the state from being written, in words."""
        if self._hangs():
            return f"the disk under {self._folder.path} has not answered for {PATIENCE_S:g} s"
        return self._trouble

    def ask(self) -> int:
        """Have what there is written at once, in trouble too. Returns what `wait` waits for."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            return self._asked

    def wait(self, ticket: int) -> None:
        """Wait until that has been tried; not for a disk that has kept others waiting already."""
        with self._changed:
            self._changed.wait_for(lambda: self._tried >= ticket or self._stopping or self._hangs(), PATIENCE_S)

    def read(self, question: Callable[[Database], _Read]) -> _Read | None:
        """Ask the database; None where it does not answer."""
        if not self._disk.acquire(timeout=PATIENCE_S):
            return None
        try:
            return None if self._database is None else question(self._database)
        except (sqlite3.Error, ValueError) as error:
            _log.warning("The state could not be read: %s", error)
            return None
        finally:
            self._disk.release()

    def close(self) -> None:
        """Try once more to write what waits, then close the file and let the folder go."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(PATIENCE_S)
        if self._thread.is_alive():  # it holds the file; both go with the process
            _log.warning("The disk does not answer; what has not been written is left to it.")
            return
        self._close_database()
        self._folder.release()

    def _hangs(self) -> bool:
        began_s = self._attempt_began_s
        return began_s is not None and time.monotonic() - began_s > PATIENCE_S

    def _due(self) -> bool:
        return self._asked > self._tried or (self._memory.pending and time.monotonic() >= self._retry_at_s)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            with self._changed:
                while not self._stopping and not self._due():
                    left_s = self._retry_at_s - time.monotonic()
                    self._changed.wait(left_s if left_s > 0 else None)
                stopping, ticket = self._stopping, self._asked
                self._attempt_began_s = time.monotonic()
            with self._disk:
                trouble = self._attempt()
                for _ in range(_TRUSTED_ERRORS):
                    if self._damage_seen:
                        trouble = self._attempt()
                if self._database is None:
                    self._reopen()
            with self._changed:
                self._tried, self._attempt_began_s = ticket, None
                if trouble is None:
                    self._retry_s, self._retry_at_s = _FIRST_RETRY_S, 0.0
                else:
                    self._retry_at_s = time.monotonic() + self._retry_s
                    self._retry_s = min(2 * self._retry_s, self._longest_retry_s)
                    if trouble != self._trouble:
                        self._news.append(trouble)
                if self._trouble and not trouble:
                    _log.info("The state is written again.")
                self._trouble = trouble
                self._changed.notify_all()
            self._tell()

    def _open_first(self) -> str | None:
        """Open the file. Returns why it cannot be."""
        try:
            self._open()
            return None
        except (sqlite3.Error, OSError, DamagedError) as error:
            trouble = f"the state cannot be read or written: {error}"
        self._close_database()
        return trouble

    def _attempt(self) -> str | None:
        """Write all there is. Returns why that failed."""
        keep_open = False
        try:
            if self._database is None or not self._database.in_place():
                self._close_database()
                self._open()
            self._write_all()
            self._damage_seen = 0
            return None
        except sqlite3.Error as error:
            self._damage_seen = self._damage_seen + 1 if damaged(error) else 0
            keep_open = primary_code(error) == sqlite3.SQLITE_FULL
            trouble = f"the state cannot be written: {error}"
        except (OSError, DamagedError, StateError) as error:
            trouble = f"the state cannot be written: {error}"
        except Exception as error:  # the thread must live, and what serves must not notice
            _log.exception("The state cannot be written.")
            trouble = f"the state cannot be written: {error!r}"
        if not keep_open:
            # After the error and the statements that it holds are gone, or the file would stay locked.
            self._close_database()
        return trouble

    def _reopen(self) -> None:
        """After a failure: the file may still be read, and SQLite finds its feet by opening it again."""
        try:
            self._open()
        except (sqlite3.Error, OSError, DamagedError, StateError):
            self._close_database()

    def _write_all(self) -> None:
        assert self._database is not None
        while True:
            with self._changed:
                change: Change = self._memory.change()
            if not change:
                return
            self._database.write(change)
            with self._changed:
                self._memory.written(change)

    def _open(self) -> None:
        """Open the file; set it aside where it is damaged, and begin a new one."""
        reason = "it failed while it was written"
        for _ in range(2 if self._damage_seen < _TRUSTED_ERRORS else 0):  # a disk that fails for a moment looks damaged
            try:
                self._take_over()
                return
            except (DamagedError, sqlite3.Error) as error:
                if isinstance(error, sqlite3.Error) and not damaged(error):
                    raise
                reason = str(error)
            self._close_database()
        aside = self._folder.set_aside()
        self._damage_seen = 0
        self._news.append(f"the state file was damaged ({reason}); it is now {aside}, and a new one has begun")
        self._take_over()

    def _take_over(self) -> None:
        database = self._database = Database(self._folder.database, self._max_bytes)
        with self._changed:
            if self._loaded:
                self._memory.reconcile(database)
            elif self._memory.empty:
                self._memory.load(database)
            elif database.empty:
                self._memory.reconcile(database)
            else:
                # It could not be read when the process began, and its ids have been given anew since.
                raise DamagedError("it could not be read at the start")
            self._loaded = True

    def _close_database(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _tell(self) -> None:
        with self._changed:
            news, self._news = self._news, []
        for text in news:
            _log.warning("%s", text)
            if self._on_trouble is not None:
                try:
                    self._on_trouble(text)
                except Exception:  # whoever listens must not stop the writing
                    _log.exception("Whoever is told of trouble failed.")
