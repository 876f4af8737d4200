"""A scenario planned for a command: the solution, what else was tried, and whether it can be found again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .case import Case
from .facade import candidates, plan
from .reproducibility import why_not_reproducible

if TYPE_CHECKING:
    from ..solvers import Candidate, Solution


@dataclass(frozen=True)
class Planned:
    """What a search came to.

    Attributes
    ----------
    solution : Solution
    judged : tuple of Candidate
        Policies of sharing cores that it was chosen from, best first; empty where a method was asked for.
    doubt : str
        Why the same inputs may give another plan; empty where they cannot.
    """

    solution: Solution
    judged: tuple[Candidate, ...]
    doubt: str


def planned(case: Case, method: str, time_limit_s: float, seed: int) -> Planned:
    """Plan a case, as `facade.plan` does, and keep what its answer was chosen from.

    Raises
    ------
    UnsupportedError
        The method does not support the problem.
    """
    if method != "auto" or case.problem.objective != "response":
        solution = plan(case, method, time_limit_s, seed)
        return Planned(solution, (), why_not_reproducible((solution,), time_limit_s))
    from ..solvers.policies import policies

    judged = candidates(case, time_limit_s, seed)
    each_s = time_limit_s / len(policies(case.problem))
    searched = [candidate.solution for candidate in judged]
    return Planned(searched[0], judged, why_not_reproducible(searched, each_s))
