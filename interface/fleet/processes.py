"""Workers of this machine: one process each, watched one by one.

`concurrent.futures` and loky give up their whole pool when one worker dies, and nobody can say over what. Here each
worker has a pipe of its own: what it was doing is known, so only that is tried again, and only it can be to blame.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Self

from .engine import MAX_ATTEMPTS, Batches, Done, EngineError, Task, Work, attempt

_DEATHS = 12
"""Workers that end before anything was answered at all: then it is not the tasks."""

_NOTHING: object = object()


class Processes:
    """A pool of processes on this machine.

    A worker has one batch at a time and answers task by task: when it is killed, what it had answered is kept, the
    task that it was at is tried again alone, and the rest of its batch goes to the next one.

    Parameters
    ----------
    workers : int, optional
        As many as there are cores where left out.
    """

    name = "processes"

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        self._pool: list[_Worker] = []

    def run(self, work: Work, shared: Mapping[str, Any], tasks: Sequence[Task]) -> Iterator[Done]:
        """Run the tasks.

        Raises
        ------
        EngineError
            Workers end again and again before they answer anything.
        """
        batches = Batches(tasks, self.workers)
        try:
            yield from self._until_done(batches, work, shared)
        finally:
            # Whoever stops early leaves batches behind, whose answers would be taken for those of the next run.
            for worker in [worker for worker in self._pool if worker.batch]:
                self._bury(worker)

    def _until_done(self, batches: Batches, work: Work, shared: Mapping[str, Any]) -> Iterator[Done]:
        attempts: Counter[str] = Counter()
        deaths, answered = 0, False
        while len(batches) or any(worker.batch for worker in self._pool):
            self._hand_out(batches, work, shared)
            for worker in _ready([worker for worker in self._pool if worker.batch]):
                answer = worker.answer()
                if answer is not None:
                    answered = True
                    task = worker.batch.popleft()
                    batches.took(answer[2])
                    yield Done(task.key, *answer, attempts=attempts[task.key] + 1)
                    continue
                deaths += 1
                how = self._bury(worker)
                guilty, *rest = worker.batch
                batches.back(reversed(rest))
                attempts[guilty.key] += 1
                if attempts[guilty.key] < MAX_ATTEMPTS:
                    batches.alone(guilty)
                else:
                    why = f"its worker {how}, {attempts[guilty.key]} times"
                    yield Done(guilty.key, None, why, attempts=attempts[guilty.key])
                if deaths >= _DEATHS and not answered:
                    raise EngineError(
                        "workers",
                        expected="processes that answer",
                        got=f"{deaths} that did not; the last one {how}",
                        remedy="Free memory, or use fewer workers (--workers); what is done is kept.",
                    )

    def _hand_out(self, batches: Batches, work: Work, shared: Mapping[str, Any]) -> None:
        """Give every idle worker a batch; workers are started as there is work for them."""
        busy = sum(bool(worker.batch) for worker in self._pool)
        # All are started before any is given something: sending waits until the other side has come up.
        while len(self._pool) < min(self.workers, busy + len(batches)):
            self._pool.append(_Worker())
        for worker in self._pool:
            if not worker.batch and len(batches):
                worker.give(batches.take(), work, shared)

    def _bury(self, worker: _Worker) -> str:
        self._pool.remove(worker)
        return worker.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._pool:
            worker.connection.close()  # all of them begin to end, before the first is waited for
        for worker in self._pool:
            worker.end()
        self._pool.clear()


class _Worker:
    """A process, the pipe to it, and what it has not answered."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(theirs,), daemon=True)
        resource_tracker.ensure_running()  # which would unblock it on its way
        # What is blocked here is blocked there: Ctrl-C is for the one who started this, even before `_serve` begins.
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)
        theirs.close()
        self.batch: deque[Task] = deque()
        self._holds = _NOTHING

    @property
    def connection(self) -> Connection:
        return self._connection

    def give(self, tasks: list[Task], work: Work, shared: Mapping[str, Any]) -> None:
        """Send a batch. The worker reads, for it has nothing else to do: this cannot block for long."""
        self.batch = deque(tasks)
        held = shared[tasks[0].shared]
        news = () if held is self._holds else (held,)
        self._holds = held
        # A worker that is dead already shows as one that does not answer.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._connection.send((work, news, [task.payload for task in tasks]))

    def answer(self) -> tuple[Any, str, float] | None:
        """The answer for the first task of the batch, or None where the worker has ended."""
        try:
            return self._connection.recv() if self._connection.poll() else None
        except (EOFError, OSError):  # the latter in the middle of a message
            return None

    def end(self) -> str:
        """End it, free what it held, and say how it had ended by itself."""
        self._connection.close()  # one that is idle ends by itself then
        self.process.join(0.2)
        code = self.process.exitcode
        self.process.kill()
        self.process.join()
        self.process.close()
        if code is None:
            return "closed its pipe"
        if code == -signal.SIGKILL:
            return "was killed (signal 9), as the system does for want of memory"
        return f"was ended by signal {-code}" if code < 0 else f"exited with code {code}"


def _ready(busy: list[_Worker]) -> list[_Worker]:
    """Those that have answered or ended; waits for one."""
    ready = set(wait([handle for worker in busy for handle in (worker.connection, worker.process.sentinel)]))
    return [worker for worker in busy if ready & {worker.connection, worker.process.sentinel}]


def _serve(connection: Connection) -> None:
    """What a worker runs: batches until the pipe is closed."""
    held: Any = None
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            work, news, payloads = connection.recv()
            if news:
                (held,) = news
            for payload in payloads:
                connection.send(attempt(work, held, payload))
