"""Files that cannot be read or do not fit: one way of saying so, whatever kind of file it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pydantic import ValidationError

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
