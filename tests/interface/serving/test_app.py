"""The service over HTTP, on real sessions: the protocol, refusals, limits, the plan behind it."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")

from edgeplan.formulation import Plan, WorkloadError
from edgeplan.interface.serving.app import AppSettings, create_app
from edgeplan.interface.serving.engine import Engine, EngineSettings
from edgeplan.runtime_bridge.faults.health import BreakerSettings
from edgeplan.runtime_bridge.pipeline import Pipeline
from fastapi.testclient import TestClient
from pydantic import BaseModel

from ...conftest import Toys


def request_for(toys: Toys, seed: int = 0, **more: Any) -> dict[str, Any]:
    image = toys.feeds(seed)["image"]
    tensor = {"name": "image", "datatype": "FP32", "shape": list(image.shape), "data": image.ravel().tolist()}
    return {"inputs": [tensor], **more}


def test_answers_are_the_models(toys: Toys, client: TestClient) -> None:
    for name in toys.files:
        answer = client.post(f"/v2/models/{name}/infer", json=request_for(toys, 3, id="a")).json()
        (expected,) = toys.unsplit(name, toys.feeds(3)).values()
        (output,) = answer["outputs"]
        assert (answer["id"], answer["model_name"], output["shape"]) == ("a", name, list(expected.shape))
        got = np.array(output["data"], np.float32).reshape(expected.shape)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_metadata_health_and_statistics(toys: Toys, client: TestClient) -> None:
    assert client.get("/v2/health/live").status_code == client.get("/v2/health/ready").status_code == 200
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data", "statistics"]
    described = client.get("/v2/models/left/versions/1").json()
    assert described["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [1, 8, 12, 12]}]
    assert client.get("/v2/models/left/ready").json() == {"name": "left", "ready": True}

    def successes() -> int:
        (stats,) = client.get("/v2/models/left/stats").json()["model_stats"]
        return stats["inference_stats"]["success"]["count"]

    before = successes()
    client.post("/v2/models/left/infer", json=request_for(toys))
    assert successes() == before + 1
    metrics = client.get("/metrics").text
    assert f'edgeplan_requests_total{{model="left",outcome="in_time"}} {before + 1:.1f}' in metrics


def test_refusals_have_a_status_and_a_reason(toys: Toys, engine: Engine, client: TestClient) -> None:
    for path, status in (
        ("/v2/models/nobody/infer", 404),
        ("/v2/models/left/versions/2/infer", 404),
        ("/v2/models/..%2f..%2fetc%2fpasswd/infer", 404),
    ):
        assert client.post(path, json=request_for(toys)).status_code == status
    answer = client.post("/v2/models/left/infer", content=b"{")
    assert answer.status_code == 400
    assert "expected JSON" in answer.json()["error"]
    assert client.post("/v2/models/left/infer", content=b"", headers={"Content-Encoding": "gzip"}).status_code == 415
    small = TestClient(create_app(engine, AppSettings(max_request_bytes=100)))
    assert small.post("/v2/models/left/infer", json=request_for(toys)).status_code == 413


def test_a_token_is_asked_for_but_not_for_health(engine: Engine) -> None:
    client = TestClient(create_app(engine, AppSettings(token="secret")))
    assert client.get("/v2/health/ready").status_code == 200
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "secret"}):
        assert client.get("/v2", headers=headers).status_code == 401
    assert client.get("/v2", headers={"Authorization": "Bearer secret"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "token", "strangers"),
    [
        ("127.0.0.1", None, 421),
        ("127.0.0.2", None, 421),
        ("::1", None, 421),
        ("localhost", None, 421),
        ("127.0.0.1", "secret", 200),
        ("0.0.0.0", None, 200),
        ("192.0.2.1", None, 200),
        ("edge.example", None, 200),
        ("", None, 200),
    ],
)
def test_no_web_page_reaches_loopback_by_a_name_of_its_own(
    engine: Engine, host: str, token: str | None, strangers: int
) -> None:
    client = TestClient(create_app(engine, AppSettings(token, host=host)), headers={"Authorization": f"Bearer {token}"})
    own = f"[{host}]" if ":" in host else host
    for name, status in (
        ("localhost", 200),
        ("LocalHost:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("[::1]", 200),
        (own or "x", strangers if not own else 200),
        ("rebound.example:8000", strangers),
        ("localhost.rebound.example", strangers),
        ("127.0.0.1@rebound.example", strangers),
        ("", strangers),
    ):
        answer = client.get("/v2", headers={"Host": name})
        assert answer.status_code == status, name
        assert status == 200 or "EDGEPLAN_TOKEN" in answer.json()["error"]


def test_a_deadline_that_cannot_be_kept_is_refused_at_once(toys: Toys) -> None:
    with Engine(toys.problem, toys.halved(), toys.files, EngineSettings(adapt=False)) as engine:
        client = TestClient(create_app(engine))
        answer = client.post("/v2/models/left/infer", json=request_for(toys, parameters={"timeout": 1}))
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers
        assert "within its deadline" in answer.json()["error"]
        assert 'outcome="refused"} 1.0' in client.get("/metrics").text
        assert client.post("/v2/models/left/infer", json=request_for(toys)).status_code == 200


def test_the_plan_is_shown(toys: Toys, engine: Engine, client: TestClient) -> None:
    shown = client.get("/edgeplan/plan").json()
    assert shown["version"] == 0
    assert Plan.model_validate(shown["plan"]) == toys.halved()
    assert client.get("/edgeplan/plans/0").json() == shown
    assert client.get("/edgeplan/plans/1").status_code == 404
    assert client.get("/edgeplan/decisions").json() == []
    assert set(client.get("/edgeplan/prediction").json()["models"]) == set(toys.files)


def test_a_closed_engine_is_not_ready(toys: Toys) -> None:
    engine = Engine(toys.problem, toys.whole(), toys.files, EngineSettings(adapt=False))
    client = TestClient(create_app(engine))
    assert engine.close()
    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/v2/health/ready").status_code == 503
    assert client.post("/v2/models/left/infer", json=request_for(toys)).status_code == 503


def test_a_model_that_is_refused_for_failing_is_not_ready(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Pipeline.run_step

    def broken(self: Pipeline, *arguments: Any) -> None:
        if self.model == "left":
            raise RuntimeError("no such device")
        run(self, *arguments)

    with Engine(toys.problem, toys.halved(), toys.files, EngineSettings(admission=False, adapt=False)) as engine:
        client = TestClient(create_app(engine))
        monkeypatch.setattr(Pipeline, "run_step", broken)
        for _ in range(BreakerSettings().failures):
            assert client.post("/v2/models/left/infer", json=request_for(toys)).status_code == 500
        until_s = time.monotonic() + 10
        while client.get("/v2/models/left/ready").status_code == 200 and time.monotonic() < until_s:
            time.sleep(0.05)
        answer = client.get("/v2/models/left/ready")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert client.get("/v2/models/right/ready").status_code == 200


def test_a_request_that_fails_leaves_nothing_behind_for_the_garbage_collector(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, failing = Pipeline.run_step, [True]

    def broken(self: Pipeline, *arguments: Any) -> None:
        if failing[0]:
            raise RuntimeError("no such device")
        run(self, *arguments)

    with Engine(toys.problem, toys.halved(), toys.files, EngineSettings(adapt=False)) as engine:
        futures: list[weakref.ref[Any]] = []
        submit = engine.submit

        def watched(*arguments: Any, **named: Any) -> Any:
            future = submit(*arguments, **named)
            futures.append(weakref.ref(future))
            return future

        monkeypatch.setattr(engine, "submit", watched)
        monkeypatch.setattr(Pipeline, "run_step", broken)
        client = TestClient(create_app(engine))
        gc.collect()
        gc.disable()
        try:
            assert client.post("/v2/models/left/infer", json=request_for(toys)).status_code == 500
            late = request_for(toys, parameters={"timeout": 1})
            assert client.post("/v2/models/left/infer", json=late).status_code == 503
            until_s = time.monotonic() + 5  # the worker lets go after it has answered
            while any(future() for future in futures) and time.monotonic() < until_s:
                time.sleep(0.01)
            assert [future() for future in futures] == [None, None]
        finally:
            gc.enable()
            failing[0] = False


def test_without_the_token_only_health_and_the_page_are_shown(toys: Toys, engine: Engine) -> None:
    client = TestClient(create_app(engine, AppSettings(token="secret")))
    assert client.get("/edgeplan/").status_code == 200
    for path in ("/edgeplan/live", "/metrics", "/openapi.json", "/v2/models/left", "/v2/healthy", "/nothing"):
        assert client.get(path).status_code == 401
    assert client.post("/v2/models/left/infer", json=request_for(toys)).status_code == 401
    with_token = {"Authorization": "Bearer secret"}
    assert client.post("/v2/models/left/infer", json=request_for(toys), headers=with_token).status_code == 200


class Asked(BaseModel):
    rate_hz: float


def test_every_kind_of_error_is_told_alike(engine: Engine) -> None:
    app = create_app(engine)

    @app.post("/asked")
    async def asked(body: Asked) -> dict[str, float]:
        if body.rate_hz == 1:
            raise WorkloadError("rate", expected="another", got="1", remedy="Mend it.")
        if body.rate_hz == 2:
            raise ZeroDivisionError("a secret")
        return {"rate_hz": body.rate_hz}

    client = TestClient(app, raise_server_exceptions=False)
    for content, status, said in (
        (b'{"rate_hz": 1}', 400, "Mend it"),
        (b'{"rate_hz": 2}', 500, "failed inside"),
        (b'{"rate_hz": 3}', 200, ""),
        (b'{"rate_hz": "x"}', 400, "body.rate_hz"),
        (b'{"\\ud800": 1}', 400, "body.rate_hz"),
        (b'{"rate_hz": ' + b"1" * 5000 + b"}", 400, "parsing"),
        (b"[" * 10**5, 400, ""),
        (b"{", 400, ""),
        (b"", 400, ""),
    ):
        answer = client.post("/asked", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, answer.text
        assert status == 200 or said in answer.json()["error"]
        assert "secret" not in answer.text
    for method, path, status in (
        ("GET", "/v2/models/left/infer", 405),
        ("DELETE", "/v2", 405),
        ("GET", "/nothing", 404),
        ("GET", "/edgeplan/plans/" + "9" * 5000, 400),
        ("GET", "/v2/models/%ff%00", 404),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, bool(answer.json()["error"])) == (status, True)
        assert status != 405 or answer.headers["Allow"]
        assert path not in ("/v2", "/nothing") or "/openapi.json" in answer.json()["error"]


def test_a_failure_nobody_thought_of_is_told_without_its_words(
    toys: Toys, engine: Engine, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "submit", fail)
        answer = client.post("/v2/models/left/infer", json=request_for(toys))
    assert (answer.status_code, "secret" in answer.text) == (500, False)
    assert client.post("/v2/models/left/infer", json=request_for(toys)).status_code == 200
