"""OpenVINO's helper threads: started where they may use every core, and held to the cores of the segments that run.

The pool belongs to the process and OpenVINO offers no way to bind it. Left to itself, the system often wakes a helper
on the core where the thread that it is to help is running, and the segment takes as long as on one thread.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")
_NAME = "edgeplan-ov"  # Linux keeps 15 characters


class HelperThreads:
    """The helper threads of this process.

    Parameters
    ----------
    warm_up : callable
        Runs something on as many threads as it is given.
    """

    def __init__(self, warm_up: Callable[[int], None]) -> None:
        self._warm_up = warm_up
        self._lock = threading.Lock()
        self._started = False
        self._threads: list[int] = []
        self._running: Counter[tuple[int, ...]] = Counter()
        self._held_to: set[int] = set()

    def start(self) -> None:
        """Start them all, from a thread that may use all cores; nothing to do the second time."""
        with self._lock:
            if not self._started:
                starter = threading.Thread(target=self._start, name="edgeplan-openvino-start")
                starter.start()
                starter.join()
                self._started = True

    def _start(self) -> None:
        own = threading.get_native_id()
        allowed = os.sched_getaffinity(os.getpid())  # the main thread's, which nobody pins
        os.sched_setaffinity(0, allowed)
        (_THREADS / str(own) / "comm").write_text(_NAME)  # threads inherit the name of the one that starts them
        self._warm_up(len(allowed))
        for entry in _THREADS.iterdir():
            with suppress(FileNotFoundError):  # ended since
                if int(entry.name) != own and (entry / "comm").read_text().strip() == _NAME:
                    self._threads.append(int(entry.name))

    @contextmanager
    def helping(self, cores: tuple[int, ...]) -> Iterator[None]:
        """While this lasts, helpers stay on the cores of what runs, but for the first, where the caller runs.

        Parameters
        ----------
        cores : tuple of int
            Those of the segment that is run. Any helper may help any segment, so where several run at once, helpers
            may use the cores of them all.
        """
        with self._lock:
            self._running[cores] += 1
            self._hold()
        try:
            yield
        finally:
            with self._lock:
                self._running[cores] -= 1
                if not self._running[cores]:
                    del self._running[cores]
                self._hold()

    def _hold(self) -> None:
        wanted = {core for cores in self._running for core in cores[1:]}
        if not wanted or wanted == self._held_to:
            return
        for thread in self._threads:
            with suppress(ProcessLookupError):  # ended since
                os.sched_setaffinity(thread, wanted)
        self._held_to = wanted
