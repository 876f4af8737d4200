"""Jobs that clients ask for: submitted once however often they are asked, looked at, followed and cancelled."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ..units import jsonable
from .database import Database, Now
from .limits import PlannerLimits
from .records import (
    ENDED,
    Counts,
    JobRecord,
    JobStatus,
    ProfileRecord,
    Question,
    StoredEvent,
    job_record,
    profile_record,
    question_of_row,
    stored_event,
)
from .tables import EventRow, JobRow, ProfileRow, WorkerRow

Found = TypeVar("Found")

CANCELLED = "cancelled while it ran"
EVENTS_AT_ONCE = 500
_FORGOTTEN_AT_ONCE = 50
"""Jobs in one transaction: on SQLite nobody else writes meanwhile, and heartbeats wait."""


class QueueFull(Exception):
    """More jobs wait than may."""


class JobStore:
    """What the service and its clients do with jobs; what workers do is `WorkStore`.

    Parameters
    ----------
    database : Database
    limits : PlannerLimits
    """

    def __init__(self, database: Database, limits: PlannerLimits) -> None:
        self._database = database
        self._limits = limits

    def add_profile(self, digest: str, models: tuple[str, ...], text: str) -> tuple[ProfileRecord, bool]:
        """Keep a profile under its digest. Also returns whether it was not there yet."""

        def add() -> tuple[ProfileRecord, bool]:
            with self._database.writing() as (session, now_s):
                row = session.get(ProfileRow, digest)
                new = row is None
                if row is None:
                    names = json.dumps(models)
                    row = ProfileRow(id=digest, models=names, text=text, created_s=now_s, used_s=now_s)
                    session.add(row)
                row.used_s = now_s
                return profile_record(row), new

        return _twice(add)

    def profile(self, digest: str) -> ProfileRecord | None:
        """A profile, if it is there."""
        with self._database.reading() as session:
            row = session.get(ProfileRow, digest)
            return None if row is None else profile_record(row)

    def used_profile(self, digest: str) -> str | None:
        """A profile as JSON, if it is there. It was used by that: others are forgotten before it."""
        with self._database.writing() as (session, now_s):
            row = session.get(ProfileRow, digest)
            if row is None:
                return None
            row.used_s = now_s
            return row.text

    def submit(self, question: Question) -> JobRecord:
        """Queue a question, unless it waits, runs or has been answered: then that job is returned.

        One that failed or was cancelled is queued again, and what was told of it before is forgotten. One that was to
        be cancelled and still runs goes on: somebody wants it.

        Raises
        ------
        QueueFull
        """

        def submit() -> JobRecord:
            with self._database.writing() as (session, now_s):
                row = session.get(JobRow, question.id, with_for_update=True)
                if row is not None and row.status not in ("failed", "cancelled"):
                    row.asked += 1
                    row.cancel = False
                    return job_record(row)
                self._database.lock_queue(session)
                waiting = select(func.count()).select_from(JobRow).where(JobRow.status == "queued")
                if session.scalars(waiting).one() >= self._limits.max_queued:
                    raise QueueFull
                if row is None:
                    times = {"created_s": now_s, "queued_s": now_s}
                    row = JobRow(**vars(question), status="queued", asked=0, n_events=0, **times)
                    session.add(row)
                    session.flush()
                else:  # numbers go on: whoever has followed so far misses nothing of what comes
                    session.execute(delete(EventRow).where(EventRow.job_id == row.id))
                row.asked += 1
                row.attempt, row.queued_s, row.started_s, row.ended_s = 0, now_s, 0.0, 0.0
                row.outcome, row.progress, row.error, row.result = "", "{}", "", None
                set_status(session, row, "queued", now_s)
                return job_record(row)

        return _twice(submit)

    def get(self, job_id: str) -> JobRecord | None:
        """A job, if it is there."""
        with self._database.reading() as session:
            row = session.get(JobRow, job_id)
            return None if row is None else job_record(row)

    def jobs(self, status: str | None, limit: int) -> list[JobRecord]:
        """The jobs that were queued last, the latest first; one that was begun anew counts from then."""
        query = select(JobRow).order_by(JobRow.queued_s.desc(), JobRow.id).limit(limit)
        if status is not None:
            query = query.where(JobRow.status == status)
        with self._database.reading() as session:
            return [job_record(row) for row in session.scalars(query)]

    def answer(self, job_id: str) -> tuple[Question, str, str] | None:
        """Question, profile and result, the latter two as JSON, of a job that is done."""
        with self._database.reading() as session:
            row = session.get(JobRow, job_id)
            profile = None if row is None else session.get(ProfileRow, row.profile_id)
            if row is None or profile is None or row.result is None:
                return None
            return question_of_row(row), profile.text, row.result

    def result(self, job_id: str) -> str | None:
        """Result of a job that is done, as JSON."""
        with self._database.reading() as session:
            row = session.get(JobRow, job_id)
            return None if row is None else row.result

    def events(self, job_id: str, after: int) -> tuple[list[StoredEvent], bool]:
        """Events of a job after one of them, and whether these are the last: the job has ended, or is gone.

        A number that the job has not come to is of an earlier one, which was forgotten: all events come then.
        """
        with self._database.reading() as session:
            row = session.get(JobRow, job_id)
            if row is None:
                return [], True
            seen = after if after <= row.n_events else 0
            query = select(EventRow).where(EventRow.job_id == job_id, EventRow.number > seen)
            rows = session.scalars(query.order_by(EventRow.number).limit(EVENTS_AT_ONCE)).all()
            return [stored_event(event) for event in rows], row.status in ENDED and len(rows) < EVENTS_AT_ONCE

    def cancel(self, job_id: str) -> JobRecord | None:
        """Let a job that waits never begin, and have one that runs ended by its worker. One that has ended stays."""
        with self._database.writing() as (session, now_s):
            row = session.get(JobRow, job_id, with_for_update=True)
            if row is None:
                return None
            if row.status == "queued" or (row.status == "running" and row.lease_until_s < now_s):
                row.error = "cancelled before it began" if row.status == "queued" else CANCELLED
                set_status(session, row, "cancelled", now_s)
            elif row.status == "running":
                row.cancel = True
            return job_record(row)

    def counts(self) -> Counts:
        """The store at a glance."""
        with self._database.reading() as session:
            now_s = session.scalars(select(Now())).one()
            by_status = select(JobRow.status, func.count()).group_by(JobRow.status)
            jobs = {str(status): int(number) for status, number in session.execute(by_status)}
            oldest = session.scalars(select(func.min(JobRow.queued_s)).where(JobRow.status == "queued")).one()
            # A server with `--workers 0` is heard of too, and works on nothing.
            lately = WorkerRow.seen_s > now_s - self._limits.lease_s, WorkerRow.slots > 0
            workers, slots = session.execute(
                select(func.count(), func.coalesce(func.sum(WorkerRow.slots), 0)).where(*lately)
            ).one()
            profiles = session.scalars(select(func.count()).select_from(ProfileRow)).one()
            waited_s = 0.0 if oldest is None else max(0.0, now_s - oldest)
            return Counts(jobs, waited_s, int(workers), int(slots), profiles)

    def forget(self) -> int:
        """Remove jobs that ended long ago or are too many, and profiles that no job needs. Returns how many jobs."""
        n_jobs = 0
        while gone := self._forget_jobs():
            n_jobs += gone
        limits = self._limits
        with self._database.writing() as (session, now_s):
            needed = select(JobRow.profile_id)
            spare = select(ProfileRow.id).where(ProfileRow.id.not_in(needed))
            spare = spare.order_by(ProfileRow.used_s.desc()).offset(limits.max_profiles).limit(1000)
            session.execute(delete(ProfileRow).where(ProfileRow.id.in_(list(session.scalars(spare)))))
            session.execute(delete(WorkerRow).where(WorkerRow.seen_s < now_s - 100 * limits.lease_s))
        return n_jobs

    def _forget_jobs(self) -> int:
        with self._database.writing() as (session, now_s):
            ended = JobRow.status.in_(ENDED)
            latest = select(JobRow.ended_s).where(ended).order_by(JobRow.ended_s.desc())
            last_kept_s = session.scalars(latest.offset(self._limits.keep_jobs - 1).limit(1)).first() or 0.0
            before_s = max(now_s - 86400 * self._limits.keep_days, last_kept_s)
            old = select(JobRow.id).where(ended, JobRow.ended_s < before_s)
            old = old.order_by(JobRow.ended_s).limit(_FORGOTTEN_AT_ONCE)
            # Locked and looked at once more by that: one of them may just have been asked for anew.
            gone = list(session.scalars(old.with_for_update(skip_locked=True)))
            session.execute(delete(EventRow).where(EventRow.job_id.in_(gone)))
            session.execute(delete(JobRow).where(JobRow.id.in_(gone)))
            return len(gone)


def set_status(session: Session, row: JobRow, status: JobStatus, now_s: float) -> None:
    """Change a job's status, and say so in its events."""
    row.status, row.claim, row.lease_until_s, row.cancel = status, None, 0.0, False
    if status in ENDED:
        row.ended_s = now_s
    data = {"status": status, "attempt": row.attempt, "outcome": row.outcome, "error": row.error}
    add_event(session, row, "status", data, now_s)


def add_event(session: Session, row: JobRow, kind: str, data: dict[str, Any], now_s: float) -> None:
    """Append to a job's events; its row is locked, so that numbers have no gaps."""
    row.n_events += 1
    text = json.dumps(jsonable(data), allow_nan=False)
    session.add(EventRow(job_id=row.id, number=row.n_events, at_s=now_s, kind=kind, data=text))


def _twice(write: Callable[[], Found]) -> Found:
    """Write; once more where somebody else made the same row at the same moment, which is there then."""
    try:
        return write()
    except IntegrityError:
        return write()
