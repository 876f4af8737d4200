"""The dashboard in a real browser, on a real server with real models under load."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")
pytest.importorskip("playwright", reason="a browser is driven through playwright")

from edgeplan.formulation import ModelPlan, Plan
from edgeplan.interface.serving import planning
from edgeplan.interface.serving.app import AppSettings, create_app
from edgeplan.interface.serving.engine import Engine, EngineSettings
from edgeplan.interface.serving.http.server import Server
from edgeplan.interface.serving.live_view import live_view
from edgeplan.runtime_bridge import Decision, Drift
from edgeplan.runtime_bridge.clock import now_us
from playwright.sync_api import Browser, Page, Route, expect

from ...conftest import CORES, Toys
from ..browsing import needs_browser, refuse_overflow, watched

PAGE = Path(planning.__file__).with_name("dashboard.html").read_text(encoding="utf-8")
ODD_NAME = "<img src=x onerror='window.hurt=1'>&amp;\"`${1}" + "W" * 80


@contextmanager
def served(engine: Engine, settings: AppSettings | None = None, port: int = 0) -> Iterator[int]:
    listening = threading.Event()
    bound: list[int] = []

    def tell(number: int) -> None:
        bound.append(number)
        listening.set()

    server = Server(create_app(engine, settings), engine, "127.0.0.1", port, on_listening=tell)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        assert listening.wait(10)
        yield bound[0]
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


@contextmanager
def load(ask: Callable[[], Any], pause_s: float) -> Iterator[None]:
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.wait(pause_s):
            ask()

    thread = threading.Thread(target=keep_asking, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def engine(toys: Toys) -> Iterator[Engine]:
    with Engine(toys.problem, toys.halved(), toys.files, EngineSettings(admission=False, adapt=False)) as engine:
        drift = Drift("rate", "left", 50.0, 93.0)
        engine.decisions.append(Decision(now_us() - 3e6, (drift,), "switched", "<b>fewer</b> late", 1, 1.3, 0.2))

        def ask() -> None:
            engine.submit("left", toys.feeds())
            engine.submit("right", toys.feeds(), deadline_us=1.0)  # which nobody can keep

        with load(ask, 0.02):
            yield engine


@pytest.fixture(scope="module")
def address(engine: Engine) -> Iterator[str]:
    with served(engine) as port:
        yield f"http://127.0.0.1:{port}/edgeplan/"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with watched(
        browser,
        timeout_ms=10_000,
        expected=("401", "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"),
    ) as page:
        yield page


@needs_browser
def test_it_shows_models_cores_memory_and_decisions(address: str, page: Page) -> None:
    page.goto(address)
    expect(page.get_by_role("status")).to_have_text("serving")
    cards = page.locator("section.model")
    expect(cards).to_have_count(2)
    assert cards.locator("h2").all_inner_texts() == ["left", "right"]
    for card in cards.all():
        expect(card.locator("dl")).to_contain_text("500 ms")  # its deadline
        expect(card.get_by_role("img").first).to_have_accessible_name(
            re.compile("Responses of the last 5 seconds: .* deadline 500 ms, 0 refused")
        )
    expect(cards.nth(0).locator("circle").nth(5)).to_be_attached()
    expect(cards.nth(0).locator("dl div", has_text="late")).to_contain_text("0.0 %")
    expect(cards.nth(1).locator("dl div", has_text="late")).to_contain_text("100.0 %")
    expect(cards.nth(1).locator("path[stroke='var(--bad)']").nth(5)).to_be_attached()
    expect(page.locator("#cores text").first).to_have_text(f"core {CORES[0]}")
    expect(page.locator("#cores rect.run").nth(10)).to_be_attached()
    expect(page.get_by_role("meter", name="host")).to_have_attribute("aria-valuetext", re.compile(".* of 1024 MiB"))
    expect(page.locator("#memory")).to_contain_text("resident")
    decisions = page.locator("#decisions li")
    expect(decisions).to_have_count(1)
    for said in ("switched", "<b>fewer</b> late", "rate of left: 93 Hz observed", "Plan 1 serves"):
        expect(decisions.first).to_contain_text(said)


@needs_browser
@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (360, "dark"), (800, "light"), (1920, "dark")])
def test_nothing_overflows(address: str, page: Page, width: int, scheme: Any) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    page.emulate_media(color_scheme=scheme)
    page.goto(address)
    expect(page.locator("section.model").first).to_be_visible()
    refuse_overflow(page)
    back, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (sum(map(int, back[4:-1].split(","))) < sum(map(int, ink[4:-1].split(",")))) == (scheme == "dark")


@needs_browser
def test_odd_names_stay_text(toys: Toys, page: Page) -> None:
    names = {"left": ODD_NAME, "right": "right"}
    models = tuple(replace(model, name=names[model.name]) for model in toys.problem.models)
    streams = tuple(stream.model_copy(update={"model": names[stream.model]}) for stream in toys.problem.streams)
    plans = tuple(ModelPlan(model=names[m.model], sha256=m.sha256, segments=m.segments) for m in toys.halved().models)
    plan = Plan(models=plans, solver=toys.halved().solver)
    files = {names[name]: path for name, path in toys.files.items()}
    with Engine(
        toys.problem.replace(models=models, streams=streams), plan, files, EngineSettings(adapt=False)
    ) as engine:
        engine.submit(ODD_NAME, toys.feeds()).result()
        engine.decisions.append(Decision(now_us(), (Drift("rate", ODD_NAME, 1, 2),), ODD_NAME, ODD_NAME, 1, 1.3, 0.2))
        with served(engine) as port:
            page.set_viewport_size({"width": 360, "height": 700})
            page.goto(f"http://127.0.0.1:{port}/edgeplan/")
            expect(page.locator("section.model h2").first).to_have_text(ODD_NAME)
            expect(page.locator("#decisions li").first).to_contain_text(ODD_NAME)
            refuse_overflow(page)
            assert page.locator("img, b b, script").count() == 1  # the page's own script
            assert page.evaluate("window.hurt") is None


@needs_browser
def test_faults_come_and_go(address: str, page: Page) -> None:
    faults: list[dict[str, Any]] = []

    def add(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "faults": faults})

    page.route("**/edgeplan/live", add)
    page.goto(address)
    expect(page.locator("section.model").first).to_be_visible()
    expect(page.locator("#faults")).to_be_hidden()
    faults.append({"model": "left", "kind": "hang", "reason": "no end after 5 s <i>", "seconds": 42.0})
    page.evaluate("refresh()")
    alert = page.get_by_role("alert").filter(has_text="left: hang")
    expect(alert).to_contain_text("no end after 5 s <i> for 42 s")
    assert alert.evaluate("(e) => e.getBoundingClientRect().top") < 200, "not where it is seen first"
    faults.clear()
    page.evaluate("refresh()")
    expect(page.locator("#faults")).to_be_hidden()


@needs_browser
@pytest.mark.slow
def test_it_outlives_the_server(toys: Toys, page: Page) -> None:
    with Engine(toys.problem, toys.whole(), toys.files, EngineSettings(adapt=False)) as engine:
        with served(engine) as port:
            page.goto(f"http://127.0.0.1:{port}/edgeplan/")
            expect(page.get_by_role("status")).to_have_text("serving")
        expect(page.get_by_role("status")).to_have_text(re.compile("no answer"))
        expect(page.locator("main.stale section.model").first).to_be_visible()
        expect(page.locator("#plan")).to_have_text(re.compile("what is shown is . s old"))
        engine.runtime.swap(toys.problem, toys.halved())
        with served(engine, port=port):
            expect(page.get_by_role("status")).to_have_text("serving")
            expect(page.locator("#plan")).to_have_text(re.compile("^plan 1 · "))
            expect(page.locator("main.stale")).to_have_count(0)


@needs_browser
def test_a_token_is_asked_for_once(engine: Engine, page: Page) -> None:
    with served(engine, AppSettings(token="s3cret")) as port:
        address = f"http://127.0.0.1:{port}/edgeplan/"
        # The page itself may or may not be open; what it then asks for has the token only from its user.
        page.route(
            address, lambda route: route.continue_(headers={**route.request.headers, "authorization": "Bearer s3cret"})
        )
        page.goto(address)
        expect(page.get_by_label("bearer token")).to_be_focused()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert").filter(has_text="did not take")).to_be_visible()
        expect(page.locator("main")).to_be_hidden()
        page.keyboard.type("s3cret")
        page.keyboard.press("Enter")
        expect(page.locator("section.model").first).to_be_visible()
        page.reload()
        expect(page.locator("section.model").first).to_be_visible()
        expect(page.locator("#entry")).to_be_hidden()
        with page.expect_download() as download:
            page.get_by_role("button", name="Trace").click()
        assert "traceEvents" in json.loads(Path(download.value.path()).read_text())
        assert "s3cret" not in page.content()
        assert "s3cret" not in page.url


@needs_browser
def test_keyboard_and_screen_reader(address: str, page: Page) -> None:
    page.goto(address)
    expect(page.locator("section.model").first).to_be_visible()
    page.keyboard.press("Tab")
    pause = page.get_by_role("button", name="Pause")
    expect(pause).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Go on")).to_have_attribute("aria-pressed", "true")
    still = page.locator("section.model").first.inner_html()
    page.wait_for_timeout(1200)
    assert page.locator("section.model").first.inner_html() == still
    assert page.locator("h1").count() == 1
    assert page.locator("svg").count() == page.locator("svg[role=img][aria-label]").count() > 0
    # What changes every second is not read out every second.
    assert page.locator("main [aria-live], main [role=status], main [role=alert]").evaluate_all(
        "(all) => all.map((e) => e.id)"
    ) == ["decisions"]


@needs_browser
def test_overload_is_seen(toys: Toys, page: Page) -> None:
    settings = EngineSettings(max_in_flight=2, admission=False, adapt=False)
    with (
        Engine(toys.problem, toys.whole(), toys.files, settings) as engine,
        served(engine) as port,
        load(lambda: [engine.submit("left", toys.feeds()) for _ in range(20)], 0.01),
    ):
        page.goto(f"http://127.0.0.1:{port}/edgeplan/")
        refused = page.locator("section.model").first.locator("dl div", has_text="refused").locator("dd")
        expect(refused).to_have_class("bad")
        expect(refused).to_have_text(re.compile("[1-9]"))
        page.set_viewport_size({"width": 360, "height": 700})
        refuse_overflow(page)


def test_the_page_is_small_and_makes_no_markup_of_data() -> None:
    assert len(PAGE.encode()) < 40_000
    for means in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert means not in PAGE
    assert PAGE.count("http://") + PAGE.count("https://") == PAGE.count("http://www.w3.org/2000/svg") == 1
    assert "default-src 'none'" in PAGE


def test_many_records_make_a_bounded_view(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much was served, and where not all of the window is kept, rates are of what is."""
    with Engine(toys.problem, toys.halved(), toys.files, EngineSettings(admission=False, adapt=False)) as engine:
        engine.submit("left", toys.feeds()).result()
        engine.runtime.drain()
        record, now = engine.records[-1], now_us()
        assert engine.records.maxlen
        for number in range(engine.records.maxlen):
            at = now - 1e6 + number * 1e6 / engine.records.maxlen
            segments = [replace(s, start_us=at - 50, finish_us=at) for s in record.segments]
            engine.records.append(replace(record, arrival_us=at - 100, finish_us=at, segments=segments))
        monkeypatch.setattr("edgeplan.interface.serving.live_view.now_us", lambda: now)
        view = live_view(engine)
        assert view["window_ms"] == pytest.approx(1000, rel=0.01)
        left = view["models"][0]
        assert left["rate_hz"] == pytest.approx(engine.records.maxlen, rel=0.01)
        assert len(json.dumps(view)) < 50_000
        assert view["timeline_ms"] < 100
        assert max(len(core["runs"]) for core in view["cores"]) > 100


def test_a_view_is_there_before_the_first_request(toys: Toys) -> None:
    with Engine(toys.problem, toys.whole(), toys.files, EngineSettings(adapt=False)) as engine:
        view = live_view(engine)
        assert [model["p50_ms"] for model in view["models"]] == [None, None]
        assert all(model["in_system"] == [0.0] * 60 for model in view["models"])
        json.dumps(view, allow_nan=False)
