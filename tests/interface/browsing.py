"""What a browser makes of a page: what is drawn, what overflows, what is asked of the network."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

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


def looked_at(path: Path, width: int, scheme: Any) -> Seen:
    """Open a page and look at it once its pictures are drawn."""
    from playwright.sync_api import sync_playwright

    errors: list[str] = []
    asked: list[str] = []
    with sync_playwright() as playwright:
        # Root may not use the sandbox.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*arguments, "--enable-unsafe-swiftshader"])
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.set_default_timeout(30_000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        pictures = page.locator(".plot").count()
        page.wait_for_function("(n) => document.querySelectorAll('.plot .main-svg').length >= n", arg=pictures)
        seen = Seen(
            pictures,
            page.evaluate(_UNDRAWN),
            page.evaluate(OVERFLOWING),
            [url for url in asked if url != path.as_uri() and not url.startswith(("data:", "blob:"))],
            errors,
        )
        browser.close()
    return seen
