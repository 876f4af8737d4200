"""What a backend is: something that opens a segment and runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from ...formulation import Configuration
from ..segments import SegmentFiles


class Session(Protocol):
    """An open segment.

    Attributes
    ----------
    input_names, output_names : tuple of str
    """

    @property
    def input_names(self) -> tuple[str, ...]: ...

    @property
    def output_names(self) -> tuple[str, ...]: ...

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the outputs.

        Several threads may call it at once. With one thread configured all work happens on the calling thread. The
        arrays returned belong to the caller: no later run touches them. What the runtime raises passes through.
        """
        ...

    def close(self) -> None:
        """Let the runtime's memory go. No run may follow."""
        ...


class Backend(Protocol):
    """A runtime that executes segments.

    Attributes
    ----------
    name : str
        As configurations name it.
    version : str
        Of the runtime.
    forms : tuple of str
        Session forms it offers, the cheapest in memory first.
    holds_workspace : bool
        Whether a session keeps its working memory between runs.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def forms(self) -> tuple[str, ...]: ...

    @property
    def holds_workspace(self) -> bool: ...

    def open(self, segment: SegmentFiles, configuration: Configuration, cores: tuple[int, ...]) -> Session:
        """Open a segment.

        Parameters
        ----------
        segment : SegmentFiles
        configuration : Configuration
        cores : tuple of int
            Ids of the cores it may use, the caller's first. Only needed for more than one thread.

        Raises
        ------
        UnsupportedError
            The backend has no such form, or the cores are fewer than the threads.
        """
        ...
