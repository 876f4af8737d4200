"""Children to be killed, and what a killed process leaves behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CHILDREN = Path(__file__).with_name("children.py")


class Nursery:
    """Has one child at a time (see ``children.py``)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, CHILDREN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.next() == ["ready"]
        self._pid: int | None = None

    def start(self, function: str, folder: Path, seed: int = 0) -> None:
        if self._pid is not None:
            self.kill()
        assert self._process.stdin is not None
        self._process.stdin.write(f"{function} {folder} {seed}\n")
        self._pid = int(self.next()[1])

    def next(self) -> list[str]:
        assert self._process.stdout is not None
        return self._process.stdout.readline().split()

    def kill(self) -> list[list[str]]:
        """Kill the child. Returns what it had said and nobody had read."""
        assert self._pid is not None
        os.kill(self._pid, signal.SIGKILL)
        self._pid = None
        return list(iter(self.next, ["ended"]))

    def close(self) -> None:
        if self._pid is not None:
            self.kill()
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def left_behind(tmp_path: Path) -> Callable[[Path], Path]:
    """Copies a folder as it is on the disk: what the next process finds if this one is killed now."""
    copies = iter(range(100))

    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / f"left-behind-{next(copies)}"))

    return copy
