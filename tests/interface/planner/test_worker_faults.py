"""Workers whose solves follow a script, without processes: what becomes of a job whatever happens to them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from edgeplan.interface.planner import worker as module
from edgeplan.interface.planner.database import Database
from edgeplan.interface.planner.limits import PlannerLimits
from edgeplan.interface.planner.records import Claim
from edgeplan.interface.planner.solving import Message
from edgeplan.interface.planner.store import JobStore
from edgeplan.interface.planner.work_store import Verdict, WorkStore
from edgeplan.interface.planner.worker import Workers
from sqlalchemy.exc import OperationalError

from .stored import submit, there, until

LIMITS = PlannerLimits(lease_s=5.0)
ANSWER = Message("answer", text='{"fine": true}', outcome="optimal")


@dataclass
class Script:
    """Stands in for a process that solves: it says this, and then nothing."""

    says: list[Message | Exception]
    waited_s: list[float] = field(default_factory=list)

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def next(self, within_s: float) -> Message | None:
        self.waited_s.append(within_s)
        if not self.says:
            time.sleep(within_s)
            return None
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


class Shaky(WorkStore):
    """A store that is away the first time that progress comes."""

    away = True

    def beat(self, claim: Claim, progress: Sequence[dict[str, Any]] = ()) -> Verdict:
        if progress and self.away:
            self.away = False
            raise OperationalError("beat", {}, Exception("away"))
        return super().beat(claim, progress)


def told(objective: float) -> Message:
    parts = {"elapsed_s": 0.1, "bound": None, "gap": None, "policy": "", "model": "", "hypervolume": None}
    return Message("progress", {**parts, "objective": objective, "front": None})


@pytest.fixture
def where(tmp_path: Path) -> str:
    return str(tmp_path / "planner.db")


@pytest.fixture
def jobs(database: Database) -> JobStore:
    return JobStore(database, LIMITS)


@contextmanager
def scripted(
    monkeypatch: pytest.MonkeyPatch, jobs: JobStore, work: WorkStore, *scripts: Script, lease_s: float = LIMITS.lease_s
) -> Iterator[Workers]:
    """A worker whose solves follow these, one after the other."""
    left = list(scripts)
    monkeypatch.setattr(module, "Solving", lambda *_: left.pop(0))
    with Workers(jobs, work, replace(LIMITS, lease_s=lease_s), slots=1) as workers:
        yield workers


def test_whatever_a_job_does_to_its_worker_the_next_is_solved(
    monkeypatch: pytest.MonkeyPatch, jobs: JobStore, work: WorkStore
) -> None:
    bad, good = submit(jobs), submit(jobs, 1)
    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    broken = [Script([RuntimeError("boom")]) for _ in range(LIMITS.max_attempts)]
    with scripted(monkeypatch, jobs, work, *broken, Script([ANSWER])):
        assert until(jobs, good, lambda job: job.has_ended).status == "done"
    failed = there(jobs.get(bad))
    assert (failed.status, failed.attempt) == ("failed", LIMITS.max_attempts)
    assert "boom" in failed.error


def test_nothing_that_was_told_is_lost_to_a_store_that_is_away_for_a_moment(
    monkeypatch: pytest.MonkeyPatch, database: Database, jobs: JobStore
) -> None:
    job = submit(jobs)
    with scripted(monkeypatch, jobs, Shaky(database, LIMITS), Script([told(2.0), ANSWER])):
        until(jobs, job, lambda job: job.has_ended)
    events, _ = jobs.events(job, 0)
    data = [json.loads(event.data) for event in events if event.kind == "progress"]
    assert [each["objective"] for each in data] == [2.0]


def test_a_job_that_is_cancelled_ends(monkeypatch: pytest.MonkeyPatch, jobs: JobStore, work: WorkStore) -> None:
    job = submit(jobs)
    with scripted(monkeypatch, jobs, work, Script([]), Script([ANSWER])):
        until(jobs, job, lambda job: job.status == "running")
        jobs.cancel(job)
        ended = until(jobs, job, lambda job: job.has_ended)
        assert (ended.status, ended.error) == ("cancelled", "cancelled while it ran")
        submit(jobs)
        assert until(jobs, job, lambda job: job.has_ended).status == "done"


@pytest.mark.parametrize("lease_s", [1.0, 15.0])
def test_a_worker_says_several_times_within_a_lease_that_it_lives(
    monkeypatch: pytest.MonkeyPatch, jobs: JobStore, work: WorkStore, lease_s: float
) -> None:
    job, script = submit(jobs), Script([told(1.0), ANSWER])
    with scripted(monkeypatch, jobs, work, script, lease_s=lease_s):
        until(jobs, job, lambda job: job.has_ended)
    assert max(script.waited_s) <= lease_s / 8
