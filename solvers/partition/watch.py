"""Lets compiled loops see that a search is to stop."""

from __future__ import annotations

from threading import Event, Thread
from types import TracebackType

import numpy as np

from ..stop import Stop

_EVERY_S = 0.02


class Watch:
    """While open, `stopped[0]` becomes true soon after a stop criterion says so.

    The loop that reads it must release the interpreter's lock.

    Parameters
    ----------
    stop : Stop

    Attributes
    ----------
    stopped : ndarray of bool, shape (1,)
    """

    def __init__(self, stop: Stop) -> None:
        self.stopped = np.array([stop()])
        self._stop = stop
        self._closed = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closed.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._closed.wait(_EVERY_S):
            if self._stop():
                self.stopped[0] = True
                return
