"""Few plans for many devices: which plans to keep, who takes which, and what that loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...formulation import Plan
from .candidates import candidates_of, refuse_failure
from .engine import Engine, InProcess, Task
from .jobs import Fleet, JobResult, Workload
from .transfer import Contest, Row, for_any_device, miss_ratios, rows_of

CURVE_PLANS = 10
"""Numbers of plans that the loss is stated for, from 1 up."""


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
    """What one number of plans costs: the plans' names, mean and worst loss, a proven bound on the mean.

    None where that many plans cannot serve every device.
    """

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

    limit = np.inf if max_loss is None else max_loss
    plans, loss, distinct = candidates_of(fleet, workload, rows, engine, limit)
    names = tuple(f"{workload.file_name}-P{k}" for k in range(1, len(plans) + 1))
    weight = np.array([row.devices for row in rows], dtype=np.float64)
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


def _named_machine(plan: Plan, rows: Sequence[Row]) -> Plan:
    """The plan, bound to a machine where all that take it are that one."""
    machines = {row.result.plan.platform_fingerprint for row in rows if row.result.plan is not None}
    return plan.model_copy(update={"platform_fingerprint": machines.pop()}) if len(machines) == 1 else plan


def _simulated(fleet: Fleet, workload: Workload, row: Row, plan: Plan) -> tuple[float | None, float | None]:
    """Simulated misses by a plan and by the own one."""
    if all(stream.deadline_us is None for stream in workload.scenario.streams):
        return None, None
    assert row.result.plan is not None
    file = str(row.jobs[0].device.profile)
    contest = Contest(row.variant, workload.scenario, (plan, for_any_device(row.result.plan)), fleet.spec.seed)
    for done in InProcess().run(miss_ratios, fleet.profiles, [Task("misses", file, contest)]):
        refuse_failure(done.failure)
        return done.result
    return None, None
