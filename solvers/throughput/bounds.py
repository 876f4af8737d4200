"""A bound by core time alone: what processors could do if instances came in fractions and nothing waited."""

from __future__ import annotations

import numpy as np

from ...formulation.throughput import ServiceLimit
from .offer import Offer


def lane_time(offer: Offer, processor: str) -> list[float]:
    """Most lane time a second, alone, that n lanes of a processor can do beside each other, for n = 0, 1, …

    With κ the smallest product of a sensitivity and a pressure on the processor and u_l the share of time that lane l
    runs, what lane l does takes u_l / (1 + κ Σ u of the others) alone. The sum is convex in each u_l, so it is largest
    where some lanes run as long as they may, and the others not at all.
    """
    problem = offer.problem
    mine = [k for k, kind in enumerate(offer.kinds) if kind.processor == processor]
    most = max((offer.lanes_at_most(k) for k in mine), default=0)
    activities = [
        problem.contention.activity(problem.models[s.model].name, c.name, processor, c.threads)
        for column in offer.columns
        for s, k in zip(column.stages, column.kinds, strict=True)
        if k in mine
        for c in [problem.models[s.model].costs.configurations[s.configuration]]
    ]
    kappa = min((a.sensitivity for a in activities), default=0.0) * min((a.pressure for a in activities), default=0.0)
    top, found = problem.limits.max_utilisation, [0.0]
    for n in range(1, most + 1):
        found.append(max(found[-1], n * top / (1.0 + kappa * (n - 1) * top)))
    return found


def core_time_bound(offer: Offer, kept: frozenset[ServiceLimit] | None = None) -> float:
    """No plan has a smaller objective; ∞ where core time alone shows that there is none.

    With `kept`, only those limits count.

    A linear program over columns: each processor's cores, times the largest utilisation, carry the core time of the
    requests. Columns that cannot answer within the deadline carry at most the share of requests that may be late.
    """
    from scipy.optimize import linprog

    problem, columns = offer.problem, offer.columns
    n, m = len(columns), len(problem.models)
    names = [p.name for p in problem.platform.processors]
    cores = np.array([len(p.cores) for p in problem.platform.processors], dtype=np.float64)
    owner = np.array([c.model for c in columns])
    member = (owner[None, :] == np.arange(m)[:, None]).astype(float)
    timely = [kept is None or ServiceLimit("response", model.name) in kept for model in problem.models]
    asked = [kept is None or ServiceLimit("rate", model.name) in kept for model in problem.models]
    least = np.where(asked, problem.min_rate_hz, 0.0)
    late = np.array([timely[c.model] and c.quickest_us > problem.deadline_us[c.model] for c in columns], dtype=float)
    # Columns are scaled to the most requests that all cores of its first processor could serve alone.
    work, alone = np.zeros((len(names), n)), np.zeros((len(names), n))
    for k, column in enumerate(columns):
        for kind, us in zip(column.kinds, column.request_us, strict=True):
            lane = offer.kinds[kind]
            work[names.index(lane.processor), k] += us / 1e6 * lane.threads
            alone[names.index(lane.processor), k] += us / 1e6
    scale = 1.0 / work.max(axis=0)
    work, alone, member = work * scale, alone * scale, member * scale
    objective, top = problem.service.objective, problem.limits.max_utilisation
    # Variables: scaled rates, then the factor of the mix (or of the weights), or the cores in use for objective cost.
    lateness = member * late[None, :] - (1.0 - problem.level)[:, None] * member
    others = 1 if objective != "cost" else len(names)
    rows = [np.hstack([lateness, np.zeros((m, others))]), np.hstack([alone, np.zeros((len(names), others))])]
    right = [np.zeros(m), np.array([lane_time(offer, p)[-1] for p in names])]
    upper = [(0.0, None)] * n
    if objective == "cost":
        price = [problem.service.core_price.get(p, 0.0) for p in names]
        price = np.array(price) + np.array([problem.service.processor_price.get(p, 0.0) for p in names]) / cores
        rows += [np.hstack([work, -top * np.eye(len(names))]), np.hstack([-member, np.zeros((m, len(names)))])]
        right += [np.zeros(len(names)), -least]
        aim = np.concatenate([np.zeros(n), price])
        upper += [(0.0, c) for c in cores]
    else:
        direction = {"capacity": problem.mix_hz, "fair": problem.weight}.get(objective, np.zeros(m))
        rows += [np.hstack([work, np.zeros((len(names), 1))]), np.hstack([-member, direction[:, None]])]
        right += [top * cores, np.zeros(m)]
        rows += [np.hstack([-member, np.zeros((m, 1))])]
        right += [-least]
        gain = problem.weight[owner] * scale if objective == "throughput" else np.zeros(n)
        aim = -np.append(gain, 0.0 if objective == "throughput" else 1.0)
        upper += [(0.0, 0.0 if objective == "throughput" else None)]
    found = linprog(aim, A_ub=np.vstack(rows), b_ub=np.concatenate(right), bounds=upper, method="highs")
    if found.status != 0:
        return np.inf
    # A little below, for the linear program's own rounding.
    return float(found.fun) - 1e-9 * abs(float(found.fun)) - 1e-12
