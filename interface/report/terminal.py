"""A report in a terminal: the sections, tables and captions of the page, its pictures drawn with characters."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from ..table import Table
from .document import Block, Document, Facts, Gallery, Section
from .grid import Grid, Surface
from .grid_text import TextGrid
from .plots import Picture
from .text_plots import TextPlot


class TerminalReport:
    """A report for rich to print.

    Parameters
    ----------
    document : Document
    """

    def __init__(self, document: Document) -> None:
        self._document = document

    def to_rich(self) -> RenderableType:
        """Build it."""
        return Group(*self._parts())

    def _parts(self) -> Iterator[RenderableType]:
        document = self._document
        yield Text(document.title, "bold")
        yield Text(f"{document.created} · edgeplan {document.version}", "dim")
        for card in document.cards:
            line = Text(f"{card.label}: ")
            line.append(card.value, "bold")
            yield line.append(f"  {card.detail}" if card.detail else "", "dim")
        for section in document.sections:
            yield from _section(section)


def _section(section: Section) -> Iterator[RenderableType]:
    yield Text("")
    yield Rule(Text(section.heading, "bold"), align="left", style="dim")
    for block in section.blocks:
        yield from _block(block)


def _block(block: Block) -> Iterator[RenderableType]:
    if isinstance(block, Table):
        yield Text("")
        yield block.to_rich()
    elif isinstance(block, Picture | Grid | Surface):
        yield Text("")
        if block.heading:
            yield Text(block.heading, "bold")
        yield _drawn(block)
        yield Padding(Text(block.caption, "italic"), (0, 0, 0, 2))
    elif isinstance(block, Gallery):
        for picture in block.pictures:
            yield from _block(picture)
    elif isinstance(block, Facts):
        for name, value in block.items:
            yield Text.assemble((f"{name}: ", "dim"), value)
    else:
        yield Text(block.text, "italic")


def _drawn(picture: Picture | Grid | Surface) -> RenderableType:
    if isinstance(picture, Grid):
        return TextGrid(picture)
    return TextPlot(picture.plot if isinstance(picture, Picture) else picture.sections())
