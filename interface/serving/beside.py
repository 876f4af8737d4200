"""Long work beside the service: in a process of its own, with low priority, ended when it is not wanted any more."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from ...formulation import EdgePlanError, PlannerCancelled, PlannerError, PlannerTimeout
from ...runtime_bridge.planner_process import NICENESS, end_with_parent

_LOOK_S = 0.1


def run_beside(
    function: Callable[..., Any],
    *arguments: Any,
    cancelled: threading.Event,
    limit_s: float,
    what: str,
    own_pids: set[int] | None = None,
) -> Any:
    """Call a function in another process and wait for what it returns.

    Parameters
    ----------
    function : callable
        A module's own, as `multiprocessing` needs it.
    cancelled : Event
        Ends the process.
    limit_s : float
        Longest time.
    what : str
        Named in errors.
    own_pids : set of int, optional
        Holds the process's id while it runs (see `edgeplan.runtime_bridge.Observer`): its core time is nobody else's.

    Raises
    ------
    PlannerCancelled, PlannerTimeout
    PlannerError
        The process died, or the function raised what is no `EdgePlanError`.
    EdgePlanError
        What the function raised.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    pid, known = process.pid or 0, own_pids if own_pids is not None else set()
    known.add(pid)
    ends_s = time.monotonic() + limit_s
    try:
        while not wait([ours, process.sentinel], _LOOK_S):
            if cancelled.is_set():
                raise PlannerCancelled(what, expected="an end", got="one that was cancelled", remedy="Ask again.")
            if time.monotonic() > ends_s:
                remedy = "Allow more time, or ask when there is less to do."
                raise PlannerTimeout(what, expected=f"an end within {limit_s:g} s", got="none", remedy=remedy)
        try:
            answer = ours.recv()
        except (EOFError, OSError) as error:
            process.join()
            raise PlannerError(
                what, expected="an answer", got=f"the end of its process ({process.exitcode})", remedy="Ask again."
            ) from error
        if isinstance(answer, EdgePlanError):
            raise answer
        return answer
    finally:
        process.kill()
        process.join()
        known.discard(pid)
        process.close()
        ours.close()


def _call(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    end_with_parent()
    os.nice(NICENESS)
    try:
        answer = function(*arguments)
    except EdgePlanError as error:
        answer = error
    except Exception as error:  # as words: what a library raises may not survive the way
        answer = PlannerError("process", expected="a result", got=repr(error), remedy="Report this error.")
    connection.send(answer)
