"""What a browser makes of a page: what is drawn, what overflows, what is asked of the network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:  # loaded where a browser is wanted, for other tests stand beside those
    from playwright.sync_api import Browser, Page, Request

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="draws the page in Chromium, which no Python package brings and which is not installed"
)
LOOKS: list[tuple[int, Any]] = [(1400, "light"), (390, "dark")]

_UNDRAWN = """() => [...document.querySelectorAll(".plot")]
    .filter((plot) => !plot.querySelector(".heatmaplayer image, .heatmaplayer path, .scatterlayer .trace path, "
        + ".barlayer .trace path, .gl-container canvas"))
    .map((plot) => plot.getAttribute("aria-label"))"""
OVERFLOWING = """() => [...document.body.querySelectorAll("*")]
    .filter((e) => !e.closest("svg") && !e.closest(".scroll") && !e.closest(".plot"))
    .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + .5)
    .map((e) => e.outerHTML.slice(0, 90))"""


@dataclass(frozen=True)
class Seen:
    """What was found on a page.

    Attributes
    ----------
    pictures : int
    undrawn : list of str
        Captions of pictures without anything in them.
    overflowing : list of str
        Elements beyond the right edge.
    asked : list of str
        Addresses asked for, but for the page itself.
    errors : list of str
        What scripts complained of.
    """

    pictures: int
    undrawn: list[str]
    overflowing: list[str]
    asked: list[str]
    errors: list[str]


@contextmanager
def opened() -> Iterator[Browser]:
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Root may not use the sandbox.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*arguments, "--enable-unsafe-swiftshader"])
        yield browser
        browser.close()


@contextmanager
def watched(browser: Browser, timeout_ms: float, expected: Iterable[str]) -> Iterator[Page]:
    """A page that fails the test where its console says more than what is expected, or where it asks another host."""
    from playwright.sync_api import expect

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(timeout_ms)
    expect.set_options(timeout=timeout_ms)
    page = context.new_page()
    errors: list[str] = []
    asked: list[str] = []

    def note(request: Request) -> None:  # a list's own method will not do: playwright writes an attribute on it
        asked.append(request.url)

    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", note)
    yield page
    assert {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))} <= {"127.0.0.1"}
    assert [error for error in errors if not any(word in error for word in expected)] == []
    context.close()


def refuse_overflow(page: Page) -> None:
    """Fail where a page is wider than what it is looked at through."""
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = page.evaluate(
        """() => [...document.body.querySelectorAll("*")].filter((e) => !e.closest("svg") || e.tagName === "svg")
           .filter((e) => !e.parentElement?.closest(".scroll"))
           .filter((e) => e.getBoundingClientRect().right > innerWidth + .5).map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert beyond == []


def looked_at(path: Path, width: int, scheme: Any) -> Seen:
    """Open a page and look at it once its pictures are drawn."""
    errors: list[str] = []
    asked: list[str] = []
    with opened() as browser:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.set_default_timeout(30_000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        pictures = page.locator(".plot").count()
        page.wait_for_function("(n) => document.querySelectorAll('.plot .main-svg').length >= n", arg=pictures)
        return Seen(
            pictures,
            page.evaluate(_UNDRAWN),
            page.evaluate(OVERFLOWING),
            [url for url in asked if url != path.as_uri() and not url.startswith(("data:", "blob:"))],
            errors,
        )
