"""What the OpenAPI description says holds for whatever is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from edgeplan.interface.planner.app import PlannerApp, create_app
from edgeplan.interface.planner.database import Database
from edgeplan.interface.planner.limits import PlannerLimits
from edgeplan.interface.planner.records import Question
from edgeplan.interface.planner.store import JobStore
from edgeplan.interface.serving.http.gate import AppSettings

from ..described import refuse_other_answers, refuse_undescribed

KNOWN, PROFILE = "0" * 64, "a" * 64
JOBS = (KNOWN, "f" * 64, "%00", "é")


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


def test_the_description_holds(app: PlannerApp) -> None:
    refuse_other_answers(app, 3, "job_id", JOBS)


@pytest.mark.slow
def test_the_description_holds_for_long(app: PlannerApp) -> None:
    refuse_other_answers(app, 200, "job_id", JOBS)


def test_every_route_says_what_it_answers(app: PlannerApp) -> None:
    refuse_undescribed(app, without_content=("204",))
    for path, methods in app.openapi()["paths"].items():
        for operation in methods.values():
            assert "431" in operation["responses"], path
            assert operation["description"], path


def test_the_page_asks_for_nothing_but_the_service() -> None:
    from edgeplan.interface.planner import app as module

    page = Path(module.__file__).with_name("page.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 40_000
    for means in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert means not in page
    assert page.count("http://") + page.count("https://") == page.count("http://www.w3.org/2000/svg") == 1
    assert "default-src 'none'" in page
