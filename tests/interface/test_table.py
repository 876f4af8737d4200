"""Tables for people: nothing in a name is taken for markup."""

from __future__ import annotations

import io

from edgeplan.interface.table import Table
from rich.console import Console


def test_names_in_brackets_are_shown_as_they_are() -> None:
    table = Table("Of [ram]", ("limit [bold]", ">at [/]"), (("memory[ram]", "1"),), note="It is [red]full[/red].")
    file = io.StringIO()
    Console(file=file, width=100, color_system=None).print(table.to_rich())
    assert all(text in file.getvalue() for text in ("Of [ram]", "limit [bold]", "at [/]", "memory[ram]"))
    assert "It is [red]full[/red]." in file.getvalue()
