"""The process of a planner: how it is started, asked and ended, and what it runs."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from importlib import import_module
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from ..formulation import EdgePlanError, PlannerError, Problem
from .replan import Replan, replan
from .sessions import prepare_segments

NICENESS = 5
"""Priority of the process: about a quarter of a core's time while everything else is busy. With less, an overloaded
device would wait long for the plan that relieves it."""

Serve = Callable[[Connection, Problem, Mapping[str, Path]], None]
"""What the process runs: answers each ``(number, running, seen, time_limit_s, seed)`` with ``(number, answer)``."""


class PlannerProcess:
    """A running process and the pipe to it."""

    def __init__(self, process: SpawnProcess, connection: Connection) -> None:
        self.process = process
        self.connection = connection

    @classmethod
    def start(cls, serve: Serve, problem: Problem, files: Mapping[str, Path]) -> PlannerProcess:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, problem, dict(files)), daemon=True)
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, ours)

    def ask(self, number: int, question: tuple[object, ...]) -> object:
        """Send a question and wait for its answer, or for the end of the process."""
        self.connection.send((number, *question))
        # Both: a process that was forked off beside this one may hold the pipe's other end open.
        if self.connection not in wait([self.connection, self.process.sentinel]):
            raise EOFError
        answered, answer = self.connection.recv()
        if answered != number:
            raise ValueError(f"an answer to question {answered!r}")
        return answer

    def how_it_ended(self) -> str:
        """In words, for a process that should be running."""
        self.process.join(0.2)  # a dying one has closed its pipe before it can be waited for
        code = self.process.exitcode
        if code is None:
            return "closed its pipe"
        if code == -signal.SIGKILL:
            return "was killed (signal 9), as the system does for want of memory"
        return f"was ended by signal {-code}" if code < 0 else f"exited with code {code}"

    def stop(self) -> None:
        """Kill it, wait for its end, and free what it held."""
        self.process.kill()
        self.process.join()
        self.process.close()
        self.connection.close()


def serve_planner(connection: Connection, problem: Problem, files: Mapping[str, Path]) -> None:
    """Answer questions until the pipe is closed."""
    end_with_parent()
    os.nice(NICENESS)
    import_module("ortools.sat.python.cp_model")  # loaded before the first question

    while True:
        try:
            number, running, seen, time_limit_s, seed = connection.recv()
        except EOFError:
            return
        answer: Replan | EdgePlanError
        try:
            answer = replan(problem, running, seen, time_limit_s, seed)
            _prepare(answer, files)
        except EdgePlanError as error:
            answer = error
        except Exception as error:  # as words: what a library raises may not survive the way
            answer = PlannerError(
                "planner", expected="a plan", got=f"{error!r} from the solver", remedy="Report this error."
            )
        connection.send((number, answer))


def _prepare(outcome: Replan, files: Mapping[str, Path]) -> None:
    if outcome.best.solution.evaluation is not None:
        prepare_segments(outcome.problem, outcome.best.solution.evaluation, files)


def end_with_parent() -> None:
    """Let the system kill this process as soon as the one that started it has ended.

    The pipe from the parent, which nobody writes to, becomes readable then; that is made to raise SIGKILL. Unlike a
    thread that waits for it, this works in the middle of a library call that holds the interpreter lock; and unlike
    ``PR_SET_PDEATHSIG`` it is not raised when only the thread that started this process ends.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None, "only a process that was started by multiprocessing has a parent"
    pipe = parent.sentinel
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if wait([pipe], 0):  # it ended before
        os.kill(os.getpid(), signal.SIGKILL)
