"""Solvers of the problem of tenants that share an accelerator with little memory.

`edgeplan.solvers.solve` takes a `TenancyProblem`; `Reallocator` solves one again and again as rates change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .reallocator import Reallocator as Reallocator

__all__ = ["Reallocator"]


def __getattr__(name: str) -> object:
    # Compiled loops are loaded by those who search, not by everyone who imports the package.
    if name == "Reallocator":
        from .reallocator import Reallocator

        return Reallocator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
