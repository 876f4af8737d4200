"""Loops that numba compiles. Where numba is not installed Python interprets them: the same answers, later.

What was compiled is kept in the user's cache folder (``EDGEPLAN_CACHE``, as everything that can be made again), unless
``NUMBA_CACHE_DIR`` says where. Numba by itself would write it beside the modules, where it outlives the package: a
folder that is left there hides the next installation's.

Import this module only where a loop is about to run: it loads numba.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .compile_time import COMPILE_TIME

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:
    from numba import njit as njit
else:
    try:
        with COMPILE_TIME.under_way():
            import numba
            from numba.core import event
    except ModuleNotFoundError:
        warnings.warn(
            "numba is not installed: loops are interpreted, which takes tens to hundreds of times as long. "
            "Remedy: pip install numba.",
            RuntimeWarning,
            stacklevel=2,
        )

        def njit(**options: object) -> Callable[[F], F]:
            """Leave a function as it is; the options are those of numba's decorator of this name."""
            return lambda function: function
    else:

        class _Heard(event.Listener):
            """Numba says when it compiles, not when it loads what it has kept."""

            def on_start(self, event: object) -> None:
                COMPILE_TIME.begin()

            def on_end(self, event: object) -> None:
                COMPILE_TIME.end()

        event.register("numba:compile", _Heard())
        _deciding = threading.Lock()  # numba's setting is the process's

        def njit(**options: Any) -> Callable[[F], F]:
            """Numba's decorator of this name; what it keeps goes to the user's cache folder."""

            def compiled(function: F) -> F:
                with _deciding:
                    chosen = numba.config.CACHE_DIR
                    numba.config.CACHE_DIR = chosen or str(cache_folder())  # looked at while the decorator runs
                    try:
                        return numba.njit(**options)(function)
                    finally:
                        numba.config.CACHE_DIR = chosen

            return compiled


def cache_folder() -> Path:
    """Folder for compiled loops."""
    user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    root = Path(os.environ.get("EDGEPLAN_CACHE") or Path(user, "edgeplan"))
    return root.expanduser() / "compiled"
