"""Re-solving beside the live runtime, in a process of its own.

A solver on a thread of the serving process would hold the interpreter lock that the workers need, the longer the lower
its priority. Here it has its own interpreter and a low priority, and it also prepares what the new plan's segments need
(cut out, optimised, compiled into the cache), so that the serving process only opens sessions.

Whatever becomes of that process, its caller gets an answer or an error within a stated time.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from ..formulation import EdgePlanError, Plan, PlannerCancelled, PlannerError, PlannerTimeout, Problem
from .drift import Assumptions
from .planner_process import PlannerProcess, Serve, serve_planner
from .replan import Replan

OVERRUN = 4.0
"""Multiple of its time limit that a solver may take: the limit holds for each of the views that `replan` tries."""

GRACE_S = 60.0
"""Seconds beyond that: to start, to judge plans, and to cut out, optimise and compile the new plan's segments."""


class Planner:
    """A process that re-solves one problem. Use it as a context manager.

    It starts at once and then waits, so that an answer does not have to wait for imports. Where it dies, hangs or talks
    nonsense it is replaced by a fresh one. It also ends where this process does, however that happens.

    Threads may ask at the same time; they are served one after the other.

    Parameters
    ----------
    problem : Problem
        The scenario's own.
    files : mapping of str to Path
    overrun, grace_s : float
        A question with a time limit of ``t`` seconds is given up after ``overrun · t + grace_s`` seconds.
    serve : callable, optional
        What the process runs, instead of `replan`.
    """

    def __init__(
        self,
        problem: Problem,
        files: Mapping[str, Path],
        *,
        overrun: float = OVERRUN,
        grace_s: float = GRACE_S,
        serve: Serve | None = None,
    ) -> None:
        self._problem = problem
        self._files = files
        self._overrun = overrun
        self._grace_s = grace_s
        self._serve = serve or serve_planner
        self._asking = threading.Lock()
        self._questions = 0
        # The state lock holds for instants only. Under it the process is exchanged and killed, so that nobody signals
        # a process id that belongs to another one by now.
        self._state = threading.Lock()
        self._open: PlannerProcess | None = None
        self._ended_by: PlannerError | None = None  # of the question under way
        self._under_way = False
        self._outdated = False  # the process is for a problem that was replaced
        self._closed = False
        self._start()

    def __enter__(self) -> Planner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Id of the process, another one after each failure; 0 where it could not be started or is closed."""
        with self._state:
            return (self._open.process.pid or 0) if self._open else 0

    def replan(self, running: Plan | None, seen: Assumptions, time_limit_s: float, seed: int) -> Replan:
        """Solve for what was observed (see `edgeplan.runtime_bridge.replan`) and prepare the new plan's segments.

        Raises
        ------
        EdgePlanError
            What the solver raised.
        PlannerTimeout
            It was given up after ``overrun · time_limit_s + grace_s`` seconds.
        PlannerCancelled
            By `cancel`, `replace` or `close`.
        PlannerError
            The process has died (for want of memory, for instance), or its answer is none.
        """
        with self._asking:
            opened = self._ready()
            allowed_s = self._overrun * time_limit_s + self._grace_s
            # A timer that kills covers what a wait with a time limit does not: a process that stops half-way through
            # its answer, or that does not read the question.
            timer = threading.Timer(allowed_s, self._end_question, [_timed_out(time_limit_s, allowed_s)])
            timer.daemon = True
            timer.start()
            answer: object = None
            failure: Exception | None = None
            try:
                answer = opened.ask(self._questions, (running, seen, time_limit_s, seed))
            except Exception as error:  # unpickling nonsense raises anything
                failure = error
            finally:
                timer.cancel()
                with self._state:
                    self._under_way, ended_by = False, self._ended_by
            if ended_by is None and isinstance(answer, Replan):
                return answer
            if ended_by is None and isinstance(answer, EdgePlanError):
                raise answer
            error = ended_by or _no_answer(answer, failure, opened.how_it_ended())
            self._restart()
            raise error from failure

    def cancel(self) -> bool:
        """End the solve under way: who waits for it gets `PlannerCancelled`. Returns whether there was one."""
        return self._end_question(_cancelled("one that was cancelled"))

    def replace(self, problem: Problem, files: Mapping[str, Path]) -> None:
        """Re-solve another problem from now on; a solve of the old one that is under way is cancelled.

        Raises
        ------
        PlannerCancelled
            The planner is closed.
        """
        with self._state:
            if self._closed:
                raise _cancelled("a closed one")
            self._problem, self._files, self._outdated = problem, files, True
        self.cancel()
        with self._asking:
            if self._outdated:  # else a question that waited its turn has exchanged the process already
                self._restart()

    def close(self) -> None:
        """End the process, in the middle of a solve too. A second time it does nothing."""
        with self._state:
            self._closed = True
        self._end_question(_cancelled("one that was closed"))
        with self._asking:
            self._stop()

    def _ready(self) -> PlannerProcess:
        """A live process, for a question that begins now."""
        with self._state:
            usable = self._open is not None and self._open.process.is_alive() and not self._outdated
        if not usable:  # died while it had nothing to do: nothing is lost
            self._restart()
        with self._state:
            if self._closed:
                raise _cancelled("a closed one")
            if self._open is None:
                raise PlannerError(
                    "planner", expected="a process", got="none could be started", remedy="Free memory or processes."
                )
            self._questions += 1
            self._under_way, self._ended_by = True, None
            return self._open

    def _end_question(self, reason: PlannerError) -> bool:
        with self._state:
            if not self._under_way or self._ended_by is not None or self._open is None:
                return False
            self._ended_by = reason
            self._open.process.kill()  # not terminated: it has nothing to tidy, and a stopped one would not notice
            return True

    def _restart(self) -> None:
        self._stop()
        self._start()

    def _start(self) -> None:
        with self._state:
            self._outdated = False
            if self._closed:
                return
            try:
                self._open = PlannerProcess.start(self._serve, self._problem, self._files)
            except OSError:  # no memory or no process left: the next question tries again
                self._open = None

    def _stop(self) -> None:
        with self._state:
            opened, self._open = self._open, None
        if opened is not None:
            opened.stop()


def _timed_out(time_limit_s: float, allowed_s: float) -> PlannerTimeout:
    return PlannerTimeout(
        "planner",
        expected=f"an answer within {allowed_s:.3g} s for a solver that may take {time_limit_s:.3g} s",
        got="none; its process was killed",
        remedy="The present plan stays. Look at the solver if this happens again.",
    )


def _cancelled(got: str) -> PlannerCancelled:
    return PlannerCancelled("planner", expected="a solve that is wanted", got=got, remedy="Ask again if it is.")


def _no_answer(answer: object, failure: Exception | None, left: str) -> PlannerError:
    if isinstance(failure, EOFError | OSError):
        got = f"a process that {left}"
    else:
        got = f"nonsense ({failure!r})" if failure else f"a {type(answer).__name__}"
    return PlannerError(
        "planner",
        expected="a plan or the solver's reason",
        got=got,
        remedy="The present plan stays; another process is started.",
    )
