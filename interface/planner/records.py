"""Jobs, events and profiles as the store hands them out: plain and frozen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # a process that solves knows questions, and no database
    from .tables import EventRow, JobRow, ProfileRow

JobStatus = Literal["queued", "running", "done", "failed", "cancelled"]
Asked = Literal["plan", "front"]

ENDED: frozenset[JobStatus] = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True)
class Question:
    """What a job is to answer.

    Attributes
    ----------
    id : str
        Digest of all that the answer may depend on.
    name : str
        Of the scenario.
    objective : {'plan', 'front'}
    method : str
    time_limit_s : float
    seed : int
    scenario : str
        JSON.
    profile_id : str
        Digest of the profile.
    """

    id: str
    name: str
    objective: Asked
    method: str
    time_limit_s: float
    seed: int
    scenario: str
    profile_id: str


@dataclass(frozen=True)
class Claim:
    """A job that a worker has taken: its question, the profile as JSON, and what proves that it is still his."""

    token: str
    question: Question
    profile: str
    attempt: int


@dataclass(frozen=True)
class StoredEvent:
    """Something that happened to a job.

    Attributes
    ----------
    number : int
        Within the job, without gaps; where it is begun anew they go on.
    kind : {'status', 'progress'}
    data : str
        JSON.
    """

    number: int
    kind: str
    data: str


@dataclass(frozen=True)
class JobRecord:
    """A job as it is told; times are Unix seconds by the database's clock, 0 before it came to that."""

    id: str
    name: str
    objective: str
    method: str
    time_limit_s: float
    seed: int
    profile_id: str
    status: str
    attempt: int
    asked: int
    created_s: float
    started_s: float
    ended_s: float
    outcome: str
    progress: dict[str, Any]
    error: str

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it unless it is asked for again."""
        return self.status in ENDED


@dataclass(frozen=True)
class ProfileRecord:
    """A profile that was uploaded: its digest and the models that it has."""

    id: str
    models: tuple[str, ...]
    created_s: float


@dataclass(frozen=True)
class Counts:
    """The store at a glance.

    Attributes
    ----------
    jobs : dict of str to int
        By status.
    oldest_queued_s : float
        Since when the job waits that has waited longest, seconds; 0 where none waits.
    workers : int
        Processes that were heard of lately.
    slots : int
        Jobs that they work on at once.
    profiles : int
    """

    jobs: dict[str, int]
    oldest_queued_s: float
    workers: int
    slots: int
    profiles: int


def job_record(row: JobRow) -> JobRecord:
    """A job's row, without what is long."""
    return JobRecord(
        row.id,
        row.name,
        row.objective,
        row.method,
        row.time_limit_s,
        row.seed,
        row.profile_id,
        row.status,
        row.attempt,
        row.asked,
        row.created_s,
        row.started_s,
        row.ended_s,
        row.outcome,
        json.loads(row.progress),
        row.error,
    )


def question_of_row(row: JobRow) -> Question:
    """What a job's row asks."""
    asked: Asked = "front" if row.objective == "front" else "plan"
    return Question(row.id, row.name, asked, row.method, row.time_limit_s, row.seed, row.scenario, row.profile_id)


def profile_record(row: ProfileRow) -> ProfileRecord:
    """A profile's row, without the profile."""
    return ProfileRecord(row.id, tuple(json.loads(row.models)), row.created_s)


def stored_event(row: EventRow) -> StoredEvent:
    """An event's row."""
    return StoredEvent(row.number, row.kind, row.data)
