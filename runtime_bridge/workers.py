"""Worker threads, one a core. One that does not come back is left behind, and another takes its place."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from queue import SimpleQueue

from ..formulation import Start, Step

Run = Callable[["Worker", Start], "Start | None"]
"""Runs one segment on the calling worker; returns what it is to run next without a hand-over."""


class Worker:
    """A thread that runs what its core's inbox holds, until it is told to stop or left behind.

    Parameters
    ----------
    core : int
    inbox : SimpleQueue
        Of starts; None ends the thread.
    run : callable
    """

    def __init__(self, core: int, inbox: SimpleQueue[Start | None], run: Run) -> None:
        self.core = core
        self.left = False
        self._inbox = inbox
        self._run = run
        self._held_to: tuple[int, ...] | None = None
        self.thread = threading.Thread(target=self._work, name=f"edgeplan-core-{core}", daemon=True)
        self.thread.start()

    def hold(self, step: Step, start: Start) -> None:
        """Hold this thread, which calls it, to the cores that a segment may use; nothing to do where it already is."""
        cores = step.cores if step.threads == 1 and start.gang is None else start.cores[:1]
        if self._held_to != cores:
            os.sched_setaffinity(0, cores)
            self._held_to = cores

    def _work(self) -> None:
        start = self._inbox.get()
        while start is not None:
            start = self._run(self, start)
            if self.left:
                return  # somebody else reads the inbox now
            start = start or self._inbox.get()


class Workers:
    """One worker a core.

    Parameters
    ----------
    cores : iterable of int
    run : callable
    """

    def __init__(self, cores: Iterable[int], run: Run) -> None:
        self._run = run
        self._inboxes: dict[int, SimpleQueue[Start | None]] = {core: SimpleQueue() for core in cores}
        self._by_core = {core: Worker(core, inbox, run) for core, inbox in self._inboxes.items()}

    def give(self, starts: Iterable[Start]) -> None:
        """Hand segments to the workers of their first cores."""
        for start in starts:
            self._inboxes[start.cores[0]].put(start)

    def replace(self, core: int) -> None:
        """Leave a core's worker behind, and let another serve its inbox."""
        self._by_core[core].left = True
        self._by_core[core] = Worker(core, self._inboxes[core], self._run)

    @property
    def alive(self) -> list[int]:
        """Cores whose worker has not ended."""
        return [core for core, worker in self._by_core.items() if worker.thread.is_alive()]

    def close(self) -> None:
        """End all workers but those left behind, and wait for them."""
        for inbox in self._inboxes.values():
            inbox.put(None)
        for worker in self._by_core.values():
            worker.thread.join()
