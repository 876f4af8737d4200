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

_MOST = float(np.finfo(float).max)
"""Losses are finite where a plan keeps the limits."""

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
    fleet: Fleet, workload: Workload, rows: tuple[Row, ...], engine: Engine, max_loss: float = np.inf
) -> tuple[list[Plan], NDArray[np.float64], int]:
    """Plans to choose from, what each loses on every row, and how many distinct ones there were.

    Those that most devices have as their own; and the own ones of rows that would lose more than `max_loss` by each of
    them, so that no row is left without a plan that serves it well enough.
    """
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
    own_objectives = np.array([row.result.objective for row in rows], dtype=np.float64)
    kept = order[:MAX_CANDIDATES]
    objectives = _scores(fleet, workload, rows, [plans[digest] for digest in kept], own, kept, engine)
    loss = losses(objectives, own_objectives)
    while not (served := (loss <= min(max_loss, _MOST)).any(axis=1)).all():
        # A row whose own plan is among them is served: the best that is known of it is.
        left = {own[i] for i in np.flatnonzero(~served)}
        more = [digest for digest in order if digest in left][:MAX_CANDIDATES]
        added = _scores(fleet, workload, rows, [plans[digest] for digest in more], own, more, engine)
        objectives, kept = np.hstack([objectives, added]), kept + more
        loss = losses(objectives, own_objectives)
    return [plans[digest] for digest in kept], loss, len(plans)


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
