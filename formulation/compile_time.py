"""The time that loops take to compile: they are compiled once after an installation, and no search pays for that.

`compiled` tells this clock when it is busy, and `search_s` stands still meanwhile. Nothing here loads numba.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SAY_AFTER_S = 2.0
"""Shorter pauses are not worth a line."""


class CompileTime:
    """Counts wall-clock seconds in which at least one thread compiles. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = 0
        self._began_s = 0.0
        self._ended_s = 0.0
        self._is_said = False

    @property
    def total_s(self) -> float:
        """Seconds so far, those of what is still being compiled included."""
        with self._lock:
            return self._total_s()

    def _total_s(self) -> float:
        return self._ended_s + (time.monotonic() - self._began_s if self._under_way else 0.0)

    def begin(self) -> None:
        """Compilation begins; one may begin within another."""
        with self._lock:
            say = not self._is_said and self._total_s() > SAY_AFTER_S
            self._is_said |= say
            if not self._under_way:
                self._began_s = time.monotonic()
            self._under_way += 1
        if say:
            logging.getLogger(__name__).warning(
                "Loops are being compiled: it happens once after an installation, may take a minute, "
                "and counts against no time limit."
            )

    def end(self) -> None:
        """What began has ended."""
        with self._lock:
            self._ended_s = self._total_s()
            self._began_s = time.monotonic()
            self._under_way -= 1

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """The block compiles, or loads what compiles."""
        self.begin()
        try:
            yield
        finally:
            self.end()


COMPILE_TIME = CompileTime()
"""That of this process."""


def search_s() -> float:
    """Seconds of a clock that stands still while loops compile; only differences mean anything."""
    return time.monotonic() - COMPILE_TIME.total_s
