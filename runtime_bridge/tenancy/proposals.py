"""What the controller chooses from: the present allocation, the solver's, and further ones by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ...formulation import EdgePlanError
from ...formulation.tenancy import Allocation, TenancyProblem
from .beliefs import believed
from .events import Answer, Belief, Candidate

Reallocate = Callable[[TenancyProblem], Any]
"""Solves a problem. What it returns has an `allocation` (None where there is none)."""

Predict = Callable[[TenancyProblem, Allocation], float]
"""Mean response time of an allocation, microseconds; ∞ where it is unstable."""

Alternatives = Callable[[TenancyProblem], Mapping[str, Allocation]]
"""Further allocations to hold against, by name."""


def propose(
    problem: TenancyProblem,
    allocation: Allocation,
    belief: Belief,
    reallocate: Reallocate,
    predict: Predict,
    alternatives: Alternatives | None = None,
) -> Answer:
    """Solve for what is believed, and predict every candidate by the one evaluator.

    Parameters
    ----------
    problem : TenancyProblem
        As stated.
    allocation : Allocation
        That serves.
    belief : Belief
    reallocate : callable
    predict : callable
    alternatives : callable, optional
    """
    seen = believed(problem, belief)
    candidates, failure = [_candidate("current", seen, allocation, predict)], ""
    try:
        proposed = reallocate(seen).allocation
        if proposed is None:
            failure = "the solver found no allocation"
        else:
            candidates.append(_candidate("solver", seen, proposed, predict))
        for name, other in (alternatives(seen) if alternatives is not None else {}).items():
            candidates.append(_candidate(name, seen, other, predict))
    except EdgePlanError as error:
        failure = f"the solver failed: {error}"
    return Answer(candidates=tuple(candidates), failure=failure)


def _candidate(name: str, problem: TenancyProblem, allocation: Allocation, predict: Predict) -> Candidate:
    mean_us = predict(problem, allocation)
    # How it was found does not count, and how long that took differs every time: a journal can be made again.
    plain = allocation.model_copy(update={"solver": None})
    return Candidate(name=name, allocation=plain, mean_response_us=mean_us if math.isfinite(mean_us) else None)
