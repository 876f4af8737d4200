"""Folders that results are written to: one run at a time, and one way of saying that nothing can be written there."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
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


@contextlib.contextmanager
def held(folder: Path, tell: Callable[[str], object]) -> Iterator[None]:
    """Make a folder and hold it against other runs, which would do the same work and mix their results with these.

    The system gives it free when a run ends, however it ends.

    Parameters
    ----------
    folder : Path
    tell : callable
        Told, in words, that another run has the folder, before that one is waited for, and when the user interrupts,
        that what is finished stays there.

    Raises
    ------
    OutputError
        It cannot be made or written to.
    """
    with contextlib.ExitStack() as stack:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            handle = stack.enter_context((folder / ".lock").open("w"))
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                tell(f"edgeplan: waiting for another run in {folder}")
                fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        except KeyboardInterrupt:
            tell(f"edgeplan: what is finished is kept in {folder}; the same command goes on from there")
            raise
