"""Solvers of other distributions: found by their entry points, and held to what a solver is before they are asked."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from typing import Any

from ..formulation import UnsupportedError, capped


def names_of_others(group: str) -> set[str]:
    """Names under which other distributions have registered solvers in a group of entry points."""
    return {entry.name for entry in entry_points(group=group)}


def solver_of_others(method: str, group: str) -> Any:
    """Make a solver that another distribution has registered; None where there is none of that name.

    Raises
    ------
    UnsupportedError
        Its distribution fails to load or to make it, it lacks what a solver must have, it gives itself another name, or
        there are two of that name.
    """
    entries = tuple(entry_points(group=group, name=method))
    if not entries:
        return None
    owners = capped(sorted(e.dist.name if e.dist else e.value for e in entries))
    entry, *twins = entries
    if twins:
        raise UnsupportedError(
            f"method {method!r}",
            expected="one distribution that provides it",
            got=owners,
            remedy="Remove all but one.",
        )
    made, lack = _made(method, entry, owners)
    if lack is not None:
        raise UnsupportedError(
            f"method {method!r}",
            expected="a solver of that name, with all that `edgeplan.solvers.Solver` asks for",
            got=lack,
            remedy=f"Repair or remove the distribution {owners}, or choose another method.",
        )
    return made


def _made(method: str, entry: EntryPoint, owners: str) -> tuple[Any, str | None]:
    try:
        made = entry.load()()
        return made, lack_of(made, method)
    except Exception as error:  # another's code: what it raises is not known here
        raise UnsupportedError(
            f"method {method!r}",
            expected=f"the distribution {owners} to load it",
            got=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            remedy="Repair or remove that distribution, or choose another method.",
        ) from error


def refuse_incomplete(solver: Any) -> None:
    """Refuse an object that is handed over as a solver and is none; a class in place of an object, for instance.

    Raises
    ------
    UnsupportedError
    """
    lack = lack_of(solver, getattr(solver, "name", None) or "")
    if lack is not None:
        raise UnsupportedError(
            f"method {solver!r}"[:100],
            expected="the name of a solver, or an object with all that `edgeplan.solvers.Solver` asks for",
            got=lack,
            remedy="Hand over such an object.",
        )


def lack_of(solver: Any, name: str) -> str | None:
    """What is wrong or missing in an object that should be the solver of a name, as a phrase; None where nothing is."""
    if not name or getattr(solver, "name", None) != name:
        return f"name {getattr(solver, 'name', None)!r}"
    features = getattr(solver, "features", None)
    if not callable(getattr(features, "unsupported", None)) or not hasattr(features, "exact"):
        return f"features {features!r}"
    if not callable(getattr(solver, "solve", None)):
        return "no solve"
    try:
        signature(solver.solve).bind(None, None, 0)
    except TypeError:
        return f"solve{signature(solver.solve)}, where a problem, a stop and a seed are given"
    except ValueError:
        pass  # not written in Python: it does not say what it takes
    return None
