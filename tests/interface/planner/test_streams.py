"""Streams of events: what breaks their silence, what ends them, and how many there are at once."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgeplan.interface.planner import streams
from edgeplan.interface.planner.app import create_app
from edgeplan.interface.planner.store import JobStore
from sqlalchemy.exc import OperationalError

from .asked import submitted
from .conftest import LIMITS
from .loopback import served


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(streams, "_LOOK_S", 0.02)


def test_silence_is_broken_and_ends_with_the_server(jobs: JobStore) -> None:
    job = submitted(jobs)
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
    job, look = submitted(jobs), jobs.events

    def once(job_id: str, after: int) -> Any:
        if after:
            raise OperationalError("select", {}, Exception("gone"))
        return look(job_id, after)

    monkeypatch.setattr(jobs, "events", once)

    async def follow() -> list[bytes]:
        return [part async for part in streams.stream(jobs, job, 0, lambda: False)]

    assert len(asyncio.run(follow())) == 1


def test_who_follows_takes_a_place_at_once_and_gives_it_back(jobs: JobStore) -> None:
    app = create_app(jobs, replace(LIMITS, max_streams=2))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"/jobs/{submitted(jobs)}/events",
        "raw_path": b"",
        "root_path": "",
        "query_string": b"",
        "headers": [],
    }

    async def follow_at_once(count: int) -> list[int]:
        statuses: list[int] = []
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        tasks = [asyncio.create_task(app(dict(scope), receive, send)) for _ in range(count)]
        while len(statuses) < count:
            await asyncio.sleep(0.01)
        gone.set()
        await asyncio.gather(*tasks)
        return sorted(statuses)

    async def twice() -> None:
        for _ in range(2):
            assert await follow_at_once(8) == 2 * [200] + 6 * [503]

    asyncio.run(twice())


def test_a_client_that_goes_away_gives_its_place_back(tmp_path: Path) -> None:
    with served(tmp_path, workers=0, limits=replace(LIMITS, max_streams=1)) as service:
        path = f"/jobs/{submitted(service.jobs)}/events"

        def asked() -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
            connection.request("GET", path)
            return connection, connection.getresponse()

        first, following = asked()
        assert following.readline() == b"id: 1\n"
        second, refused = asked()
        assert refused.status == 503
        assert "follow" in json.load(refused)["error"]
        second.close()
        following.close()
        first.close()
        for _ in range(200):
            connection, answer = asked()
            answer.close()
            connection.close()
            if answer.status == 200:
                break
            time.sleep(0.05)
        assert answer.status == 200
