"""Finished measurements on disk, so that an interrupted profile goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Journal:
    """Values by key, written line by line as they come.

    Parameters
    ----------
    path : Path
    purpose : str
        What the values hold for: a file that was written for another purpose is started anew.
    """

    def __init__(self, path: Path, purpose: str) -> None:
        self._path = path
        self._values: dict[str, Any] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if _parsed(lines[:1]) == [purpose]:
            for entry in _parsed(lines[1:]):
                self._values[entry[0]] = entry[1]
        # Written again, for an interruption may have left half a line.
        self._file = path.open("w", encoding="utf-8")
        for line in (purpose, *([key, value] for key, value in self._values.items())):
            self._append(line)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def note(self, key: str, value: Any) -> None:
        """Write a value, plain data, at once."""
        self._values[key] = value
        self._append([key, value])

    def close(self) -> None:
        """Keep the file for another time."""
        self._file.close()

    def remove(self) -> None:
        """Close, and delete the file."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _append(self, line: Any) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def _parsed(lines: list[str]) -> list[Any]:
    """Lines as JSON, up to the first that is not whole."""
    values = []
    for line in lines:
        try:
            values.append(json.loads(line))
        except ValueError:
            break
    return values
