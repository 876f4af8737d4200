"""Loops that numba compiles. Where numba is not installed Python interprets them: the same answers, later.

Import this module only where a loop is about to run: it loads numba.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from numba import njit as njit
else:
    try:
        from numba import njit
    except ModuleNotFoundError:
        F = TypeVar("F", bound=Callable[..., Any])

        warnings.warn(
            "numba is not installed: loops are interpreted, which takes tens to hundreds of times as long. "
            "Remedy: pip install numba.",
            RuntimeWarning,
            stacklevel=2,
        )

        def njit(**options: object) -> Callable[[F], F]:
            """Leave a function as it is; the options are those of numba's decorator of this name."""
            return lambda function: function
