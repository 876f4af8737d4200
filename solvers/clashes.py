"""Why there is no plan: limits that clash, none of which can be spared."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..formulation import Problem
from .limits import Limit, limits_of
from .solution import Clash
from .stop import Stop

Feasible = Callable[[frozenset[Limit]], bool | None]
"""Whether some plan keeps a set of limits; None where time ran out."""

Smallest = Callable[[Limit, frozenset[Limit]], float | None]
"""Smallest figure for a limit among plans that keep a set of others; None where time ran out or there is none."""


def find_clashes(problem: Problem, feasible: Feasible, smallest: Smallest, stop: Stop) -> tuple[Clash, ...]:
    """A smallest-by-inclusion set of limits that no plan keeps together.

    Single limits are tried first, so that one that cannot hold by itself is always named alone. Otherwise each limit in
    turn is left out for good where the others still clash without it (the deletion filter of Chinneck, Dravnieks 1991,
    doi 10.1287/ijoc.3.2.157). Where time runs out, a limit that was not tried stays in the set.

    Parameters
    ----------
    problem : Problem
        Known to have no plan.
    feasible, smallest : callables
        Answer questions about parts of the limits.
    stop : Stop
    """
    limits = limits_of(problem)
    # Memory and utilisation are tried for removal first: a deadline says more to the reader.
    order = sorted(limits, key=lambda limit: (limit.kind == "deadline", limit))
    clashing = frozenset(limits)
    for limit in reversed(order):
        if not stop() and feasible(frozenset({limit})) is False:
            clashing = frozenset({limit})
            break
    if len(clashing) > 1:
        for limit in order:
            if not stop() and feasible(clashing - {limit}) is False:
                clashing -= {limit}
    return tuple(
        _clash(problem, limit, limits[limit], smallest(limit, clashing - {limit}), clashing - {limit})
        for limit in order
        if limit in clashing
    )


def _clash(problem: Problem, limit: Limit, bound: float, best: float | None, others: Collection[Limit]) -> Clash:
    what = _smallest_what(problem, limit)
    kept = f" while {' and '.join(_named(other) for other in sorted(others))} hold{'s' * (len(others) == 1)}"
    sentence = f"{_named(limit)}: {_quantity(limit, bound)} is below its {what}"
    sentence += f" of {_quantity(limit, best)}" if best is not None else ""
    return Clash(limit, bound, best, sentence + (kept if others else ""))


def _named(limit: Limit) -> str:
    return "utilisation of each core" if limit.kind == "utilisation" else f"{limit.kind} of {limit.subject}"


def _smallest_what(problem: Problem, limit: Limit) -> str:
    if limit.kind == "memory":
        return "smallest possible use"
    if limit.kind == "utilisation":
        return "smallest possible value"
    if len(problem.models) == 1:
        return "fastest possible latency"
    hard = problem.stream_of[limit.subject].is_hard
    return "fastest possible response" if hard else "fastest possible latency behind one other segment"


def _quantity(limit: Limit, value: float) -> str:
    if limit.kind == "memory":
        return f"{value / 2**20:.4g} MiB" if value >= 2**20 else f"{value:.0f} bytes"
    if limit.kind == "utilisation":
        return f"{value:.3g}"
    return f"{value / 1e3:.4g} ms" if value >= 1e3 else f"{value:.4g} µs"
