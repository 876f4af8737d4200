"""The page in a real browser, on a real service with a worker."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright", reason="a browser is driven through playwright")

from edgeplan.formulation import Plan
from edgeplan.interface.planner.database import Database
from edgeplan.interface.planner.limits import PlannerLimits
from edgeplan.interface.planner.work_store import WorkStore
from playwright.sync_api import Browser, Page, Route, expect

from ..browsing import needs_browser, refuse_overflow, watched
from .asked import LARGE, asked_for
from .loopback import Served, served
from .stored import submit, taken, until

ODD_NAME = "<img src=x onerror='window.hurt=1'>&amp;" + "W" * 60

pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("planner"), workers=2) as service:
        yield service


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with watched(browser, timeout_ms=30_000, expected=("401", "400")) as page:
        yield page


def refuse_odd_marks(texts: list[str]) -> None:
    """Marks on the axis of a gap are multiples of 1, 2 or 5 times a power of ten, and told apart."""
    marks = [float(text.split()[0]) for text in texts]
    steps = np.diff(marks)
    assert 2 <= len(marks) <= 7
    assert f"{steps.min():e}"[0] in "125"
    assert steps == pytest.approx(steps.min())
    assert np.array(marks) / steps.min() == pytest.approx(np.round(marks / steps.min()), abs=1e-6)


def test_submit_watch_and_read_the_plan(service: Served, page: Page, tmp_path: Path) -> None:
    page.goto(service.address)
    expect(page.get_by_role("status")).to_have_text("ready")
    page.get_by_role("button", name="Fill in an example").click()
    expect(page.get_by_label("Scenario (YAML)")).to_have_value(re.compile("detector"))
    page.get_by_label("Seconds").fill("4")
    page.get_by_role("button", name="Plan", exact=True).click()
    facts = page.locator("#facts")
    expect(facts).to_contain_text(re.compile("optimal|feasible"), timeout=120_000)  # on a busy machine
    chart = page.get_by_role("img", name=re.compile("Best plan and bound over .* gap"))
    expect(chart).to_be_visible()
    assert chart.locator("path.incumbent").count() >= 1
    refuse_odd_marks(chart.locator("text.mark").all_text_contents())
    expect(page.locator("#plan table").first).to_contain_text("detector")
    expect(page.locator("#plan")).to_contain_text("deadline")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save plan").click()
    Plan.model_validate(json.loads(Path(download.value.path()).read_text()))
    report = page.request.get(service.address + "/" + str(page.locator("#report").get_attribute("href")))
    assert report.status == 200
    drawn = page.context.new_page()  # it runs apart from the page's origin, and draws all the same
    drawn.goto(service.address + "/" + str(page.locator("#report").get_attribute("href")))
    expect(drawn.locator(".plot svg.main-svg").first).to_be_visible()
    assert drawn.evaluate("origin") == "null"
    drawn.close()
    for width in (320, 360, 800, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(50)
        refuse_overflow(page)

    page.get_by_label("Wanted").select_option("front")
    page.get_by_role("button", name="Plan", exact=True).click()
    front = page.get_by_role("img", name=re.compile("Latency against memory: .*detector"))
    expect(front).to_be_visible()
    assert front.locator("circle.point").count() > 2
    expect(page.locator("#jobs li")).to_have_count(2)
    refuse_overflow(page)


def test_odd_names_stay_text_and_running_jobs_are_cancelled(service: Served, page: Page) -> None:
    asked = asked_for(LARGE, time_limit_s=60.0)
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(service.address)
    page.get_by_label("Scenario (YAML)").fill(json.dumps({**asked["scenario"], "name": ODD_NAME}))
    page.get_by_label("Profile (JSON)").fill(json.dumps(asked["profile"]))
    page.get_by_label("Seconds").fill("60")
    page.get_by_role("button", name="Plan", exact=True).click()
    expect(page.locator("#title")).to_have_text(ODD_NAME)
    expect(page.locator("#facts")).to_contain_text("running")
    expect(page.locator("#facts")).to_be_in_viewport(ratio=0.9)
    expect(page.locator("#title")).to_be_in_viewport(ratio=1)
    expect(page.locator("#facts dd").first).to_be_in_viewport(ratio=1)
    refuse_overflow(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#facts")).to_contain_text("cancelled")
    assert page.evaluate("window.hurt") is None
    assert page.locator("main img").count() == 0


def test_answers_about_one_job_do_not_show_up_in_another(service: Served, page: Page) -> None:
    names = "asked first", "asked then"
    jobs = [submit(service.jobs, number, name) for number, name in enumerate(names)]
    for job in jobs:
        until(service.jobs, job, lambda job: job.status == "failed")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(re.compile(f"/jobs/{jobs[0]}$"), hold)
    page.goto(service.address)
    page.locator("#jobs").get_by_text(names[0]).click()
    while not held:
        page.wait_for_timeout(20)
    page.locator("#jobs").get_by_text(names[1]).click()
    expect(page.locator("#title")).to_have_text(names[1])
    expect(page.locator("#facts")).to_contain_text("failed")
    with page.expect_response(re.compile(f"/jobs/{jobs[0]}$")):
        held[0].continue_()
    page.set_viewport_size({"width": 900, "height": 800})  # it draws anew
    page.wait_for_timeout(200)
    expect(page.locator("#title")).to_have_text(names[1])


def test_a_job_that_is_begun_again_is_drawn_from_its_beginning(page: Page, tmp_path: Path) -> None:
    known = {"elapsed_s": 1.0, "bound": 1e3, "gap": 0.5, "model": "", "hypervolume": None, "front": None}
    with served(tmp_path, workers=0) as service, Database(str(tmp_path / "planner.db")) as database:
        submit(service.jobs)
        work = WorkStore(database, PlannerLimits())
        for policy, objective in (("first try", 5e3), ("second try", 9e3)):
            claim = taken(work)
            work.beat(claim, [{**known, "policy": policy, "objective": objective}])
            if policy == "first try":
                work.give_back(claim)
        page.goto(service.address)
        page.locator("#jobs").get_by_text("asked").click()
        expect(page.locator("#facts")).to_contain_text("second try")
        expect(page.locator("#facts")).to_contain_text("9.00 ms")
        expect(page.locator("path.incumbent")).to_have_count(1)


def test_what_is_refused_is_said(service: Served, page: Page) -> None:
    page.goto(service.address)
    page.get_by_label("Scenario (YAML)").fill("name: [")
    page.get_by_label("Profile (JSON)").fill("{")
    page.get_by_role("button", name="Plan", exact=True).click()
    expect(page.locator("#refused")).to_contain_text("no JSON")
    page.get_by_label("Profile (JSON)").fill("{}")
    page.get_by_role("button", name="Plan", exact=True).click()
    expect(page.locator("#refused")).to_contain_text("YAML")


def test_a_token_is_asked_for_once(page: Page, tmp_path: Path) -> None:
    with served(tmp_path, token="s3cret", workers=0) as service:
        page.goto(service.address)
        expect(page.get_by_label("bearer token")).to_be_focused()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert").filter(has_text="did not take")).to_be_visible()
        page.keyboard.type("s3cret")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="New job")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="New job")).to_be_visible()
        assert "s3cret" not in page.content()
        assert "s3cret" not in page.url
