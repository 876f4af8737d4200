"""Short ways to put jobs into a store, to take them out as a worker does, and to wait for what becomes of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from edgeplan.interface.planner.database import Database
from edgeplan.interface.planner.records import Claim, JobRecord, Question
from edgeplan.interface.planner.store import JobStore
from edgeplan.interface.planner.tables import JobRow
from edgeplan.interface.planner.work_store import WorkStore

PROFILE = "a" * 64
WAIT_S = 60


def there(job: JobRecord | None) -> JobRecord:
    assert job is not None, "jobs that were submitted are there"
    return job


def ask(jobs: JobStore, number: int = 0, name: str = "asked") -> Question:
    """A question of which only the store can make sense; its profile is there."""
    jobs.add_profile(PROFILE, ("m0",), "{}")
    return Question(f"{number:064x}", name, "plan", "auto", 60.0, 0, "{}", PROFILE)


def submit(jobs: JobStore, number: int = 0, name: str = "asked") -> str:
    return jobs.submit(ask(jobs, number, name)).id


def taken(work: WorkStore) -> Claim:
    claim = work.claim()
    assert claim is not None
    return claim


def lose(database: Database, claim: Claim) -> None:
    """Let a worker have been silent for too long."""
    with database.writing() as (session, _):
        session.get_one(JobRow, claim.question.id).lease_until_s = 1.0


def statuses(jobs: JobStore, job_id: str) -> list[str]:
    events, _ = jobs.events(job_id, 0)
    first = events[0].number if events else 1
    assert [event.number for event in events] == list(range(first, first + len(events)))
    return [json.loads(event.data)["status"] for event in events if event.kind == "status"]


def until(jobs: JobStore, job_id: str, holds: Callable[[JobRecord], bool]) -> JobRecord:
    """A job as soon as something holds of it."""
    for _ in range(WAIT_S * 20):
        job = there(jobs.get(job_id))
        if holds(job):
            return job
        assert job.status != "failed", job.error
        time.sleep(0.05)
    pytest.fail(f"waited in vain: {job}")
