"""Workers: threads that claim jobs, have each solved in a process of its own, and hand in the answers."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from ..logs import event
from .limits import JOB_GRACE_S, PlannerLimits
from .news import News
from .records import Claim
from .solving import Message, Solving
from .store import JobStore
from .work_store import WorkStore

POLL_S = 0.5
"""How often a worker that has nothing to do looks for a job, and one that works says that it lives, if leases allow."""
_FORGET_S = 60.0
_RETRY_S = 1.0
_LATE = "It took much longer than its time limit, and was ended. Ask for less at once, or of another method."


class Workers:
    """Some threads that work on jobs until they are closed. Use it as a context manager.

    Parameters
    ----------
    jobs : JobStore
    work : WorkStore
    limits : PlannerLimits
    slots : int
        Jobs at once.
    forgets : bool
        Whether to remove what is old; the server does, whose limits say how old that is.
    """

    def __init__(
        self, jobs: JobStore, work: WorkStore, limits: PlannerLimits, slots: int, forgets: bool = True
    ) -> None:
        self._jobs = jobs
        self._work = work
        self._limits = limits
        self._slots = slots
        self._forgets = forgets
        self._beat_s = min(POLL_S, limits.lease_s / 4)
        self.id = uuid.uuid4().hex
        self._stop = threading.Event()
        self._wake = threading.Semaphore(0)
        names = [f"edgeplan-worker-{k}" for k in range(slots)]
        self._threads = [threading.Thread(target=self._serve, name=name, daemon=True) for name in names]
        self._threads.append(threading.Thread(target=self._keep_house, name="edgeplan-house", daemon=True))

    def __enter__(self) -> Workers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wake(self) -> None:
        """A job may be waiting: look now."""
        self._wake.release()

    def close(self) -> None:
        """Stop; jobs that run are given back, for others or for the next start."""
        self._stop.set()
        for _ in self._threads:
            self._wake.release()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                claim = self._work.claim()
            except SQLAlchemyError as error:
                _trouble(error)
                self._stop.wait(_RETRY_S)
                continue
            if claim is None:
                self._wake.acquire(timeout=POLL_S)
            else:
                self._run(claim)

    def _run(self, claim: Claim) -> None:
        question = claim.question
        said = {"job": question.id, "attempt": claim.attempt}
        event(logging.INFO, "job", f"Job {question.id[:12]} ({question.name}) begins.", **said)
        began_s = time.monotonic()
        try:
            with Solving(claim, self._limits.max_memory_bytes) as solving:
                ended = self._followed(claim, solving)
        except Exception as error:  # for one that no process could be started: a moment later one may
            ended = Message("died", text=f"It could not be solved here: {error!r}.")
            self._stop.wait(_RETRY_S)
        written = ended is not None and self._hand_in(claim, ended)
        how = ended.outcome or ended.kind if ended is not None and written else "given up"
        message = f"Job {question.id[:12]} ({question.name}) ended after {time.monotonic() - began_s:.1f} s: {how}."
        event(logging.INFO, "job", message, **said, how=how, error="" if ended is None else ended.text[:500])

    def _followed(self, claim: Claim, solving: Solving) -> Message | None:
        """Pass progress on until there is an answer; None where the job is not this worker's to end any more."""
        news, untold = News(), list[dict[str, Any]]()
        ends_s = time.monotonic() + 4 * claim.question.time_limit_s + JOB_GRACE_S
        beat_s = heard_s = time.monotonic()
        while True:
            message = solving.next(self._beat_s / 2)
            if message is not None and message.kind != "progress":
                untold.extend(news.last())
                self._retried(lambda: self._work.beat(claim, untold) != "lost")
                return message
            if message is not None and message.data is not None:
                news.add(message.data)
            now_s = time.monotonic()
            if self._stop.is_set():
                self._retried(lambda: self._work.give_back(claim))
                return None
            if now_s > ends_s:
                return Message("failed", text=_LATE)
            if now_s - beat_s < self._beat_s and not news.is_due(now_s):
                continue
            untold.extend(news.due(now_s))
            try:
                verdict = self._work.beat(claim, untold)
                untold.clear()
                beat_s = heard_s = now_s
            except SQLAlchemyError as error:
                _trouble(error)
                beat_s = now_s
                # Another worker has it by now; two solves of one question would be one too many.
                verdict = "lost" if now_s - heard_s > self._limits.lease_s else "go on"
            if verdict == "cancel":
                self._retried(lambda: self._work.give_back(claim))
            if verdict != "go on":
                return None

    def _hand_in(self, claim: Claim, ended: Message) -> bool:
        if ended.kind == "answer":
            return self._retried(lambda: self._work.finish(claim, "done", result=ended.text, outcome=ended.outcome))
        if ended.kind == "failed":
            return self._retried(lambda: self._work.finish(claim, "failed", error=ended.text))
        return self._retried(lambda: self._work.give_back(claim, ended.text))

    def _retried(self, write: Callable[[], bool]) -> bool:
        """Write, as long as the claim may hold: a store that is away for a moment costs no answer.

        Returns whether it was written.
        """
        until_s = time.monotonic() + self._limits.lease_s
        while True:
            try:
                return write()
            except SQLAlchemyError as error:
                _trouble(error)
                if time.monotonic() > until_s:
                    return False
                time.sleep(_RETRY_S)

    def _keep_house(self) -> None:
        """Say that this process lives, and remove what is old."""
        forget_s = 0.0
        while not self._stop.is_set():
            try:
                self._work.here(self.id, socket.gethostname(), os.getpid(), self._slots)
                if self._forgets and time.monotonic() >= forget_s:
                    self._jobs.forget()
                    forget_s = time.monotonic() + _FORGET_S
            except SQLAlchemyError as error:
                _trouble(error)
            self._stop.wait(self._limits.lease_s / 3)
        try:
            self._work.gone(self.id)
        except SQLAlchemyError as error:
            _trouble(error)


def _trouble(error: SQLAlchemyError) -> None:
    words = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
    event(logging.WARNING, "store", f"The store did not answer: {words}", error=words)
