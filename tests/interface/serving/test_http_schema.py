"""What the OpenAPI description says holds for whatever is sent: status codes, content types, schemas, no failure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("schemathesis", reason="the checker of descriptions is an extra")
pytest.importorskip("fastapi", reason="the server's packages are an extra")

import schemathesis
from edgeplan.interface.serving.app import AppSettings, create_app
from edgeplan.interface.serving.engine import Engine, EngineSettings
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from ...conftest import Toys

TAKEN_BY_ALL = {"400", "401", "408", "413", "415", "500", "503"}


@pytest.fixture(scope="module")
def app(toys: Toys) -> Iterator[FastAPI]:
    with Engine(toys.problem, toys.whole(), toys.files, EngineSettings(admission=False, adapt=False)) as engine:
        yield create_app(engine, AppSettings(max_request_bytes=2**20))


def check_all(app: FastAPI, examples: int) -> None:
    """Send what fits the description and what does not, to every route."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    for result in schema.get_all_operations():
        check(result.ok(), examples)


def check(operation: Any, examples: int) -> None:
    names = {parameter.name for parameter in operation.path_parameters}

    @given(
        case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)),
        model=st.sampled_from(["left", "right", "%00", "..%2f", "é"]),
    )
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    def holds(case: Any, model: str) -> None:
        if "model" in names:  # one that is there, more often than by chance
            case.path_parameters["model"] = model
        response = case.call()
        case.validate_response(response, excluded_checks=CHECKS_OF_TASTE)
        assert response.status_code < 500 or response.status_code == 503, response.text

    holds()


CHECKS_OF_TASTE = [
    # A list of numbers where a text is wanted may be read as one, and parameters that nobody knows are let pass.
    negative_data_rejection,
    # A body that fits the description may still not fit the model, which the description does not know.
    positive_data_acceptance,
]


def test_the_description_holds(app: FastAPI) -> None:
    check_all(app, 5)


@pytest.mark.slow
def test_the_description_holds_for_long(app: FastAPI) -> None:
    check_all(app, 200)


def test_every_route_says_what_it_answers(app: FastAPI) -> None:
    document = app.openapi()
    assert document["paths"]["/v2/models/{model}/infer"]["post"]["requestBody"]["required"]
    assert "InferenceRequest" in document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for operation in methods.values():
            responses = operation["responses"]
            assert responses.keys() >= TAKEN_BY_ALL, path
            assert "422" not in responses
            for status, response in responses.items():
                assert response["description"], (path, status)
                assert "content" in response or status in ("204", "303"), (path, status)


NUMBERS = st.one_of(st.integers(), st.floats(), st.booleans(), st.sampled_from([0, 1, 1152, 4608, 2**31, 2**63, -1]))
ANYTHING = st.recursive(
    st.one_of(st.none(), NUMBERS, st.text(max_size=5), st.sampled_from(["image", "FP32", "BYTES"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data())
@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_what_nearly_is_a_request_is_answered_or_refused(app: FastAPI, toys: Toys, data: st.DataObject) -> None:
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
