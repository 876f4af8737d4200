"""Re-solves, earlier plans, other scenarios and fronts, asked for over HTTP: jobs that are polled and cancelled."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")

from edgeplan.formulation import Plan
from edgeplan.interface.serving.engine import Engine
from edgeplan.interface.serving.http.refusal import Refusal
from edgeplan.interface.serving.jobs import Job, JobFailed, Jobs
from fastapi.testclient import TestClient

from ...conftest import ORT, Toys
from .test_app import request_for

WAIT_S = 60


def ended(client: TestClient, answer: Any) -> dict[str, Any]:
    """Poll a job that was taken until it has ended."""
    assert answer.status_code == 202, answer.text
    where = answer.headers["Location"]
    until_s = time.monotonic() + WAIT_S
    while (job := client.get(where).json())["status"] in {"queued", "running"} and time.monotonic() < until_s:
        time.sleep(0.05)
    return job


def test_plans_are_exchanged_and_come_back(toys: Toys, engine: Engine, client: TestClient) -> None:
    assert client.post("/edgeplan/rollback").status_code == 404, "there is none before the first"
    engine.runtime.swap(toys.problem, toys.plan(lambda n: [(0, n // 3, ORT), (n // 3, n, ORT)]))
    version = client.get("/edgeplan/plan").json()["version"]
    job = ended(client, client.post("/edgeplan/rollback"))
    assert (job["status"], job["result"]["origin"]) == ("done", "rollback")
    shown = client.get("/edgeplan/plan").json()
    assert shown["version"] == version + 1
    assert Plan.model_validate(shown["plan"]) == toys.halved()
    assert ended(client, client.post("/edgeplan/rollback", json={"version": version}))["status"] == "done"
    assert client.post("/edgeplan/rollback", json={"version": 99}).status_code == 404
    assert client.post("/v2/models/left/infer", json=request_for(toys)).status_code == 200
    assert client.get("/edgeplan/decisions").json()[-1]["origin"] == "rollback"


def test_a_re_solve_is_a_job_with_a_decision(client: TestClient) -> None:
    job = ended(client, client.post("/edgeplan/resolve", json={"time_limit_s": 0.5}))
    assert job["status"] == "done"
    assert job["result"]["action"] in {"switched", "kept"}
    assert job["result"]["reason"].startswith("asked for")
    assert client.get("/edgeplan/jobs").json()[0]["id"] == job["id"]


def test_a_long_solve_is_cancelled(client: TestClient) -> None:
    answer = client.post("/edgeplan/resolve", json={"time_limit_s": 300})
    where = answer.headers["Location"]
    while client.get(where).json()["status"] == "queued":
        time.sleep(0.01)
    time.sleep(0.2)
    assert client.delete(where).status_code == 200
    job = ended(client, answer)
    assert job["status"] == "cancelled"
    assert job["error"]


@pytest.mark.slow
def test_a_front_is_found_beside_the_service(toys: Toys, client: TestClient) -> None:
    job = ended(client, client.post("/edgeplan/fronts", json={"model": "left", "time_limit_s": 5}))
    assert job["status"] == "done", job["error"]
    points = job["result"]["points"]
    assert points
    assert all(point["latency_us"] > 0 for point in points)
    latencies = [point["latency_us"] for point in points]
    assert job["result"]["plan"]["latency_us"] >= min(latencies)
    assert client.post("/edgeplan/fronts", json={"model": "nobody"}).status_code == 404


def test_what_was_not_started_from_a_scenario_cannot_change_it(client: TestClient) -> None:
    answer = client.post("/edgeplan/changes", json={"remove": ["left"]})
    assert answer.status_code == 409
    assert "started from a scenario" in answer.json()["error"]
    assert client.get("/edgeplan/scenario").json() == {}
    assert client.get("/edgeplan/history").json() == {"plans": [], "events": [], "trouble": None}
    assert client.get("/edgeplan/faults").json() == []


def test_predicted_is_held_against_observed(toys: Toys, client: TestClient) -> None:
    for _ in range(3):
        client.post("/v2/models/right/infer", json=request_for(toys))
    observed = client.get("/edgeplan/observed").json()["models"]["right"]
    assert observed["responses"]["count"] >= 3
    assert all(segment["predicted_us"] > 0 and segment["observed_us"] > 0 for segment in observed["segments"])


def test_jobs_run_one_after_the_other_and_few_wait(tmp_path: Path) -> None:
    gate = threading.Event()
    with Jobs() as jobs:
        running = jobs.submit("wait", lambda job: gate.wait(WAIT_S))
        while running.status != "running":
            time.sleep(0.01)
        waiting = [jobs.submit("quick", lambda job: job.id) for _ in range(8)]
        with pytest.raises(Refusal) as refused:
            jobs.submit("one more", lambda job: None)
        assert refused.value.status == 503
        assert jobs.cancel(waiting[3].id).status == "cancelled"
        gate.set()
        while not all(job.ended_s for job in waiting):
            time.sleep(0.01)
        assert [job.result for job in waiting] == [None if k == 3 else job.id for k, job in enumerate(waiting)]
        assert [job.started_s for job in waiting if job.started_s] == sorted(
            j.started_s for j in waiting if j.started_s
        )


def test_a_job_that_fails_does_not_stop_the_next() -> None:
    def failing(job: Job) -> None:
        raise ValueError("no")

    def told(job: Job) -> None:
        raise JobFailed("not found", {"tried": 3})

    with Jobs() as jobs:
        all_jobs = [jobs.submit("a", failing), jobs.submit("b", told), jobs.submit("c", lambda job: 1)]
        while not all(job.ended_s for job in all_jobs):
            time.sleep(0.01)
        assert [(job.status, job.result) for job in all_jobs] == [
            ("failed", None),
            ("failed", {"tried": 3}),
            ("done", 1),
        ]
        with pytest.raises(Refusal):
            jobs.get(99)
    with pytest.raises(Refusal, match="a service that stops"):
        jobs.submit("late", lambda job: None)


def test_old_jobs_are_forgotten() -> None:
    with Jobs() as jobs:
        for _ in range(130):
            job = jobs.submit("quick", lambda job: None)
            while not job.ended_s:
                time.sleep(0.0005)
        assert len(jobs.all) <= 101
