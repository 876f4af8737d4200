"""The service without workers: what is answered and refused, and answers that a worker has handed in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx", reason="the client of the tests")

from edgeplan.formulation import Plan, evaluate
from edgeplan.interface.planner.answers import answer, case_of
from edgeplan.interface.planner.app import create_app
from edgeplan.interface.planner.database import Database
from edgeplan.interface.planner.limits import PlannerLimits
from edgeplan.interface.planner.store import JobStore
from edgeplan.interface.planner.work_store import WorkStore
from edgeplan.interface.serving.http.gate import AppSettings
from edgeplan.interface.units import jsonable
from edgeplan.solvers.testing import ProblemKind
from fastapi.testclient import TestClient

from .asked import SMALL, asked_for

LIMITS = PlannerLimits(max_queued=3)
NOBODY = "f" * 64


@dataclass(frozen=True)
class Desk:
    """A service on an SQLite store, and a worker's side of the same store."""

    client: TestClient
    work: WorkStore
    jobs: JobStore

    def answered(self) -> str:
        """Answer the next question here, as a worker's process would."""
        claim = self.work.claim()
        assert claim is not None

        def tell(data: dict[str, Any]) -> None:
            assert self.work.beat(claim, [data]) == "go on"

        outcome, result = answer(claim.question, claim.profile, tell)
        assert self.work.finish(claim, "done", result=json.dumps(jsonable(result)), outcome=outcome)
        return claim.question.id


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    database = Database(str(tmp_path / "planner.db"))
    jobs = JobStore(database, LIMITS)
    with TestClient(create_app(jobs, LIMITS)) as client:
        yield Desk(client, WorkStore(database, LIMITS), jobs)
    database.close()


def events_of(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def test_a_plan_from_question_to_report(desk: Desk) -> None:
    asked = asked_for(time_limit_s=4.0)
    submitted = desk.client.post("/jobs", json=asked)
    assert submitted.status_code == 202
    job = submitted.json()
    place = submitted.headers["Location"]
    assert place == f"/jobs/{job['id']}"
    assert desk.client.post("/jobs", json=asked).json()["asked"] == 2
    early = desk.client.get(f"{place}/result")
    assert early.status_code == 409
    assert "queued" in early.json()["error"]
    desk.answered()
    again = desk.client.post("/jobs", json=asked)
    assert again.status_code == 200
    assert again.json()["status"] == "done"
    result = desk.client.get(f"{place}/result").json()
    question, profile, _ = desk.jobs.answer(job["id"]) or pytest.fail("no answer")
    case = case_of(question, profile)
    evaluation = evaluate(case.problem, Plan.model_validate(result["plan"]))
    assert evaluation.feasible
    assert result["objective"] == pytest.approx(evaluation.objective)
    assert result["evaluation"]["objective"] == pytest.approx(evaluation.objective)
    assert result["policies"]
    report = desk.client.get(f"{place}/report")
    assert report.status_code == 200
    assert "<html" in report.text
    assert asked["scenario"]["name"] in report.text


def test_events_bracket_the_result_and_can_be_resumed(desk: Desk) -> None:
    job = desk.client.post("/jobs", json=asked_for(time_limit_s=4.0, method="cp_sat")).json()["id"]
    desk.answered()
    answer = desk.client.get(f"/jobs/{job}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer.text)
    assert [number for number, *_ in events] == list(range(1, len(events) + 1))
    assert [data["status"] for _, kind, data in events if kind == "status"] == ["queued", "running", "done"]
    told = [data for _, kind, data in events if kind == "progress"]
    result = desk.client.get(f"/jobs/{job}/result").json()
    assert told[-1]["objective"] == result["objective"]
    for data in told:
        assert data["objective"] is None or data["objective"] >= result["objective"]
        assert data["bound"] is None or data["bound"] <= result["objective"]
    rest = desk.client.get(f"/jobs/{job}/events", headers={"Last-Event-ID": "2"}).text
    assert events_of(rest) == events[2:]
    assert events_of(desk.client.get(f"/jobs/{job}/events?after=2").text) == events[2:]
    over = desk.client.get(f"/jobs/{job}/events", headers={"Last-Event-ID": str(len(events))})
    assert (over.status_code, over.content) == (204, b"")


def test_fronts_of_every_model(desk: Desk) -> None:
    asked = asked_for(ProblemKind(objective="response", models=2, layers=5, streams=True, memory_slack=None))
    job = desk.client.post("/jobs", json={**asked, "objective": "front", "time_limit_s": 60}).json()["id"]
    desk.answered()
    result = desk.client.get(f"/jobs/{job}/result").json()
    assert result["status"] == "optimal"
    assert [front["model"] for front in result["fronts"]] == ["m0", "m1"]
    for front in result["fronts"]:
        figures = [(point["latency_us"], point["memory_bytes"]) for point in front["points"]]
        assert figures == sorted(figures)
        assert front["n_points"] == len(figures) > 0
        Plan.model_validate(front["points"][0]["plan"])
    told = [data for _, kind, data in events_of(desk.client.get(f"/jobs/{job}/events").text) if kind == "progress"]
    assert {data["model"] for data in told} == {"m0", "m1"}
    assert told[-1]["front"]
    assert desk.client.get(f"/jobs/{job}/report").status_code == 200


def test_a_report_is_there_where_one_of_several_fronts_is(desk: Desk) -> None:
    asked = asked_for(ProblemKind(objective="response", models=2, layers=3, streams=True, memory_slack=None))
    job = desk.client.post("/jobs", json={**asked, "objective": "front", "time_limit_s": 60}).json()["id"]
    claim = desk.work.claim()
    assert claim is not None
    _, result = answer(claim.question, claim.profile, lambda _: None)
    result["fronts"][0] |= {"status": "timeout", "points": [], "n_points": 0}
    assert desk.work.finish(claim, "done", result=json.dumps(jsonable(result)), outcome="timeout")
    report = desk.client.get(f"/jobs/{job}/report")
    assert report.status_code == 200
    assert "m1" in report.text
    # Whatever is in it, it runs without the origin of the page, and so without the token that is kept there.
    assert report.headers["Content-Security-Policy"] == "sandbox allow-scripts allow-downloads"


def test_an_infeasible_question_is_answered(desk: Desk) -> None:
    asked = asked_for()
    for stream in asked["scenario"]["streams"]:
        stream["deadline_us"] = 0.5
    job = desk.client.post("/jobs", json={**asked, "method": "cp_sat"}).json()["id"]
    desk.answered()
    view = desk.client.get(f"/jobs/{job}").json()
    assert (view["status"], view["outcome"]) == ("done", "infeasible")
    assert desk.client.get(f"/jobs/{job}/result").json()["clashes"]
    assert desk.client.get(f"/jobs/{job}/report").status_code == 409


def test_profiles_are_uploaded_once_and_named(desk: Desk) -> None:
    asked = asked_for()
    first = desk.client.post("/profiles", json=asked["profile"])
    assert first.status_code == 201
    profile = first.json()["id"]
    assert first.json()["models"] == ["m0", "m1"]
    assert desk.client.post("/profiles", json=asked["profile"]).status_code == 200
    assert desk.client.get(first.headers["Location"]).json() == first.json()
    by_name = desk.client.post("/jobs", json={"scenario": asked["scenario"], "profile_id": profile})
    inline = desk.client.post("/jobs", json=asked)
    assert by_name.json()["id"] == inline.json()["id"]
    unknown = desk.client.post("/jobs", json={"scenario": asked["scenario"], "profile_id": NOBODY})
    assert unknown.status_code == 404
    assert "Upload" in unknown.json()["error"]


def test_refusals_have_a_status_and_a_reason(desk: Desk) -> None:
    asked = asked_for()
    model = asked["profile"]["models"][0]
    first, *others = model["graph"]["layers"]
    endless = {**model, "graph": {**model["graph"], "layers": [{**first, "weight_bytes": 1e999}, *others]}}
    nested = {**model, "graph": {**model["graph"], "more": reduce(lambda inner, _: [inner], range(500), [])}}
    for changed, status, said in (
        ({"profile": None}, 400, "neither"),
        ({"profile_id": NOBODY}, 400, "both"),
        ({"profile": {"models": 1}}, 400, "profile"),
        ({"scenario": "a: ["}, 400, "YAML"),
        ({"scenario": "name: !!bool maybe"}, 400, "YAML"),
        ({"scenario": "name: !!int ''"}, 400, "YAML"),
        ({"scenario": "name: !!timestamp today"}, 400, "YAML"),
        ({"scenario": "name: 1" + 400 * ":1" + ".0"}, 400, "YAML"),
        ({"scenario": {**asked["scenario"], "name": "x" * 300_000}}, 400, "at most"),
        ({"profile": {**asked["profile"], "models": [endless]}}, 400, "written down"),
        ({"profile": {**asked["profile"], "models": [nested]}}, 400, "written down"),
        ({"scenario": {**asked["scenario"], "nonsense": 1}}, 400, "nonsense"),
        ({"scenario": {**asked["scenario"], "name": "\ud800"}}, 400, ""),
        ({"time_limit_s": 1e9}, 400, "time limit"),
        ({"time_limit_s": 0}, 400, "time_limit_s"),
        ({"seed": -1}, 400, "seed"),
        ({"method": "magic"}, 400, "magic"),
        ({"objective": "fame"}, 400, "objective"),
        ({"more": 1}, 400, "more"),
    ):
        content = json.dumps({**asked, **changed})
        answer = desk.client.post("/jobs", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, (changed, answer.text)
        assert said in answer.json()["error"]
    for path in ("", "/events", "/result", "/report"):
        unknown = desk.client.get(f"/jobs/{NOBODY}{path}")
        assert unknown.status_code == 404
        assert "POST /jobs" in unknown.json()["error"]
        assert desk.client.get(f"/jobs/nonsense{path}").status_code == 400
    assert desk.client.delete(f"/jobs/{NOBODY}").status_code == 404
    assert desk.client.put("/jobs").status_code == 405
    assert desk.jobs.jobs(None, 10) == []


def test_a_full_queue_is_refused_for_now(desk: Desk) -> None:
    for seed in range(LIMITS.max_queued):
        assert desk.client.post("/jobs", json=asked_for(seed=seed)).status_code == 202
    refused = desk.client.post("/jobs", json=asked_for(seed=99))
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert desk.client.post("/jobs", json=asked_for(seed=0)).status_code == 202
    latest = desk.client.get("/jobs?limit=2&status=queued").json()
    assert len(latest) == 2
    cancelled = desk.client.delete(f"/jobs/{latest[0]['id']}").json()
    assert cancelled["status"] == "cancelled"
    assert desk.client.get(f"/jobs/{latest[0]['id']}/result").status_code == 409
    assert desk.client.post("/jobs", json=asked_for(seed=99)).status_code == 202


def test_the_token_is_wanted_for_all_but_health_and_the_bare_page(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "planner.db"))
    app = create_app(JobStore(database, LIMITS), LIMITS, AppSettings("s3cret", 1000))
    client = TestClient(app)
    for path in ("/jobs", "/metrics", "/openapi.json", "/example", f"/jobs/{NOBODY}/events"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.post("/jobs", json={}).status_code == 401
    assert client.get("/health").status_code == client.get("/").status_code == 200
    assert "frame-ancestors 'none'" in client.get("/").headers["Content-Security-Policy"]
    right = {"Authorization": "Bearer s3cret"}
    assert client.get("/jobs", headers=right).json() == []
    long = client.post("/jobs", content=b"x" * 2000, headers=right)
    assert long.status_code == 413
    packed = client.post("/jobs", content=b"x", headers={**right, "Content-Encoding": "gzip"})
    assert packed.status_code == 415
    database.close()


def test_a_store_that_is_away_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.exc import OperationalError

    def fail(*_: object) -> None:
        raise OperationalError("select", {}, Exception("connection refused"))

    monkeypatch.setattr(desk.jobs, "counts", fail)
    answer = desk.client.get("/health")
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert "log" in answer.json()["error"]
    # Health is told to everybody; which host refused whom is not.
    assert "connection refused" not in answer.text


def test_an_error_of_ours_is_not_the_store_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.exc import ProgrammingError

    def fail(*_: object) -> None:
        raise ProgrammingError("select", {}, Exception("no such column"))

    with Database(str(tmp_path / "planner.db")) as database:
        jobs = JobStore(database, LIMITS)
        monkeypatch.setattr(jobs, "counts", fail)
        answer = TestClient(create_app(jobs, LIMITS), raise_server_exceptions=False).get("/health")
    assert answer.status_code == 500
    assert "no such column" not in answer.text


def test_metrics_and_example(desk: Desk) -> None:
    example = desk.client.get("/example").json()
    job = desk.client.post("/jobs", json={**example, "time_limit_s": 2}).json()
    assert job["status"] == "queued"
    metrics = desk.client.get("/metrics").text
    assert 'edgeplan_planner_jobs{status="queued"} 1.0' in metrics


def test_two_kinds_of_questions_do_not_share_an_answer(desk: Desk) -> None:
    asked = asked_for(SMALL)
    ids = {desk.client.post("/jobs", json={**asked, "objective": o}).json()["id"] for o in ("plan", "front")}
    assert len(ids) == 2
