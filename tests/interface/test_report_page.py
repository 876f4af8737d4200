"""The page of a report in a real browser: every picture has data, nothing overflows, nothing leaves the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgeplan.formulation import Plan, Problem, evaluate
from edgeplan.interface.report import Contents, ScoredPlan, Sensitivity, write_report
from edgeplan.interface.report.forecast import forecast, schedule
from edgeplan.interface.run_record import RunRecord
from edgeplan.interface.table import Table

from . import report_cases as cases
from .browsing import OVERFLOWING, needs_browser

pytest.importorskip("playwright", reason="a browser is driven through playwright")

from playwright.sync_api import Browser, Page

pytestmark = needs_browser
ODD_NAME = "<img src=x onerror='window.hurt=1'>&amp;\"`${1}</script>" + "W" * 60

# What a picture shows: marks of every kind that plotly draws, none of them without a place.
DRAWN = """() => [...document.querySelectorAll(".plot")].map((plot) => ({
    caption: plot.getAttribute("aria-label"),
    marks: plot.querySelectorAll(".scatterlayer .trace path, .barlayer .trace path").length,
    beyond: [...plot.querySelectorAll("text, .point path")].filter((e) => {
        const box = e.getBoundingClientRect(), whole = plot.getBoundingClientRect();
        return box.width && e.tagName === "text" && (box.right > whole.right + 1 || box.left < whole.left - 1);
    }).map((e) => e.textContent) }))"""


@pytest.fixture(scope="module")
def pages(
    tmp_path_factory: pytest.TempPathFactory, problem: Problem, plan: Plan, run_record: RunRecord
) -> dict[str, Path]:
    evaluation = evaluate(problem, plan)
    prices = Table("What each limit costs", ("limit", ">gain ms"), (("memory.ram", "1.25"), ("cores.cpu", "0.31")))
    whole = Contents(
        title="two models",
        created="2026-01-01",
        planned=ScoredPlan(problem, plan, evaluation),
        run=run_record,
        forecast=forecast(problem, plan, 1000),
        schedule=schedule(problem, plan, evaluation),
        sensitivity=Sensitivity(prices, (("memory.ram + 10 %", 1.25), ("cores.cpu + 1", 0.31))),
    )
    many = cases.problem([f"{ODD_NAME}{k}" for k in range(12)], 16)
    alone = cases.problem(["a"], 1, streams=False)
    contents = {
        "whole": whole,
        "many": cases.contents(many, cases.plan(many)),
        "alone": cases.contents(alone, cases.plan(alone)),
        "run only": replace(whole, planned=None, forecast=None, schedule=None, sensitivity=None),
        "nothing": Contents("nothing", "2026-01-01"),
    }
    folder = tmp_path_factory.mktemp("reports")
    return {name: write_report(one, folder / f"{name.replace(' ', '-')}.html") for name, one in contents.items()}


def opened(browser: Browser, path: Path, width: int, scheme: Any = "light", scripts: bool = True) -> Iterator[Page]:
    """The page, which fails the test where its console has an error, or where it asks for anything but itself."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
    )
    context.set_default_timeout(20_000)
    page = context.new_page()
    errors: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    yield page
    assert errors == []
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [path.as_uri()]
    context.close()


def refuse_nameless(page: Page) -> None:
    """Every picture has a caption, which is its name for those who do not see it, and every link leads somewhere."""
    said = page.evaluate(
        """() => [...document.querySelectorAll("figure")].map((figure) => [
            figure.querySelector("figcaption").textContent, figure.querySelector("[role=img]").ariaLabel])"""
    )
    assert all(caption == name and len(caption) > 15 for caption, name in said), said
    tables = page.locator("table").count()
    assert page.locator("[role=group][aria-label] table").count() == tables
    links = page.evaluate("[...document.querySelectorAll('nav a')].map((a) => a.getAttribute('href'))")
    assert all(page.locator(link).count() == 1 for link in links)


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("whole", 1400, "light"),
        ("many", 390, "dark"),
        pytest.param("whole", 390, "dark", marks=pytest.mark.slow),
        pytest.param("many", 1400, "light", marks=pytest.mark.slow),
        pytest.param("alone", 390, "light", marks=pytest.mark.slow),
        pytest.param("run only", 390, "light", marks=pytest.mark.slow),
        pytest.param("nothing", 390, "light", marks=pytest.mark.slow),
    ],
)
def test_every_picture_is_drawn_and_nothing_overflows(
    browser: Browser, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    for page in opened(browser, pages[name], width, scheme):
        count = page.locator(".plot").count()
        page.wait_for_function("(n) => document.querySelectorAll('.plot .main-svg').length >= n", arg=count)
        drawn = page.evaluate(DRAWN)
        assert bool(drawn) == (name != "nothing")
        assert [plot["caption"] for plot in drawn if not plot["marks"]] == []
        assert [text for plot in drawn for text in plot["beyond"]] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OVERFLOWING) == []
        assert page.evaluate("window.hurt") is None
        refuse_nameless(page)
        back, ink = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert (sum(map(int, back[4:-1].split(","))) < sum(map(int, ink[4:-1].split(",")))) == (scheme == "dark")


def test_without_scripts_there_are_tables_and_captions(browser: Browser, pages: dict[str, Path]) -> None:
    for page in opened(browser, pages["whole"], 1400, scripts=False):
        assert page.locator(".no-script").is_visible()
        assert page.locator("table").first.is_visible()
        assert page.locator("figcaption").first.is_visible()
        assert not page.locator(".plot").first.is_visible()
