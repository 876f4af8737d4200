"""How many small pieces of work are run by others: the one interface of the engines, and batches of about a second."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import TracebackType
from typing import Any, Protocol, Self

from ...formulation import EdgePlanError

Work = Callable[[Any, Any], Any]
"""What is done: a function of a module, called with what several tasks share and with a task's own payload."""

BATCH_S = 1.0
"""What a batch shall take: long beside the milliseconds that handing it over takes, short beside a run that is lost."""

MAX_ATTEMPTS = 3
"""Times that a task is run before it counts as what kills its worker."""

_RECENT = 32
"""Tasks whose median time sizes the next batch: the first of a worker, which loads libraries, weigh little so."""


class EngineError(EdgePlanError):
    """An engine that cannot run anything."""


@dataclass(frozen=True)
class Task:
    """A piece of work: its name, the name of what it shares with others, and what is its own."""

    key: str
    shared: str
    payload: Any


@dataclass(frozen=True)
class Done:
    """A task's end.

    Attributes
    ----------
    key : str
    result : object
        What the work returned; None for a failure.
    failure : str
        Why there is no result, in words; empty where there is one.
    seconds : float
        That the work took.
    attempts : int
        1, or more where a worker died over it.
    """

    key: str
    result: Any
    failure: str = ""
    seconds: float = 0.0
    attempts: int = 1


class Engine(Protocol):
    """Runs tasks on workers. Every task ends in exactly one `Done`, in any order, even if workers are killed."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def workers(self) -> int:
        """Tasks that run at the same time."""
        ...

    def run(self, work: Work, shared: Mapping[str, Any], tasks: Sequence[Task]) -> Iterator[Done]:
        """Run the tasks; what they share is handed to a worker (or to the cluster) once.

        Raises
        ------
        EngineError
            Workers do not even start.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def attempt(work: Work, shared: Any, payload: Any) -> tuple[Any, str, float]:
    """Do the work: its result, why there is none, and the seconds that it took. No error leaves this."""
    began_s = time.perf_counter()
    result, failure = None, ""
    try:
        result = work(shared, payload)
    except EdgePlanError as error:
        failure = str(error)
    except Exception as error:  # whatever a library raises is this task's end and nobody else's
        failure = f"{type(error).__name__}: {error}"
    return result, failure, time.perf_counter() - began_s


class Batches:
    """Hands tasks out in batches of about `BATCH_S` seconds by the times measured so far.

    The tasks of a batch share the same thing. What killed a worker is handed out alone, after all others. Towards the
    end batches become smaller, so that all workers end at about the same time.

    Parameters
    ----------
    tasks : iterable of Task
    workers : int
    """

    def __init__(self, tasks: Iterable[Task], workers: int) -> None:
        groups: dict[str, deque[Task]] = {}
        for task in tasks:
            groups.setdefault(task.shared, deque()).append(task)
        self._groups = groups
        self._suspects: deque[Task] = deque()
        self._workers = workers
        self._recent_s: deque[float] = deque(maxlen=_RECENT)
        self._left = sum(map(len, groups.values()))

    def __len__(self) -> int:
        """Tasks that are not handed out."""
        return self._left

    def took(self, seconds: float) -> None:
        """Note what a task took."""
        self._recent_s.append(seconds)

    @property
    def size(self) -> int:
        """Tasks of the next batch, at most."""
        if not self._recent_s:
            return 1
        wanted = int(BATCH_S / max(median(self._recent_s), 1e-4))
        fair = -(-self._left // (2 * self._workers))
        return max(1, min(wanted, fair))

    def take(self) -> list[Task]:
        """The next batch; empty where all are handed out."""
        if not self._groups:
            alone = [self._suspects.popleft()] if self._suspects else []
            self._left -= len(alone)
            return alone
        shared, waiting = next(iter(self._groups.items()))
        taken = [waiting.popleft() for _ in range(min(self.size, len(waiting)))]
        if not waiting:
            del self._groups[shared]
        self._left -= len(taken)
        return taken

    def back(self, tasks: Iterable[Task]) -> None:
        """Take back what was handed out and not begun."""
        for task in tasks:
            self._groups.setdefault(task.shared, deque()).appendleft(task)
            self._left += 1

    def alone(self, task: Task) -> None:
        """Take back what a worker died over; it is handed out by itself, when nothing else is left to be tried."""
        self._suspects.append(task)
        self._left += 1


class InProcess:
    """Runs tasks here, one after the other: for few of them, and for telling an engine's cost apart from the work's."""

    name = "in process"
    workers = 1

    def run(self, work: Work, shared: Mapping[str, Any], tasks: Sequence[Task]) -> Iterator[Done]:
        """Run the tasks in their order."""
        for task in tasks:
            yield Done(task.key, *attempt(work, shared[task.shared], task.payload))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
