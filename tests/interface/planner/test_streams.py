"""Streams of events: what breaks their silence, and what ends them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from edgeplan.interface.planner import streams
from edgeplan.interface.planner.store import JobStore
from sqlalchemy.exc import OperationalError

from .stored import submit


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(streams, "_LOOK_S", 0.02)


def test_silence_is_broken_and_ends_with_the_server(jobs: JobStore) -> None:
    job = submit(jobs)
    parts: list[bytes] = []

    async def follow() -> None:
        async for part in streams.stream(jobs, job, 0, lambda: len(parts) > 3):
            parts.append(part)

    asyncio.run(follow())
    first, *silence = parts
    assert first.startswith(b"id: 1\nevent: status\n")
    assert len(silence) == 3
    assert all(part.startswith(b": ") for part in silence)
    assert all(part.endswith(b"\n\n") for part in silence)


def test_a_store_that_goes_away_ends_a_stream(jobs: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    job, look = submit(jobs), jobs.events

    def once(job_id: str, after: int) -> Any:
        if after:
            raise OperationalError("select", {}, Exception("gone"))
        return look(job_id, after)

    monkeypatch.setattr(jobs, "events", once)

    async def follow() -> list[bytes]:
        return [part async for part in streams.stream(jobs, job, 0, lambda: False)]

    assert len(asyncio.run(follow())) == 1
