"""Plans to choose from: which are tried on all devices, what they cost there, and what that loses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...formulation import Plan
from ..identity import plan_digest
from .engine import Engine, EngineError, InProcess, Task
from .jobs import Fleet, Workload
from .transfer import Member, Row, Trial, for_any_device, member_of, score_plans

MAX_CANDIDATES = 60
"""Plans of a workload that are tried on all devices: those that most devices have as their own."""

_SCORES_HERE = 500
"""Fewer evaluations than these take less time here than workers take to start."""


def losses(objectives: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares by which plans are above the best known objective of each row, shape as `objectives`, 0 or more.

    The best known one is the row's own plan's, or another's where the search for the own one was cut short.
    """
    best = np.minimum(objectives.min(axis=1), own)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(best > 0, objectives / best - 1.0, np.where(objectives > 0, np.inf, 0.0))
    # What differs by the rounding of its sums is worth the same: devices that lose the same become one row.
    return np.maximum(0.0, np.round(shares, 9))


def candidates_of(
    fleet: Fleet, workload: Workload, rows: tuple[Row, ...], engine: Engine
) -> tuple[list[Plan], NDArray[np.float64], int]:
    """Plans to choose from, what each costs on every row, and how many distinct ones there were."""
    plans: dict[str, Plan] = {}
    own: list[str] = []
    devices: dict[str, int] = {}
    for row in rows:
        assert row.result.plan is not None
        plan = for_any_device(row.result.plan)
        digest = plan_digest(plan)
        plans.setdefault(digest, plan)
        own.append(digest)
        devices[digest] = devices.get(digest, 0) + row.devices
    order = sorted(plans, key=lambda digest: (-devices[digest], digest))
    kept = order[:MAX_CANDIDATES]
    objectives = _scores(fleet, workload, rows, [plans[digest] for digest in kept], own, kept, engine)
    while not np.isfinite(objectives).any(axis=1).all():
        # Somebody is served by none of them: the own plans of such rows are tried too, as many again at most.
        left = [own[i] for i in np.flatnonzero(~np.isfinite(objectives).any(axis=1))]
        more = [digest for digest in order if digest in set(left)][:MAX_CANDIDATES]
        added = _scores(fleet, workload, rows, [plans[digest] for digest in more], own, more, engine)
        objectives, kept = np.hstack([objectives, added]), kept + more
    return [plans[digest] for digest in kept], objectives, len(plans)


def _scores(
    fleet: Fleet,
    workload: Workload,
    rows: tuple[Row, ...],
    plans: list[Plan],
    own: list[str],
    digests: list[str],
    engine: Engine,
) -> NDArray[np.float64]:
    """Objective of every plan on every row, shape (rows, plans)."""
    families: dict[tuple[str, str], list[int]] = {}
    members: list[Member] = []
    for i, row in enumerate(rows):
        file = str(row.jobs[0].device.profile)
        members.append(member_of(row.variant, workload.scenario, fleet.profiles[file]))
        families.setdefault((file, members[i].family.model_dump_json()), []).append(i)
    tasks = [
        Task(str(k), file, Trial(workload.scenario, tuple(members[i] for i in at), tuple(plans)))
        for k, ((file, _), at) in enumerate(families.items())
    ]
    scores = np.full((len(rows), len(plans)), np.inf)
    groups = list(families.values())
    chosen: Engine = engine if len(tasks) * len(plans) > _SCORES_HERE else InProcess()
    for done in chosen.run(score_plans, fleet.profiles, tasks):
        refuse_failure(done.failure)
        scores[groups[int(done.key)]] = done.result
    for i, row in enumerate(rows):
        if own[i] in digests and row.result.objective is not None:
            scores[i, digests.index(own[i])] = row.result.objective
    return scores


def refuse_failure(failure: str) -> None:
    """Raise an `EngineError` where a worker could not score plans."""
    if failure:
        raise EngineError(
            "plans on other devices", expected="a score", got=failure, remedy="Run it again; what is planned is kept."
        )
