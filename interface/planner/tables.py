"""What the planning service keeps: one set of tables, for SQLite and PostgreSQL alike."""

from __future__ import annotations

from sqlalchemy import Double, ForeignKey, Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA_VERSION = "1"
DIGEST_LENGTH = 64


class Base(DeclarativeBase):
    """Of all tables. Times are Unix seconds by the database's clock; 0 before it came to that."""


class MetaRow(Base):
    """A fact about the store itself."""

    __tablename__ = "planner_meta"

    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class ProfileRow(Base):
    """A profile, under the digest of what it measured."""

    __tablename__ = "planner_profiles"

    id: Mapped[str] = mapped_column(String(DIGEST_LENGTH), primary_key=True)
    models: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text, deferred=True)
    created_s: Mapped[float] = mapped_column(Double)
    used_s: Mapped[float] = mapped_column(Double)


class JobRow(Base):
    """A question, how far it has come, and its answer. Its id is the digest of the question."""

    __tablename__ = "planner_jobs"

    id: Mapped[str] = mapped_column(String(DIGEST_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    objective: Mapped[str] = mapped_column(String(10))
    method: Mapped[str] = mapped_column(Text)
    time_limit_s: Mapped[float] = mapped_column(Double)
    seed: Mapped[int]
    scenario: Mapped[str] = mapped_column(Text, deferred=True)
    profile_id: Mapped[str] = mapped_column(ForeignKey(ProfileRow.id), index=True)
    status: Mapped[str] = mapped_column(String(10))
    attempt: Mapped[int] = mapped_column(default=0)
    claim: Mapped[str | None] = mapped_column(String(40), default=None)
    """Of the worker that runs it: whoever lost the claim can write nothing more."""
    lease_until_s: Mapped[float] = mapped_column(Double, default=0.0)
    cancel: Mapped[bool] = mapped_column(default=False)
    asked: Mapped[int] = mapped_column(default=1)
    n_events: Mapped[int] = mapped_column(default=0)
    created_s: Mapped[float] = mapped_column(Double)
    queued_s: Mapped[float] = mapped_column(Double)
    started_s: Mapped[float] = mapped_column(Double, default=0.0)
    ended_s: Mapped[float] = mapped_column(Double, default=0.0)
    outcome: Mapped[str] = mapped_column(String(20), default="")
    progress: Mapped[str] = mapped_column(Text, default="{}")
    error: Mapped[str] = mapped_column(Text, default="")
    result: Mapped[str | None] = mapped_column(Text, default=None, deferred=True)

    __table_args__ = (Index("ix_planner_jobs_waiting", "status", "queued_s"),)


class EventRow(Base):
    """Something that happened to a job, numbered within it."""

    __tablename__ = "planner_events"

    job_id: Mapped[str] = mapped_column(ForeignKey(JobRow.id), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    at_s: Mapped[float] = mapped_column(Double)
    kind: Mapped[str] = mapped_column(String(10))
    data: Mapped[str] = mapped_column(Text)


class WorkerRow(Base):
    """A process that works on jobs, as it was last heard of."""

    __tablename__ = "planner_workers"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int]
    slots: Mapped[int]
    seen_s: Mapped[float] = mapped_column(Double)
