"""What a controller asks for plans: a planner that starts when it is first needed, questions that can be dropped."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ..formulation import Plan, PlannerCancelled, Problem
from .drift import Assumptions
from .observer import Observer
from .planner import Planner
from .replan import Replan

Solve = Callable[[Plan | None, Assumptions, float, int], Replan]
"""Re-solves for a running plan and assumptions, within seconds, with a seed."""


class Resolver:
    """Asks a `Planner` of its own, or `solve` instead, one question at a time.

    Parameters
    ----------
    observer : Observer
        The planner's core time is not foreign to it.
    problem : Problem
    files : mapping of str to Path
    solve : callable, optional

    Attributes
    ----------
    planner : Planner or None
        Once it was needed.
    """

    def __init__(
        self, observer: Observer, problem: Problem, files: Mapping[str, Path], solve: Solve | None = None
    ) -> None:
        self._observer = observer
        self._problem, self._files = problem, files
        self.solve = solve
        self.planner: Planner | None = None
        self._known_pid = 0
        self._asked: threading.Event | None = None  # of the question that is being solved
        self._closed = False

    def start(self) -> None:
        """Start the planner's process now, so that the first answer need not wait for it.

        Raises
        ------
        PlannerCancelled
            It is closed.
        """
        if self.solve is not None or self.planner is not None:
            return
        if self._closed:
            raise PlannerCancelled(
                "planner",
                expected="a service that goes on",
                got="one that stops",
                remedy="Ask again when it has started again.",
            )
        self.planner = Planner(self._problem, self._files)
        self._know_planner()

    def ask(
        self,
        running: Plan | None,
        assumed: Assumptions,
        time_limit_s: float,
        seed: int,
        cancelled: threading.Event | None = None,
    ) -> Replan:
        """Re-solve; `cancelled` is what `cancel` may name.

        Raises
        ------
        PlannerCancelled
            `cancelled` was set before, or `cancel` was called meanwhile.
        EdgePlanError
            What the solver raised.
        """
        self._asked = cancelled
        try:
            if cancelled is not None and cancelled.is_set():
                raise PlannerCancelled(
                    "planner", expected="a solve that is wanted", got="one cancelled before", remedy="Ask again."
                )
            self.start()
            solve = self.solve or (self.planner and self.planner.replan)
            assert solve is not None, "the planner has been started"
            return solve(running, assumed, time_limit_s, seed)
        finally:
            self._asked = None
            self._know_planner()

    def cancel(self, asked: threading.Event | None = None) -> bool:
        """End the solve under way, with `asked` only that of its question. Returns whether there was one."""
        if asked is None:
            return self.planner is not None and self.planner.cancel()
        while self._asked is asked and self.planner is not None:
            if self.planner.cancel():
                return True
            time.sleep(0.01)  # it is about to be asked, or has just answered
        return False

    def replace(self, problem: Problem, files: Mapping[str, Path]) -> None:
        """Re-solve another problem from now on."""
        self._problem, self._files = problem, files
        if self.planner is not None:
            self.planner.replace(problem, files)
            self._know_planner()

    def close(self) -> None:
        """End the planner's process, in the middle of a solve too."""
        self._closed = True
        if self.planner is not None:
            self.planner.close()

    def _know_planner(self) -> None:
        own, pid = self._observer.own_pids, self.planner.pid if self.planner else 0
        if pid != self._known_pid:
            own.discard(self._known_pid)
            own.add(pid or os.getpid())
            self._known_pid = pid
