"""What a command prints: text for people or one JSON object for programs on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any, Protocol

import typer
from rich.console import Console, RenderableType

from ..formulation import EdgePlanError
from .units import jsonable

Progress = Callable[[int, int, str], None]
"""Called with what is done, what there is to do, and what is being done."""


class Showable(Protocol):
    """Something that rich can print."""

    def to_rich(self) -> RenderableType:
        """Build it for a terminal."""
        ...


class OutputError(EdgePlanError):
    """A place that nothing can be written to."""


MIN_COLUMNS = 160
"""Width assumed where the output is not a terminal: tables in a log file must not be folded to 80 columns."""


class Format(StrEnum):
    """Forms of output."""

    TEXT = "text"
    JSON = "json"


class Output:
    """Where one command's results go.

    Parameters
    ----------
    format : Format
        With ``json`` exactly one object is printed on stdout, by `result` or `failure`.
    """

    def __init__(self, format: Format = Format.TEXT) -> None:
        self.format = format
        self._stdout = _console(stderr=False)
        self._stderr = _console(stderr=True)

    @property
    def is_json(self) -> bool:
        """Whether a program reads the output."""
        return self.format is Format.JSON

    def show(self, *items: Showable | str) -> None:
        """Print tables, reports and lines for people; on stderr where stdout belongs to the JSON object."""
        console = self._stderr if self.is_json else self._stdout
        for item in items:
            if isinstance(item, str):
                console.print(item, markup=False, highlight=False, soft_wrap=True)
            else:
                console.print(item.to_rich())

    def note(self, line: str) -> None:
        """Print a line on stderr, whatever the format."""
        self._stderr.print(line, markup=False, highlight=False, soft_wrap=True)

    def result(self, payload: Mapping[str, Any], *items: Showable | str) -> None:
        """Print the result: the payload as JSON, or the items as text."""
        if self.is_json:
            sys.stdout.write(json.dumps(jsonable(payload), allow_nan=False) + "\n")
        else:
            self.show(*items)

    def failure(self, status: str, error: EdgePlanError) -> None:
        """Print bad input: on stderr for people, and as the one object for programs."""
        self.note(f"edgeplan: {error}")
        if self.is_json:
            parts = {part: getattr(error, part) for part in ("subject", "expected", "got", "remedy")}
            self.result({"status": status, "error": {"kind": type(error).__name__, **parts}})

    @contextmanager
    def progress(self, title: str) -> Iterator[Progress]:
        """A progress bar on stderr while the block runs; silent where stderr is not a terminal."""
        if not self._stderr.is_terminal:
            yield lambda done, total, label: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, TextColumn("{task.fields[label]}"), console=self._stderr, transient=True) as bar:
            task = bar.add_task(title, total=None, label="")
            yield lambda done, total, label: bar.update(task, completed=done, total=total, label=label)


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr)
    if not console.is_terminal:
        console.width = max(console.width, MIN_COLUMNS)
    return console


def _remember(context: typer.Context, format: Format) -> Format:
    # The error handler of the whole command line has to know the format too; nested contexts share `meta`.
    context.meta[__name__] = Output(format)
    return format


def current_output(context: typer.Context) -> Output:
    """The output of the command that runs in this context; text where its options were not read yet.

    A command declares ``format: FormatOption = Format.TEXT`` and asks here for the result.
    """
    return context.meta.get(__name__) or Output()


FormatOption = Annotated[
    Format, typer.Option("--format", callback=_remember, is_eager=True, help="Text for people, json for programs.")
]
