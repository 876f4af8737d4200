"""What a backend is: something that opens a segment as a session under a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from ...formulation import Configuration
from ..segments import SegmentFiles


class Session(Protocol):
    """An open segment.

    `run` may be called from several threads at once. With one thread the work is done on the calling thread, so that a
    caller that is pinned to a core stays there. The arrays it returns are the caller's: a later run leaves them alone.
    """

    @property
    def input_names(self) -> tuple[str, ...]: ...

    @property
    def output_names(self) -> tuple[str, ...]: ...

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the segment once; whatever the runtime raises is raised."""
        ...

    def close(self) -> None:
        """Free what the session holds; it must not be run again."""
        ...


class Backend(Protocol):
    """A runtime that can open segments.

    Attributes
    ----------
    name : str
        As in `Configuration.backend`.
    version : str
    forms : tuple of str
        Forms of a session it offers, the usual one first.
    holds_workspace : bool
        Whether a session keeps its working memory between runs.
    """

    name: str
    version: str
    forms: tuple[str, ...]
    holds_workspace: bool

    def open(self, segment: SegmentFiles, configuration: Configuration, cores: tuple[int, ...]) -> Session:
        """Open a segment.

        Parameters
        ----------
        segment : SegmentFiles
        configuration : Configuration
        cores : tuple of int
            With more than one thread, exactly the cores they are bound to; the caller runs on the first.

        Raises
        ------
        UnsupportedError
            The backend does not know the form, or cannot load the segment.
        """
        ...
