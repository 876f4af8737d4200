"""Whether a document says the same on its page and in a terminal: sections, tables, captions and figures."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
from edgeplan.interface.report import Document, TerminalReport, render
from edgeplan.interface.report.document import Block, Facts, Gallery, Remark
from edgeplan.interface.report.grid import Grid, Surface
from edgeplan.interface.report.plots import BarsPlot, Picture, XYPlot
from edgeplan.interface.table import Cell, Table
from rich.console import Console


class Page(HTMLParser):
    """A page's headings and, by section, its text, its links and the data of its pictures."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.text: dict[str, str] = {}
        self.data: dict[str, list[Any]] = {}
        self.asked: list[str] = []
        self._open: list[str] = []
        self._is_data = False
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "br", "img"):
            self._open.append(tag)
        self._is_data = tag == "script" and ("type", "application/json") in attrs
        self.asked += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "h2":
            self.headings.append(data)
        if not self.headings:
            return
        if self._is_data and inside == "script":
            self.data.setdefault(self.headings[-1], []).append(json.loads(data))
        elif inside not in ("script", "style"):
            self.text[self.headings[-1]] = f"{self.text.get(self.headings[-1], '')} {data}"


def printed(document: Document, width: int = 2000) -> str:
    """The document as a terminal without colours shows it."""
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(TerminalReport(document).to_rich())
    return file.getvalue()


def refuse_difference(document: Document) -> None:
    """Fail where page and terminal differ in what they say, or leave out what the document has."""
    page, text = Page(render(document)), printed(document)
    headings = [section.heading for section in document.sections]
    assert page.headings == headings
    assert all(link.startswith("#") for link in page.asked)
    in_terminal = sections_of(text, headings)
    for section in document.sections:
        on_page, in_text = words(page.text[section.heading]), words(in_terminal[section.heading])
        for part in map(words, told(section.blocks)):
            assert part in on_page, f"{section.heading}: not on the page: {part}"
            assert part in in_text, f"{section.heading}: not in the terminal: {part}"
        pictures = list(_pictures(section.blocks))
        drawn = page.data.get(section.heading, [])
        assert len(drawn) == len(pictures)
        for picture, figure in zip(pictures, drawn, strict=True):
            _refuse_other_figures(picture, figure, in_text)
    for card in document.cards:
        assert f"{card.label}: {card.value}" in text
        assert f'<div class="value">{card.value}</div>' in render(document)


def sections_of(text: str, headings: list[str]) -> dict[str, str]:
    """Text of a report in a terminal by section."""
    starts = [re.search(rf"^{re.escape(heading)} ─+$", text, re.MULTILINE) for heading in headings]
    assert all(starts), [h for h, found in zip(headings, starts, strict=True) if not found]
    places = [found.start() for found in starts if found]
    assert places == sorted(places)
    ends = [*places[1:], len(text)]
    return {h: text[a:b] for h, a, b in zip(headings, places, ends, strict=True)}


def words(text: str) -> str:
    """The text with one space between words."""
    return " ".join(text.split())


def told(blocks: tuple[Block, ...]) -> Iterator[str]:
    """Every cell, caption, fact, mark and remark, and what a table says of itself."""
    for block in blocks:
        if isinstance(block, Table):
            yield from (cell.text if isinstance(cell, Cell) else cell for row in block.rows for cell in row)
            yield from (column.lstrip(">") for column in block.columns)
            yield block.note
        elif isinstance(block, Gallery):
            yield from told(block.pictures)
        elif isinstance(block, Facts):
            yield from (part for item in block.items for part in item)
        elif isinstance(block, Remark):
            yield block.text
        else:
            yield block.heading
            yield block.caption
            if isinstance(block, Grid):
                yield from (mark.name for mark in block.marks)


def _pictures(blocks: tuple[Block, ...]) -> Iterator[Picture | Grid | Surface]:
    for block in blocks:
        if isinstance(block, Gallery):
            yield from block.pictures
        elif isinstance(block, Picture | Grid | Surface):
            yield block


def _refuse_other_figures(picture: Picture | Grid | Surface, figure: dict[str, Any], in_text: str) -> None:
    """The page's data are the picture's, and a terminal prints the figures of a grid."""
    traces = figure["data"]
    if isinstance(picture, Grid | Surface):
        assert np.array_equal(_values(traces[0]["z"]), picture.values, equal_nan=True)
        shown = picture.values[np.isfinite(picture.values)] if isinstance(picture, Grid) else ()
        for value in shown:
            assert f"{value:.3g}" in in_text or f"{value:,.0f}" in in_text
    elif isinstance(picture.plot, XYPlot):
        assert [_values(trace["y"]).tolist() for trace in traces] == [list(one.y) for one in picture.plot.series]
        names = [one.name for one in picture.plot.series]
        assert len(names) == 1 or all(name in in_text for name in names)
    elif isinstance(picture.plot, BarsPlot):
        assert [_values(trace["x"]).tolist() for trace in traces] == [list(v) for v in picture.plot.parts.values()]


def _values(data: Any) -> np.ndarray:
    """Figures as plotly writes them: a list with null for what is missing, or the bytes of an array."""
    if isinstance(data, dict):
        raise AssertionError("figures are plain lists, which a reader of the page can read too")
    return np.array(
        [[np.nan if v is None else v for v in row] if isinstance(row, list) else row for row in data], float
    )
