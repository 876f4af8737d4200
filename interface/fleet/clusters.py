"""Few plans for many devices: which plans to keep, who takes which, and what that loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...formulation import Plan
from ..identity import plan_digest
from .engine import Engine, EngineError, InProcess, Task
from .jobs import Fleet, JobResult, Workload
from .transfer import Contest, Row, Trial, family_of, for_any_device, miss_ratios, rows_of, score_plans

MAX_CANDIDATES = 60
"""Plans of a workload that are tried on all devices: those that most devices have as their own."""

CURVE_PLANS = 10
"""Numbers of plans that the loss is stated for, from 1 up."""

_SCORES_HERE = 500
"""Fewer evaluations than these take less time here than workers take to start."""


@dataclass(frozen=True)
class ChosenPlan:
    """A plan that is kept.

    Attributes
    ----------
    name : str
        Of its file, without the ending.
    plan : Plan
    rows : tuple of int
        Rows that take it.
    devices : int
    mean_loss, worst_loss : float
        Over its devices, as shares of each one's best known objective.
    worst_device : str
    miss_ratio, own_miss_ratio : float or None
        Simulated, on the worst device: by this plan, and by the device's own. None without deadlines.
    """

    name: str
    plan: Plan
    rows: tuple[int, ...]
    devices: int
    mean_loss: float
    worst_loss: float
    worst_device: str
    miss_ratio: float | None = None
    own_miss_ratio: float | None = None


@dataclass(frozen=True)
class Step:
    """What one number of plans costs: the plans' names, mean and worst loss, a proven bound on the mean; None where that
    many plans cannot serve every device."""

    plans: int
    names: tuple[str, ...]
    mean_loss: float | None
    worst_loss: float | None
    bound: float | None
    status: str


@dataclass(frozen=True)
class WorkloadClusters:
    """Plans kept for one workload.

    Attributes
    ----------
    workload : Workload
    rows : tuple of Row
    candidates : tuple of str
        Names of the plans that were tried on all devices.
    loss : ndarray, shape (rows, candidates)
        Share by which a device's objective is above its best known one; infinite where the plan breaks a limit there.
    distinct_plans : int
        Before any were left out.
    status : str
        Of the choice: ``optimal`` where no other choice among the candidates is better.
    gap : float or None
    least_plans : int or None
        Fewer cannot do, proven; only where their number was minimised.
    chosen : tuple of ChosenPlan
        Empty where no choice keeps the limits.
    chosen_of : ndarray of int, shape (rows,)
        Index into `chosen`; empty without a choice.
    curve : tuple of Step
    """

    workload: Workload
    rows: tuple[Row, ...]
    candidates: tuple[str, ...]
    loss: NDArray[np.float64]
    distinct_plans: int
    status: str
    gap: float | None
    least_plans: int | None
    chosen: tuple[ChosenPlan, ...]
    chosen_of: NDArray[np.int64]
    curve: tuple[Step, ...]

    @property
    def devices(self) -> int:
        """Devices that have a plan of their own."""
        return sum(row.devices for row in self.rows)

    def loss_of(self, row: int) -> float:
        """What a row loses by the plan that it takes."""
        return float(self.loss[row, self.candidates.index(self.chosen[self.chosen_of[row]].name)])


def cluster(
    fleet: Fleet,
    results: Sequence[JobResult],
    engine: Engine,
    *,
    most_plans: int | None,
    max_loss: float | None,
    time_limit_s: float,
) -> tuple[WorkloadClusters, ...]:
    """Choose plans for every workload that has any.

    Parameters
    ----------
    fleet : Fleet
    results : sequence of JobResult
        One a job.
    engine : Engine
        Scores plans on devices, where there are many.
    most_plans : int, optional
        Of each workload; the mean loss is minimised then. Left out, the number of plans is.
    max_loss : float, optional
        No device may lose a larger share.
    time_limit_s : float
        Seconds for each workload's choice, and as many for its curve.
    """
    found = []
    for workload in fleet.workloads:
        rows = rows_of(fleet, results, workload.name)
        if rows:
            found.append(_cluster(fleet, workload, rows, engine, most_plans, max_loss, time_limit_s))
    return tuple(found)


def _cluster(
    fleet: Fleet,
    workload: Workload,
    rows: tuple[Row, ...],
    engine: Engine,
    most_plans: int | None,
    max_loss: float | None,
    time_limit_s: float,
) -> WorkloadClusters:
    from ...solvers.clustering import ClusteringProblem, choose_columns, loss_curve

    plans, objectives, distinct = _candidates(fleet, workload, rows, engine)
    names = tuple(f"{workload.file_name}-P{k}" for k in range(1, len(plans) + 1))
    loss = losses(objectives, np.array([row.result.objective for row in rows], dtype=np.float64))
    weight = np.array([row.devices for row in rows], dtype=np.float64)
    limit = np.inf if max_loss is None else max_loss
    problem = ClusteringProblem(loss, weight, most_plans, limit)
    choice = choose_columns(problem, "cp_sat", time_limit_s, fleet.spec.seed)
    up_to = max(CURVE_PLANS, most_plans or 0, len(choice.columns))
    steps = loss_curve(ClusteringProblem(loss, weight), up_to, time_limit_s, fleet.spec.seed)
    curve = tuple(
        Step(k, tuple(names[j] for j in step.columns), step.objective, step.worst_loss, step.bound, step.status)
        for k, step in enumerate(steps, start=1)
    )
    chosen = []
    for j in choice.columns:
        taken = np.flatnonzero(choice.column_of == j)
        worst = int(taken[loss[taken, j].argmax()])
        chosen.append(
            ChosenPlan(
                names[j],
                _named_machine(plans[j], [rows[int(i)] for i in taken]),
                tuple(map(int, taken)),
                int(weight[taken].sum()),
                float(np.average(loss[taken, j], weights=weight[taken])),
                float(loss[worst, j]),
                rows[worst].jobs[0].device.name,
                *_simulated(fleet, workload, rows[worst], plans[j]),
            )
        )
    index = {j: k for k, j in enumerate(choice.columns)}
    return WorkloadClusters(
        workload,
        rows,
        names,
        loss,
        distinct,
        choice.status,
        choice.gap,
        choice.least_columns,
        tuple(chosen),
        np.array([index[int(j)] for j in choice.column_of], dtype=np.int64),
        curve,
    )


def losses(objectives: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares by which plans are above the best known objective of each row, shape as `objectives`, 0 or more.

    The best known one is the row's own plan's, or another's where the search for the own one was cut short.
    """
    best = np.minimum(objectives.min(axis=1), own)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(best > 0, objectives / best - 1.0, np.where(objectives > 0, np.inf, 0.0))
    # What differs by the rounding of its sums is the same plan's worth.
    return np.where(shares < 1e-9, 0.0, shares)


def _candidates(
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
    members = []
    for i, row in enumerate(rows):
        file = str(row.jobs[0].device.profile)
        member = family_of(row.variant, workload.scenario, fleet.profiles[file])
        members.append(member)
        families.setdefault((file, member.variant.model_dump_json()), []).append(i)
    tasks = [
        Task(
            str(k),
            file,
            Trial(members[at[0]].variant, workload.scenario, tuple(members[i].factor for i in at), tuple(plans)),
        )
        for k, ((file, _), at) in enumerate(families.items())
    ]
    scores = np.full((len(rows), len(plans)), np.inf)
    groups = list(families.values())
    chosen: Engine = engine if len(tasks) * len(plans) > _SCORES_HERE else InProcess()
    for done in chosen.run(score_plans, fleet.profiles, tasks):
        _refuse_failure(done.failure)
        scores[groups[int(done.key)]] = done.result
    for i, row in enumerate(rows):
        if own[i] in digests and row.result.objective is not None:
            scores[i, digests.index(own[i])] = row.result.objective
    return scores


def _refuse_failure(failure: str) -> None:
    if failure:
        raise EngineError(
            "plans on other devices", expected="a score", got=failure, remedy="Run it again; what is planned is kept."
        )


def _named_machine(plan: Plan, rows: Sequence[Row]) -> Plan:
    """The plan, bound to a machine where all that take it are that one."""
    machines = {row.result.plan.platform_fingerprint for row in rows if row.result.plan is not None}
    return plan.model_copy(update={"platform_fingerprint": machines.pop()}) if len(machines) == 1 else plan


def _simulated(
    fleet: Fleet, workload: Workload, row: Row, plan: Plan
) -> tuple[float | None, float | None]:
    """Simulated misses by a plan and by the own one."""
    if all(stream.deadline_us is None for stream in workload.scenario.streams):
        return None, None
    assert row.result.plan is not None
    file = str(row.jobs[0].device.profile)
    contest = Contest(row.variant, workload.scenario, (plan, for_any_device(row.result.plan)), fleet.spec.seed)
    for done in InProcess().run(miss_ratios, fleet.profiles, [Task("misses", file, contest)]):
        _refuse_failure(done.failure)
        return done.result
    return None, None
