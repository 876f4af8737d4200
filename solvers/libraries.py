"""Libraries that only some solvers are built on: what is said where one is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..formulation import UnsupportedError

OPTIONAL = frozenset({"ortools", "pymoo", "scipy"})
"""Import names (and names of distributions) that a tool may leave out when it installs the solvers alone."""


@contextmanager
def named(method: str) -> Iterator[None]:
    """Say which library a solver lacks, where one of `OPTIONAL` cannot be imported in the block.

    Raises
    ------
    UnsupportedError
        The library is not installed. Any other import that fails is a bug and passes through.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in OPTIONAL:
            raise
        raise UnsupportedError(
            f"method {method!r}",
            expected=f"the library {library}, which it is built on",
            got="it is not installed",
            remedy=f"Install it (pip install {library}), or choose another method.",
        ) from error
