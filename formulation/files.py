"""Files that cannot be read or do not fit: one way of saying so, whatever kind of file it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from .errors import EdgePlanError
from .validation import first_problem


@contextlib.contextmanager
def readable(subject: str, kind: type[EdgePlanError], remedy: str = "Check the path.") -> Iterator[None]:
    """Say what the operating system says of a file that cannot be read, or that is not text.

    Parameters
    ----------
    subject : str
        The file, for instance ``plan plan.json``.
    kind : type of EdgePlanError
        What to raise.
    remedy : str
    """
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        got = getattr(error, "strerror", None) or str(error)
        raise kind(subject, expected="a readable file", got=got, remedy=remedy) from error


@contextlib.contextmanager
def fitting(
    subject: str,
    kind: type[EdgePlanError],
    *,
    expected: str,
    remedy: str,
    other_version: type[EdgePlanError] | None = None,
) -> Iterator[None]:
    """Name the first place where a document does not fit its schema.

    Parameters
    ----------
    subject : str
        The file; the place is put behind it.
    kind : type of EdgePlanError
        What to raise.
    expected, remedy : str
    other_version : type of EdgePlanError, optional
        What to raise where that place is the schema version.
    """
    try:
        yield
    except ValidationError as error:
        where, what = first_problem(error)
        chosen = other_version if other_version is not None and where == "schema_version" else kind
        raise chosen(f"{subject}, {where}", expected=expected, got=what, remedy=remedy) from error


Document = TypeVar("Document", bound=BaseModel)


def read_json(
    document: type[Document],
    path: str | Path,
    subject: str,
    kind: type[EdgePlanError],
    *,
    expected: str,
    remedy: str,
    other_version: type[EdgePlanError] | None = None,
) -> Document:
    """Read a JSON file of a schema; parameters as in `readable` and `fitting`.

    Raises
    ------
    EdgePlanError
        Of the kinds given: the file cannot be read, is truncated, or does not fit.
    """
    with readable(subject, kind):
        data = Path(path).read_bytes()
    with fitting(subject, kind, expected=expected, remedy=remedy, other_version=other_version):
        return document.model_validate_json(data)


def read_yaml(path: str | Path, subject: str, kind: type[EdgePlanError]) -> Any:
    """Plain data of a YAML file.

    Raises
    ------
    EdgePlanError
        Of the kind given: the file cannot be read, is not YAML, or nothing that reads YAML is installed.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise kind(
            subject,
            expected="the library pyyaml, which reads it",
            got="it is not installed",
            remedy="Install it (pip install pyyaml), or hand over the data itself.",
        ) from error

    with readable(subject, kind):
        text = Path(path).read_text()
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        got = getattr(error, "problem", None) or " ".join(str(error).split())
        raise kind(f"{subject}{place}", expected="YAML", got=got, remedy="Correct the syntax there.") from error
