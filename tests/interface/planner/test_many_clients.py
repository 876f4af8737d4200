"""Many clients at once: neither those that follow nor those whose requests take long keep others out."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgeplan.interface.planner import app as module
from edgeplan.interface.planner import streams
from edgeplan.interface.planner.app import create_app
from edgeplan.interface.planner.store import JobStore

from .conftest import LIMITS
from .loopback import Served, served
from .stored import submit


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """One that lets a single client follow."""
    monkeypatch.setattr(streams, "_LOOK_S", 0.02)
    with served(tmp_path, workers=0, limits=replace(LIMITS, max_streams=1)) as service:
        yield service


def asked(service: Served, path: str, body: Any = None) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    text = None if body is None else json.dumps(body)
    connection.request("GET" if body is None else "POST", path, text, {"Content-Type": "application/json"})
    return connection, connection.getresponse()


def status_of(service: Served, path: str, body: Any = None) -> int:
    connection, answer = asked(service, path, body)
    answer.close()
    connection.close()
    return answer.status


def test_who_follows_takes_a_place_at_once_and_gives_it_back(jobs: JobStore) -> None:
    app = create_app(jobs, replace(LIMITS, max_streams=2))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"/jobs/{submit(jobs)}/events",
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


def test_a_client_that_goes_away_gives_its_place_back(service: Served) -> None:
    path = f"/jobs/{submit(service.jobs)}/events"
    first, following = asked(service, path)
    assert following.readline() == b"id: 1\n"
    second, refused = asked(service, path)
    assert refused.status == 503
    assert "follow" in json.load(refused)["error"]
    second.close()
    following.close()
    first.close()
    for _ in range(200):
        if (status := status_of(service, path)) == 200:
            break
        time.sleep(0.05)
    assert status == 200


def test_requests_that_take_long_leave_room_for_others(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = threading.Event()

    def check(*_: object) -> None:
        checked.wait(60)
        raise module.Refusal(400, "profile", "another")

    monkeypatch.setattr(module, "kept_profile", check)
    many = 60  # more than there are threads
    with ThreadPoolExecutor(many) as pool:
        try:
            waiting = [pool.submit(status_of, service, "/profiles", {}) for _ in range(many)]
            time.sleep(0.5)
            assert status_of(service, "/health") == 200
            assert not any(each.done() for each in waiting)
        finally:
            checked.set()
        assert {each.result(60) for each in waiting} == {400}
