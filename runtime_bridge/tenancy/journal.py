"""The controller's journal: JSON lines, written as things happen. A header, then one event a line, then an end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ...formulation import EdgePlanError
from ...formulation.files import fitting, readable
from ...formulation.tenancy import Allocation, TenancyProblem
from ...formulation.validation import first_problem
from .event_order import misfit
from .events import Answer, Decision, End, Event, Outcome, Question, Window
from .problem_data import ProblemData
from .settings import ControllerSettings

JOURNAL_SCHEMA_VERSION = 1
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_REMEDY = "Take a journal that the controller wrote."


class JournalError(EdgePlanError):
    """A journal that is truncated, of another version, or not one."""


class Header(BaseModel):
    """First line of a journal.

    Attributes
    ----------
    schema_version : int
    problem : ProblemData
        As stated: with the rates and costs that were believed at the begin.
    allocation : Allocation
        That served at the begin.
    settings : ControllerSettings
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["header"] = "header"
    schema_version: Literal[1] = JOURNAL_SCHEMA_VERSION
    problem: ProblemData
    allocation: Allocation
    settings: ControllerSettings

    @classmethod
    def of(cls, problem: TenancyProblem, allocation: Allocation, settings: ControllerSettings) -> Header:
        """The header for what a controller starts with."""
        return cls(problem=ProblemData.of(problem), allocation=allocation, settings=settings)


@dataclass(frozen=True)
class Considered:
    """One decision with all that led to it and what became of it."""

    question: Question
    answer: Answer
    decision: Decision
    outcome: Outcome | None


@dataclass(frozen=True)
class Journal:
    """A journal that was read, or is kept in memory.

    Attributes
    ----------
    header : Header
    events : tuple of Event
    complete : bool
        Whether it has an end. Without one the controller was cut off, or is still running.
    """

    header: Header
    events: tuple[Event, ...]
    complete: bool = True

    @property
    def windows(self) -> tuple[Window, ...]:
        """What was seen."""
        return tuple(event for event in self.events if isinstance(event, Window))

    @property
    def decisions(self) -> tuple[Considered, ...]:
        """Every decision with what belongs to it, in order; without one that was cut off half-way."""
        return tuple(self._considered())

    def _considered(self) -> Iterator[Considered]:
        events = [event for event in self.events if not isinstance(event, Window | End)]
        for i, event in enumerate(events):
            if isinstance(event, Decision):
                question, answer = events[i - 2], events[i - 1]
                following = events[i + 1] if i + 1 < len(events) else None
                assert isinstance(question, Question)
                assert isinstance(answer, Answer)
                yield Considered(question, answer, event, following if isinstance(following, Outcome) else None)

    @classmethod
    def load(cls, path: str | Path, *, partial: bool = False) -> Journal:
        """Read a journal.

        Parameters
        ----------
        path : str or Path
        partial : bool
            Take what is whole of a file that ends in the middle of a line.

        Raises
        ------
        JournalError
            The file cannot be read, is truncated, of another schema version, or not a journal; or its events are not
            in an order that a controller writes.
        """
        subject = f"journal {path}"
        with readable(subject, JournalError):
            text = Path(path).read_text(encoding="utf-8")
        # Not `splitlines`, which also cuts at separators that JSON leaves as they are, in a tenant's name for instance.
        lines = text.removesuffix("\n").split("\n") if text else []
        if text and not text.endswith("\n"):
            if not partial:
                raise JournalError(
                    f"{subject}, line {len(lines)}",
                    expected="a whole line",
                    got="one that is cut off",
                    remedy="Read what is whole with `--partial`.",
                )
            lines.pop()
        if not lines:
            raise JournalError(subject, expected="a header", got="nothing", remedy=_REMEDY)
        with fitting(
            f"{subject}, line 1",
            JournalError,
            expected=f"the header of a controller's journal of schema version {JOURNAL_SCHEMA_VERSION}",
            remedy=_REMEDY,
        ):
            header = Header.model_validate_json(lines[0])
        events = [_event(subject, number, line) for number, line in enumerate(lines[1:], start=2)]
        _check_order(subject, events, len(header.problem.tenants))
        return cls(header, tuple(events), bool(events) and isinstance(events[-1], End))


class JournalWriter:
    """Writes events as they come, to a file or, where there is none, to memory. Use it as a context manager.

    Parameters
    ----------
    header : Header
    path : str or Path, optional
    """

    def __init__(self, header: Header, path: str | Path | None = None) -> None:
        self.header = header
        self._path = path
        self._kept: list[Event] = []
        self._ended = False
        with readable(f"journal {path}", JournalError, "Choose a place that can be written to."):
            self._file = None if path is None else _opened(Path(path))
        self._write(header)

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def journal(self) -> Journal:
        """What was written so far; read back where it is in a file."""
        if self._path is not None:
            return Journal.load(self._path)
        return Journal(self.header, tuple(self._kept), self._ended)

    def note(self, event: Event) -> None:
        """Write an event."""
        if self._path is None:
            self._kept.append(event)
        self._write(event)

    def close(self) -> None:
        """Write the end."""
        if not self._ended:
            self._ended = True
            self.note(End())
        if self._file is not None:
            self._file.close()

    def _write(self, line: BaseModel) -> None:
        if self._file is not None:
            # Python writes the shortest digits that read back as the same float, so that nothing is lost.
            self._file.write(json.dumps(line.model_dump(mode="json"), allow_nan=False, ensure_ascii=False) + "\n")
            self._file.flush()


def _opened(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8")


def _event(subject: str, number: int, line: str) -> Event:
    try:
        return _EVENT.validate_json(line)
    except ValidationError as error:
        where, what = first_problem(error)
        raise JournalError(
            f"{subject}, line {number}, {where}", expected="an event of a controller", got=what, remedy=_REMEDY
        ) from error


def _check_order(subject: str, events: list[Event], n_tenants: int) -> None:
    before = None
    for number, event in enumerate(events, start=2):
        wrong = misfit(before, event, n_tenants)
        if wrong is not None:
            expected, got = wrong
            raise JournalError(f"{subject}, line {number}", expected=expected, got=got, remedy=_REMEDY)
        before = event
