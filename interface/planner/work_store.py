"""What workers do with the store: claim a job, say that they live, hand in its answer."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from ..units import jsonable
from .database import Database
from .limits import PlannerLimits
from .records import Claim, question_of_row
from .store import CANCELLED, add_event, set_status
from .tables import JobRow, ProfileRow, WorkerRow

Verdict = Literal["go on", "cancel", "lost"]
"""Of a heartbeat: somebody wants the job cancelled; or it is another worker's by now."""


class WorkStore:
    """Jobs from a worker's side. Each is run by one worker at a time: who has lost its claim can write nothing more.

    Parameters
    ----------
    database : Database
    limits : PlannerLimits
    """

    def __init__(self, database: Database, limits: PlannerLimits) -> None:
        self._database = database
        self._limits = limits

    def claim(self) -> Claim | None:
        """Take the job that has waited longest, or one whose worker was not heard of for too long.

        On PostgreSQL rows that another worker is just taking are skipped; on SQLite one transaction writes at a time.
        """
        while True:
            with self._database.writing() as (session, now_s):
                lost = and_(JobRow.status == "running", JobRow.lease_until_s < now_s)
                query = select(JobRow).where(or_(JobRow.status == "queued", lost))
                query = query.order_by(JobRow.queued_s, JobRow.id).limit(1).with_for_update(skip_locked=True)
                row = session.scalars(query).first()
                if row is None:
                    return None
                if row.cancel:
                    row.error = CANCELLED
                    set_status(session, row, "cancelled", now_s)
                elif row.attempt >= self._limits.max_attempts:
                    row.error = f"Its worker was lost {row.attempt} times; the workers' log says more. Ask again."
                    set_status(session, row, "failed", now_s)
                else:
                    return self._taken(session, row, now_s)

    def beat(self, claim: Claim, progress: Sequence[dict[str, Any]] = ()) -> Verdict:
        """Keep a claim, and tell how far the job has come."""
        with self._database.writing() as (session, now_s):
            row = self._held(session, claim)
            if row is None:
                return "lost"
            for data in progress:
                add_event(session, row, "progress", {**data, "attempt": row.attempt}, now_s)
            if progress:
                row.progress = json.dumps(jsonable({k: v for k, v in progress[-1].items() if k != "front"}))
            row.lease_until_s = now_s + self._limits.lease_s
            return "cancel" if row.cancel else "go on"

    def finish(
        self,
        claim: Claim,
        status: Literal["done", "failed"],
        *,
        result: str | None = None,
        outcome: str = "",
        error: str = "",
    ) -> bool:
        """End a job. False where it was not this worker's any more: then nothing is written."""
        with self._database.writing() as (session, now_s):
            row = self._held(session, claim)
            if row is None:
                return False
            row.result, row.outcome, row.error = result, outcome, _words(error)
            set_status(session, row, status, now_s)
            return True

    def give_back(self, claim: Claim, error: str = "") -> bool:
        """Let go of a job, so that another worker runs it, unless somebody wants it cancelled.

        It costs an attempt where there was an error; without one it was not this job's fault.
        """
        with self._database.writing() as (session, now_s):
            row = self._held(session, claim)
            if row is None:
                return False
            row.error = CANCELLED if row.cancel else _words(error)
            if row.cancel:
                set_status(session, row, "cancelled", now_s)
            elif error and row.attempt >= self._limits.max_attempts:
                set_status(session, row, "failed", now_s)
            else:
                row.attempt -= not error
                set_status(session, row, "queued", now_s)
            return True

    def here(self, worker: str, host: str, pid: int, slots: int) -> None:
        """Say that a worker lives."""
        with self._database.writing() as (session, now_s):
            session.merge(WorkerRow(id=worker, host=host, pid=pid, slots=slots, seen_s=now_s))

    def gone(self, worker: str) -> None:
        """Say that a worker has stopped."""
        with self._database.writing() as (session, _):
            row = session.get(WorkerRow, worker)
            if row is not None:
                session.delete(row)

    def _taken(self, session: Session, row: JobRow, now_s: float) -> Claim:
        profile = session.get_one(ProfileRow, row.profile_id)
        profile.used_s = now_s
        row.attempt += 1
        row.started_s = now_s
        row.progress = "{}"
        set_status(session, row, "running", now_s)
        row.claim = token = uuid.uuid4().hex
        row.lease_until_s = now_s + self._limits.lease_s
        return Claim(token, question_of_row(row), profile.text, row.attempt)

    def _held(self, session: Session, claim: Claim) -> JobRow | None:
        row = session.get(JobRow, claim.question.id, with_for_update=True)
        return row if row is not None and row.claim == claim.token else None


def _words(error: str) -> str:
    """What a database can keep of an error: PostgreSQL no NUL, neither of them half a character."""
    return error.replace("\0", "").encode(errors="replace").decode()[:2000]
