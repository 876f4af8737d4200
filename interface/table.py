"""Tables as data, so that the terminal, the HTML report and the tests show the same figures."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import rich.table

Tone = Literal["", "good", "bad", "strong"]
_RICH_STYLES = {"": "", "good": "green", "bad": "red", "strong": "bold"}


@dataclass(frozen=True)
class Cell:
    """Text with a tone: ``good`` and ``bad`` colour it, ``strong`` sets it bold."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True)
class Table:
    """A titled table.

    Attributes
    ----------
    title : str
    columns : tuple of str
        Headings, units in them. One that starts with ``>`` is a column of figures, aligned right.
    rows : tuple of tuple of str or Cell
        As long as `columns`, each.
    note : str
        A sentence below the table.
    groups : tuple of int
        Rows above which a rule is drawn, where the rows fall into groups.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    note: str = ""
    groups: tuple[int, ...] = ()

    def to_rich(self) -> rich.table.Table:
        """Build the table for a terminal."""
        import rich.box
        import rich.table
        from rich.markup import escape as literally
        from rich.text import Text

        table = rich.table.Table(
            title=literally(self.title),
            caption=literally(self.note) or None,
            title_justify="left",
            caption_justify="left",
            title_style="bold",
            box=rich.box.SIMPLE_HEAD,
        )
        for column in self.columns:
            # Folded, never cut: half a configuration's name is worth nothing.
            justify = "right" if column.startswith(">") else "left"
            table.add_column(literally(column.lstrip(">")), justify=justify, overflow="fold")
        for i, row in enumerate(self.rows):
            table.add_row(
                *(Text(cell.text, _RICH_STYLES[cell.tone]) if isinstance(cell, Cell) else Text(cell) for cell in row),
                end_section=i + 1 in self.groups,
            )
        return table

    def to_html(self) -> str:
        """Build the table for a page; it scrolls sideways by itself where the page is narrow."""
        head = "".join(f"<th{_align(column)}>{escape(column.lstrip('>'))}</th>" for column in self.columns)
        body = []
        for i, row in enumerate(self.rows):
            cells = "".join(_html_cell(cell, column) for cell, column in zip(row, self.columns, strict=True))
            rule = " class='rule'" if i in self.groups else ""
            body.append(f"<tr{rule}>{cells}</tr>")
        note = f"<p class='note'>{escape(self.note)}</p>" if self.note else ""
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
        return f"<div class='scroll'>{table}</div>{note}"


def _align(column: str) -> str:
    return " class='figure'" if column.startswith(">") else ""


def _html_cell(cell: str | Cell, column: str) -> str:
    text, tone = (cell.text, cell.tone) if isinstance(cell, Cell) else (cell, "")
    classes = " ".join(c for c in ("figure" if column.startswith(">") else "", tone) if c)
    attribute = f" class='{classes}'" if classes else ""
    return f"<td{attribute}>{escape(text)}</td>"
