"""Solutions made from what a search found."""

from __future__ import annotations

import numpy as np

from .offer import Offer
from .rates import Scored
from .solution import ThroughputSolution

RESOLUTION = 1e-3
"""Relative gap up to which a plan counts as optimal: rates are continuous, and exact search counts them in integers."""


def solution_of(method: str, offer: Offer, scored: Scored | None, bound: float = -np.inf) -> ThroughputSolution:
    """Solution of a scored structure; `timeout`, with nothing found, where there is none."""
    if scored is None:
        return ThroughputSolution("timeout", method)
    known = min(bound, scored.objective) if np.isfinite(bound) else None
    proven = known is not None and scored.objective - known <= RESOLUTION * abs(scored.objective)
    return ThroughputSolution(
        "optimal" if proven else "feasible", method, scored.objective, known, plan=scored.plan(offer)
    )
