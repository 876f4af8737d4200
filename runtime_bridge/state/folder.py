"""The folder that a state lives in: held by one process, and where a damaged file is put."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path

from .records import StateError

KEPT_DAMAGED = 2
"""Damaged files that are kept to be looked at; older ones are removed."""


class StateFolder:
    """A folder, made if missing and held against other processes until `release`. The hold ends with the process.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    StateError
        It cannot be made or written, or another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.database = folder / "state.db"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError("no permission to write in it")
            self._lock = os.open(folder / "state.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StateError(
                f"state folder {folder}",
                expected="a folder that can be made and written",
                got=error.strerror or str(error),
                remedy="Give another folder, or the rights to this one.",
            ) from error
        try:
            self._hold()
        except BaseException:
            os.close(self._lock)
            raise

    def _hold(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip()
            raise StateError(
                f"state folder {self.path}",
                expected="one that no other process uses",
                got=f"process {pid or '(unknown)'} using it",
                remedy="Stop that process, or give each its own folder.",
            ) from None
        if self.database.exists() and not (self.database.is_file() and os.access(self.database, os.R_OK | os.W_OK)):
            raise StateError(
                f"state file {self.database}",
                expected="a file that can be read and written",
                got="one that cannot, or no file",
                remedy="Give the rights to it, remove it, or give another folder.",
            )
        try:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode("ascii"), 0)
        except OSError:
            pass  # on a full disk the hold is as good; only its owner's name is missing

    def release(self) -> None:
        """Let other processes have the folder."""
        os.close(self._lock)

    def set_aside(self) -> Path:
        """Give the database, where there is one, another name, journal and all. Returns that name."""
        pattern = re.compile(re.escape(self.database.name) + r"\.damaged-(\d+)")
        numbers = sorted(int(m[1]) for entry in os.scandir(self.path) if (m := pattern.fullmatch(entry.name)))
        for number in numbers[: max(0, len(numbers) - KEPT_DAMAGED + 1)]:
            for ending in ("", "-wal"):
                self._damaged(number, ending).unlink(missing_ok=True)
        number = numbers[-1] + 1 if numbers else 1
        aside = self._damaged(number, "")
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.database, aside)
        # It belongs to the damaged file, and may hold what is missing there.
        journal = self.database.with_name(f"{self.database.name}-wal")
        if journal.exists():
            os.replace(journal, self._damaged(number, "-wal"))
        return aside

    def _damaged(self, number: int, ending: str) -> Path:
        return self.database.with_name(f"{self.database.name}.damaged-{number}{ending}")
