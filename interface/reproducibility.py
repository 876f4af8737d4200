"""Whether the clock had a part in a plan: only then can the same inputs and versions give another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..formulation import Problem

if TYPE_CHECKING:
    from ..solvers import Solution

SHORTEST_STAGE = 0.2
"""Least share of the time left that a solver of planning problems gives to a stage that goes before others. A search
that took less than this share of what it left over cannot have had a stage ended by the clock."""


def why_not_reproducible(solutions: Sequence[Solution], limit_s: float) -> str:
    """Why the same inputs may give another plan next time, as a clause; empty where they cannot.

    Solvers draw only from their seed, and CP-SAT runs with one worker. So what remains is the clock.

    Parameters
    ----------
    solutions : sequence of Solution
        Of every search that had a part in the choice of the plan.
    limit_s : float
        Seconds that each of them was allowed.
    """
    from ..solvers.problem_classes import class_of

    foreign = sorted({solution.method for solution in solutions} - set(class_of(Problem).built_in))
    if foreign:
        return f"it is not known how solver {foreign[0]!r}, of another distribution, uses its time and its seed"
    longest_s = max(solution.runtime_s for solution in solutions)
    if longest_s >= limit_s:
        return "the time limit cut a search short (a longer limit may help)"
    if longest_s >= SHORTEST_STAGE * (limit_s - longest_s):
        return "the clock may have ended a stage of a search, for that took long (a longer limit may help)"
    return ""
