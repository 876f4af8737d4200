"""Long work that is asked for over HTTP: one job after the other, each looked at and cancelled by its id."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Literal

from ...formulation import EdgePlanError, PlannerCancelled
from .http.refusal import Refusal

MAX_WAITING = 8
KEPT_JOBS = 100

JobStatus = Literal["queued", "running", "done", "failed", "cancelled"]


class JobFailed(Exception):
    """A job that ended without what was asked for; its result still says what happened."""

    def __init__(self, reason: str, result: Any) -> None:
        self.result = result
        super().__init__(reason)


@dataclass(eq=False)
class Job:
    """One job.

    Attributes
    ----------
    id : int
    kind : str
    status : {'queued', 'running', 'done', 'failed', 'cancelled'}
    created_s, started_s, ended_s : float
        Unix time; 0 before it came to that.
    result : object
        Plain data; None until it has ended.
    error : str
        Why it failed or was cancelled.
    cancelled : Event
        Set when the job should end early.
    """

    id: int
    kind: str
    work: Callable[[Job], Any] = field(repr=False)
    on_cancel: Callable[[threading.Event], object] | None = field(repr=False, default=None)
    status: JobStatus = "queued"
    created_s: float = 0.0
    started_s: float = 0.0
    ended_s: float = 0.0
    result: Any = None
    error: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def data(self) -> dict[str, Any]:
        """As it is told."""
        return {
            "id": self.id,
            "kind": self.kind,
            "status": self.status,
            "created_s": self.created_s,
            "started_s": self.started_s,
            "ended_s": self.ended_s,
            "result": self.result,
            "error": self.error,
        }


class Jobs:
    """Runs jobs one after the other on a thread of its own. Use it as a context manager."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="edgeplan-jobs", daemon=True)
        self._thread.start()

    def __enter__(self) -> Jobs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self, kind: str, work: Callable[[Job], Any], on_cancel: Callable[[threading.Event], object] | None = None
    ) -> Job:
        """Queue a job.

        Parameters
        ----------
        kind : str
        work : callable
            Returns the result, plain data. May look at `Job.cancelled`.
        on_cancel : callable, optional
            Called with its `Job.cancelled` when the running job is cancelled.

        Raises
        ------
        Refusal
            Too many wait.
        """
        with self._lock:
            waiting = sum(job.status == "queued" for job in self._jobs.values())
            if self._closed or waiting >= MAX_WAITING:
                got = "a service that stops" if self._closed else f"{waiting}"
                raise Refusal(503, f"job {kind!r}", f"fewer than {MAX_WAITING} that wait", got=got, retry_after_s=5)
            job = Job(next(self._ids), kind, work, on_cancel, created_s=time.time())
            self._jobs[job.id] = job
            for old in [j.id for j in self._jobs.values() if j.ended_s][: max(0, len(self._jobs) - KEPT_JOBS)]:
                del self._jobs[old]
        self._queue.put(job)
        return job

    def get(self, number: int) -> Job:
        """A job by its id.

        Raises
        ------
        Refusal
            There is none.
        """
        with self._lock:
            if (job := self._jobs.get(number)) is None:
                raise Refusal(404, f"job {number}", f"one of the last {KEPT_JOBS}")
            return job

    @property
    def all(self) -> list[Job]:
        """The last jobs, the latest first."""
        with self._lock:
            return list(self._jobs.values())[::-1]

    def cancel(self, number: int) -> Job:
        """Let a job that waits never begin, and one that runs end early."""
        job = self.get(number)
        with self._lock:
            if job.status == "queued":
                self._end(job, "cancelled", error="cancelled before it began")
            running = job.status == "running"
            job.cancelled.set()
        if running and job.on_cancel is not None:
            job.on_cancel(job.cancelled)
        return job

    def close(self) -> None:
        """Cancel all that waits and runs, and wait for the end."""
        with self._lock:
            self._closed = True
            numbers = [job.id for job in self._jobs.values() if not job.ended_s]
        for number in numbers:
            self.cancel(number)
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            with self._lock:
                if job.status != "queued":
                    continue
                job.status, job.started_s = "running", time.time()
            status, result, error = "done", None, ""
            try:
                result = job.work(job)
            except PlannerCancelled as reason:
                status, error = "cancelled", str(reason)
            except JobFailed as reason:
                status, result, error = "failed", reason.result, str(reason)
            except (EdgePlanError, Refusal) as reason:
                status, error = "failed", str(reason)
            except Exception as reason:  # the next job is not to suffer for this one
                status, error = "failed", repr(reason)
            with self._lock:
                self._end(job, status, result, error)

    def _end(self, job: Job, status: JobStatus, result: Any = None, error: str = "") -> None:
        job.status, job.result, job.error, job.ended_s = status, result, error, time.time()
