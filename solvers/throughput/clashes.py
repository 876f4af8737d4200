"""Why there is no plan: limits of memory, response and rate that clash, none of which can be spared.

Core time is no limit that could be spared: what the cores cannot do, no plan does.
"""

from __future__ import annotations

import numpy as np

from ...formulation.throughput import ServiceLimit, ThroughputProblem, limits_of
from ..stop import Stop
from .offer import Offer
from .solution import ServiceClash, ThroughputSolution


def infeasible(method: str, problem: ThroughputProblem, clashes: tuple[ServiceClash, ...]) -> ThroughputSolution:
    """The answer that no plan keeps these limits."""
    return ThroughputSolution("infeasible", method, clashes=clashes)


def find_clashes(problem: ThroughputProblem, stop: Stop, seed: int) -> tuple[ServiceClash, ...]:
    """A smallest-by-inclusion set of limits that no plan keeps together, in a problem known to have no plan.

    Single limits are tried first; otherwise each in turn is left out for good where the others still clash without it
    (the deletion filter of Chinneck, Dravnieks 1991, doi 10.1287/ijoc.3.2.157). Where time runs out, a limit that was
    not tried stays in the set.
    """
    from .cp_sat import searched

    offer = Offer.of(problem)

    def clash(kept: frozenset[ServiceLimit]) -> bool:
        if stop():
            return False
        found, _, ended = searched(offer, stop, seed, kept, any_plan=True)
        return found is None and ended

    order = [limit for limit in limits_of(problem) if limit.kind != "cores"]
    clashing = frozenset(order)
    for limit in order:
        if clash(frozenset({limit})):
            clashing = frozenset({limit})
            break
    if len(clashing) > 1:
        for limit in order:
            if clash(clashing - {limit}):
                clashing -= {limit}
    return tuple(
        ServiceClash(limit, _sentence(offer, limit, clashing - {limit})) for limit in order if limit in clashing
    )


def _sentence(offer: Offer, limit: ServiceLimit, others: frozenset[ServiceLimit]) -> str:
    problem = offer.problem
    beside = f", together with {' and '.join(str(other) for other in sorted(others))}" if others else ""
    if limit.kind == "memory":
        allowed = problem.memory_limit[limit.subject] / 2**20
        least = _least_bytes(offer, limit.subject) / 2**20
        need = f"the instances that every plan needs there take {least:.4g} MiB" if least else "no plan fits"
        return f"{limit}: {allowed:.4g} MiB are allowed{beside or f', but {need}'}"
    i = problem.model_index[limit.subject]
    if limit.kind == "response":
        fastest = min(c.quickest_us for c in offer.columns if c.model == i) / 1e3
        share = 100 * problem.level[i]
        asked = f"{share:.4g} % within {problem.deadline_us[i] / 1e3:.4g} ms"
        return f"{limit}: {asked}{beside or f', but the fastest possible response is {fastest:.4g} ms'}"
    asked = f"{problem.min_rate_hz[i]:.4g} requests a second"
    return f"{limit}: {asked}{beside or ' are more than the cores can serve'}"


def _least_bytes(offer: Offer, memory: str) -> float:
    """Bytes of a memory that no plan does without: of models that can run nowhere else."""
    where = {p.name: p.memory for p in offer.problem.platform.processors}
    least = 0.0
    for i in range(len(offer.problem.models)):
        needs = []
        for column in (c for c in offer.columns if c.model == i):
            there = 0.0
            for stage, kind in zip(column.stages, column.kinds, strict=True):
                if where[offer.kinds[kind].processor] == memory:
                    m = offer.costs.memory(stage)
                    there += m.weights + m.own + m.running
            needs.append(there)
        least += min(needs, default=np.inf)
    return least
