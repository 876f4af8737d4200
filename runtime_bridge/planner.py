"""Re-solving beside the live runtime, in a process of its own.

A solver on a thread of the serving process would hold the interpreter lock that the workers need, the longer the lower
its priority. Here it has its own interpreter and a low priority, and it also prepares what the new plan's segments need
(cut out, optimised, compiled into the cache), so that the serving process only opens sessions.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

from ..formulation import Plan, Problem
from .drift import Assumptions
from .replan import Replan, replan
from .sessions import prepare_segments

NICENESS = 5
"""Priority of the process: about a quarter of a core's time while everything else is busy. With less, an overloaded
device would wait long for the plan that relieves it."""


class Planner:
    """A process that re-solves one problem. Use it as a context manager.

    It starts at once and then waits, so that an answer does not have to wait for imports.

    Parameters
    ----------
    problem : Problem
        The scenario's own.
    files : mapping of str to Path
    """

    def __init__(self, problem: Problem, files: Mapping[str, Path]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, problem, dict(files)), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Planner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Id of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def replan(self, running: Plan, seen: Assumptions, time_limit_s: float, seed: int) -> Replan:
        """Solve for what was observed (see `edgeplan.runtime_bridge.replan`) and prepare the new plan's segments.

        Raises
        ------
        EdgePlanError
            What the solver raised.
        EOFError, BrokenPipeError
            The process has ended.
        """
        self._connection.send((running, seen, time_limit_s, seed))
        answer = self._connection.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        """End the process, in the middle of a solve too."""
        self._connection.close()
        self._process.terminate()
        self._process.join()


def _serve(connection: Connection, problem: Problem, files: Mapping[str, Path]) -> None:
    os.nice(NICENESS)
    import_module("ortools.sat.python.cp_model")  # loaded before the first question

    while True:
        try:
            running, seen, time_limit_s, seed = connection.recv()
        except EOFError:
            return
        try:
            outcome = replan(problem, running, seen, time_limit_s, seed)
            _prepare(outcome, files)
            connection.send(outcome)
        except Exception as error:
            connection.send(error)


def _prepare(outcome: Replan, files: Mapping[str, Path]) -> None:
    if outcome.best.solution.evaluation is not None:
        prepare_segments(outcome.problem, outcome.best.solution.evaluation, files)
