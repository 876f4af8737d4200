"""What the OpenAPI description says holds for whatever is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("schemathesis", reason="the checker of descriptions is an extra")

import schemathesis
from edgeplan.interface.planner.app import PlannerApp, create_app
from edgeplan.interface.planner.database import Database
from edgeplan.interface.planner.limits import PlannerLimits
from edgeplan.interface.planner.records import Question
from edgeplan.interface.planner.store import JobStore
from edgeplan.interface.serving.http.gate import AppSettings
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

KNOWN, PROFILE = "0" * 64, "a" * 64
# A list of numbers where a text is wanted may be read as one, and what fits the description may still be no scenario.
CHECKS_OF_TASTE = [negative_data_rejection, positive_data_acceptance]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlannerApp]:
    database = Database(str(tmp_path_factory.mktemp("store") / "planner.db"))
    limits = PlannerLimits()
    jobs = JobStore(database, limits)
    jobs.add_profile(PROFILE, ("m0",), "{}")
    jobs.submit(Question(KNOWN, "known", "plan", "auto", 1.0, 0, "{}", PROFILE))
    app = create_app(jobs, limits, AppSettings(max_request_bytes=2**20))
    app.closing = lambda: True  # nobody works on the job: its events would never end
    yield app
    database.close()


def check_all(app: PlannerApp, examples: int) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    for result in schema.get_all_operations():
        check(result.ok(), examples)


def check(operation: Any, examples: int) -> None:
    names = {parameter.name for parameter in operation.path_parameters}

    @given(
        case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)),
        known=st.sampled_from([KNOWN, "f" * 64, "%00", "é"]),
    )
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    def holds(case: Any, known: str) -> None:
        if "job_id" in names:
            case.path_parameters["job_id"] = known
        response = case.call()
        case.validate_response(response, excluded_checks=CHECKS_OF_TASTE)
        assert response.status_code < 500 or response.status_code == 503, response.text

    holds()


def test_the_description_holds(app: PlannerApp) -> None:
    check_all(app, 3)


@pytest.mark.slow
def test_the_description_holds_for_long(app: PlannerApp) -> None:
    check_all(app, 200)


def test_every_route_says_what_it_answers(app: PlannerApp) -> None:
    for path, methods in app.openapi()["paths"].items():
        for operation in methods.values():
            responses = operation["responses"]
            assert responses.keys() >= {"400", "401", "408", "413", "415", "431", "500", "503"}, path
            assert "422" not in responses
            assert operation["description"], path
            for status, response in responses.items():
                assert response["description"], (path, status)
                assert "content" in response or status == "204", (path, status)


def test_the_page_asks_for_nothing_but_the_service() -> None:
    from edgeplan.interface.planner import app as module

    page = Path(module.__file__).with_name("page.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 40_000
    for means in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert means not in page
    assert page.count("http://") + page.count("https://") == page.count("http://www.w3.org/2000/svg") == 1
    assert "default-src 'none'" in page
