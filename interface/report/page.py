"""A report as a page: sections in reading order, plots as data with one script that draws them, all in one file."""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from ...profiles.cache import written_whole
from ..table import Table
from .contents import Contents
from .document import Block, Document, Facts, Gallery, Section, document_of
from .grid import Grid, Surface
from .plots import GanttPlot, Picture

if TYPE_CHECKING:
    import plotly.graph_objects as go

MANY_BARS = 60
"""Bars of a schedule above which a narrow screen shows less of it at first."""


def write_report(contents: Contents | Document, path: str | Path) -> Path:
    """Write the report and return its path. The file appears whole or not at all."""
    target = Path(path)
    with written_whole(target) as temporary:
        temporary.write_text(render(contents), encoding="utf-8")
    return target


def render(contents: Contents | Document) -> str:
    """The report as one HTML document."""
    from plotly.offline import get_plotlyjs  # loads for long, and a report in a terminal needs none of it

    document = document_of(contents) if isinstance(contents, Contents) else contents
    resources = files(__name__.rpartition(".")[0])
    return Template((resources / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(document.title),
        created=escape(document.created),
        version=escape(document.version),
        style=(resources / "style.css").read_text(encoding="utf-8"),
        cards="".join(
            f'<div class="card"><div class="label">{escape(card.label)}</div><div class="value">{escape(card.value)}'
            f'</div><div class="detail">{escape(card.detail)}</div></div>'
            for card in document.cards
        ),
        navigation="".join(f'<a href="#{_anchor(s.heading)}">{escape(s.heading)}</a>' for s in document.sections),
        sections="".join(map(_section, document.sections)),
        plotly=get_plotlyjs(),
        script=(resources / "page.js").read_text(encoding="utf-8"),
    )


def _anchor(heading: str) -> str:
    return re.sub(r"\W+", "-", heading.lower()).strip("-")


def _section(section: Section) -> str:
    anchor = _anchor(section.heading)
    body = "".join(_block(block, section.heading) for block in section.blocks)
    head = f'<h2 id="{anchor}-heading">{escape(section.heading)}</h2>'
    return f'<section id="{anchor}" aria-labelledby="{anchor}-heading">{head}{body}</section>'


def _block(block: Block, heading: str) -> str:
    if isinstance(block, Table):
        title = f"<h3>{escape(block.title)}</h3>" if block.title != heading else ""
        return f'<div class="table" role="group" aria-label="{escape(block.title)}">{title}{block.to_html()}</div>'
    if isinstance(block, Picture | Grid | Surface):
        return _figure(block)
    if isinstance(block, Gallery):
        return f'<div class="grid">{"".join(map(_figure, block.pictures))}</div>'
    if isinstance(block, Facts):
        rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in block.items)
        return f"<dl>{rows}</dl>"
    return f'<p class="note">{escape(block.text)}</p>'


def _figure(picture: Picture | Grid | Surface) -> str:
    drawn, key = _drawn(picture)
    # "<" inside the data could end the script element.
    data = (drawn.to_json() or "").replace("<", "\\u003c")
    heading = f"<h3>{escape(picture.heading)}</h3>" if picture.heading else ""
    caption = escape(picture.caption)
    drags = isinstance(picture, Picture) and isinstance(picture.plot, GanttPlot) and len(picture.plot.bars) > MANY_BARS
    settings = ' data-drags="1"' if drags else ""
    hint = '<p class="note hint">Drag to move along; double-click to see all.</p>' if drags else ""
    return (
        f'<figure>{heading}{key}<div class="plot" style="min-height:{drawn.layout["height"]}px" '
        f'role="img" aria-label="{caption}"{settings}></div><script type="application/json">{data}</script>'
        f"<figcaption>{caption}</figcaption>{hint}</figure>"
    )


def _drawn(picture: Picture | Grid | Surface) -> tuple[go.Figure, str]:
    """The figure and the key to it."""
    from . import grid_page, plotly_plots

    if isinstance(picture, Grid):
        return grid_page.draw_grid(picture), grid_page.grid_key(picture)
    if isinstance(picture, Surface):
        return grid_page.draw_surface(picture), ""
    return plotly_plots.draw(picture.plot), plotly_plots.key_html(picture.plot)
