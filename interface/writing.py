"""Places that cannot be written to, once the work has begun: one way of saying so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from .output import OutputError


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Say what the operating system says of a place that cannot be written to: full, not allowed, of another kind.

    Parameters
    ----------
    place : Path

    Raises
    ------
    OutputError
        In place of any `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"output {place}",
            expected="a place that can be written to",
            got=error.strerror or str(error),
            remedy="Make room, or choose another place; what was written before is whole.",
        ) from error
