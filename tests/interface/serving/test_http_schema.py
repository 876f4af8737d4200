"""What the OpenAPI description says holds for whatever is sent: status codes, content types, schemas, no failure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")

from edgeplan.interface.serving.app import AppSettings, create_app
from edgeplan.interface.serving.engine import Engine, EngineSettings
from edgeplan.interface.serving.http.described import DescribedApp
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ...conftest import Toys
from ..described import refuse_other_answers, refuse_undescribed

MODELS = ("left", "right", "%00", "..%2f", "é")


@pytest.fixture(scope="module")
def app(toys: Toys) -> Iterator[DescribedApp]:
    with Engine(toys.problem, toys.whole(), toys.files, EngineSettings(admission=False, adapt=False)) as engine:
        yield create_app(engine, AppSettings(max_request_bytes=2**20))


def cancel_jobs(app: DescribedApp) -> None:
    """End the jobs that wait: beyond eight of them the next is refused."""
    client = TestClient(app)
    for job in client.get("/edgeplan/jobs").json():
        if job["status"] in ("queued", "running"):
            client.delete(f"/edgeplan/jobs/{job['id']}")


def test_the_description_holds(app: DescribedApp) -> None:
    refuse_other_answers(app, 5, "model", MODELS, settle=lambda: cancel_jobs(app))


@pytest.mark.slow
def test_the_description_holds_for_long(app: DescribedApp) -> None:
    refuse_other_answers(app, 200, "model", MODELS, settle=lambda: cancel_jobs(app))


def test_every_route_says_what_it_answers(app: DescribedApp) -> None:
    document = app.openapi()
    assert document["paths"]["/v2/models/{model}/infer"]["post"]["requestBody"]["required"]
    assert "InferenceRequest" in document["components"]["schemas"]
    refuse_undescribed(app, without_content=("204", "303"))


NUMBERS = st.one_of(st.integers(), st.floats(), st.booleans(), st.sampled_from([0, 1, 1152, 4608, 2**31, 2**63, -1]))
ANYTHING = st.recursive(
    st.one_of(st.none(), NUMBERS, st.text(max_size=5), st.sampled_from(["image", "FP32", "BYTES"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data())
@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_what_nearly_is_a_request_is_answered_or_refused(app: DescribedApp, toys: Toys, data: st.DataObject) -> None:
    image = toys.feeds()["image"]
    tensor: dict[str, Any] = {"name": "image", "datatype": "FP32", "shape": [1, 8, 12, 12]}
    tensor["parameters"] = {"binary_data_size": image.nbytes}
    request: dict[str, Any] = {"inputs": [tensor], "parameters": {"binary_data_output": True}, "id": "a"}
    whole = data.draw(st.booleans())
    for _ in range(data.draw(st.integers(0, 2))):
        part = data.draw(st.sampled_from([request, tensor, tensor["parameters"]]))
        if isinstance(part, dict):
            part[data.draw(st.sampled_from([*part, "data", "outputs", "timeout"]))] = data.draw(ANYTHING)
    head = json.dumps(request).encode()
    cut = len(head) if whole else data.draw(st.integers(0, len(head) + 10))
    content = head + image.tobytes()[: data.draw(st.sampled_from([image.nbytes, 0, 17, image.nbytes - 1]))]
    answer = TestClient(app).post(
        "/v2/models/left/infer", content=content, headers={"Inference-Header-Content-Length": str(cut)}
    )
    assert answer.status_code in (200, 400, 503)
    if answer.status_code != 200:
        assert answer.json()["error"]
