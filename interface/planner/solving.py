"""A solve in a process of its own: a crash, or memory that runs out, ends one job and nothing else."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal

from ...formulation import EdgePlanError
from ...runtime_bridge.planner_process import NICENESS, PlannerProcess, end_with_parent
from ..units import jsonable
from .records import Claim

_TOO_LARGE = "It may need more than the {:.0f} MiB that a solve may take: ask for less, or raise --solve-memory-mib."


@dataclass(frozen=True)
class Message:
    """What the process says.

    Attributes
    ----------
    kind : {'progress', 'answer', 'failed', 'died'}
        ``failed``: it would fail again. ``died``: the process did, which may have had other reasons.
    data : dict
        Of ``progress``.
    text : str
        The answer as JSON, or why there is none.
    outcome : str
        Of ``answer``: the solution's status.
    """

    kind: Literal["progress", "answer", "failed", "died"]
    data: dict[str, Any] | None = None
    text: str = ""
    outcome: str = ""


class Solving:
    """A process that answers one question. Use it as a context manager: it is killed at the end.

    Parameters
    ----------
    claim : Claim
    max_memory_bytes : int
    """

    def __init__(self, claim: Claim, max_memory_bytes: int) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_solve, args=(theirs, claim, max_memory_bytes))
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._process = PlannerProcess(process, ours)
        self._most_mib = max_memory_bytes / 2**20

    def __enter__(self) -> Solving:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def next(self, within_s: float) -> Message | None:
        """What it says next; None where it says nothing within that time."""
        connection = self._process.connection
        if not wait([connection, self._process.process.sentinel], within_s):
            return None
        try:
            if connection.poll():
                return connection.recv()
        except (EOFError, OSError):
            pass
        how = self._process.how_it_ended()
        # Libraries that are given no memory abort.
        hint = _TOO_LARGE.format(self._most_mib) if self._process.process.exitcode == -signal.SIGABRT else ""
        return Message("died", text=f"The process that solved it {how}. {hint}".rstrip())


def _solve(connection: Connection, claim: Claim, max_memory_bytes: int) -> None:
    """Run by the process."""
    end_with_parent()
    os.nice(NICENESS)
    _bound_memory(max_memory_bytes)
    lock = threading.Lock()  # a solver may tell of progress from a thread of its own

    def send(message: Message) -> None:
        with lock:
            connection.send(message)

    try:
        from .answers import answer

        outcome, result = answer(claim.question, claim.profile, lambda data: send(Message("progress", data)))
        text = json.dumps(jsonable(result), allow_nan=False)
        send(Message("answer", text=text, outcome=outcome))
    except EdgePlanError as error:
        send(Message("failed", text=str(error)))
    except MemoryError:
        send(Message("failed", text=_TOO_LARGE.format(max_memory_bytes / 2**20)))
    except Exception as error:  # as words: what a library raises may not survive the way
        send(Message("failed", text=f"It failed inside: {repr(error)[:1000]}. Report this error."))


def _bound_memory(most_bytes: int) -> None:
    """Of what a process asks for itself; and where the system runs short, let it end this process before others."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = most_bytes if hard == resource.RLIM_INFINITY else min(most_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
