"""Plans of some devices on other ones: what each would cost there, by the one evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...formulation import EdgePlanError, Evaluation, Plan, Problem, Scenario, evaluate, simulate
from ...formulation.evaluate import MICROSECOND_TOLERANCE
from ...profiles import Profile
from .devices import Variant, problem_on
from .jobs import Fleet, Job, JobResult

SIMULATED_REQUESTS = 2000
"""Requests that a plan is held against on one device, all models together."""


@dataclass(frozen=True)
class Row:
    """Devices that pose the same problem with one workload: equal profiles, equally changed.

    Attributes
    ----------
    jobs : tuple of Job
        Of those devices.
    result : JobResult
        Their own plan.
    """

    jobs: tuple[Job, ...]
    result: JobResult

    @property
    def devices(self) -> int:
        """How many devices there are of these types."""
        return sum(job.device.count for job in self.jobs)

    @property
    def variant(self) -> Variant:
        """What they have other than the profile."""
        return self.jobs[0].device.variant


@dataclass(frozen=True)
class Family:
    """A device that others only differ from in how fast all of it is.

    Where one factor f multiplies the times of every processor and nothing is moved over links, f multiplies latencies,
    responses and utilisations too, and leaves memory as it is: which requests compete depends on deadlines and rates
    alone (`competing_releases`). So a plan is scored once for all factors.

    Attributes
    ----------
    variant : Variant
        Of the device with factor 1.
    factor : float
    """

    variant: Variant
    factor: float


def family_of(variant: Variant, scenario: Scenario, profile: Profile) -> Family:
    """The family of a device; its own alone, with factor 1, where its processors differ or have links between them."""
    own = scenario.platform if scenario.platform != "local" else profile.platform
    platform = variant.platform or own
    factors = {variant.time_factor.get(processor.name, 1.0) for processor in platform.processors}
    if len(factors) > 1 or len({processor.memory for processor in platform.processors}) > 1:
        return Family(variant, 1.0)
    return Family(variant.model_copy(update={"time_factor": {}}), factors.pop())


@dataclass(frozen=True)
class Trial:
    """What a worker is asked: what plans would cost on the devices of a family, by their factors."""

    variant: Variant
    scenario: Scenario
    factors: tuple[float, ...]
    plans: tuple[Plan, ...]


def score_plans(profile: Profile, trial: Trial) -> NDArray[np.float64]:
    """Objective of every plan on every device of a family, shape (factors, plans); infinite where it breaks a limit."""
    problem = problem_on(profile, trial.variant, trial.scenario)
    factors = np.array(trial.factors)
    return np.column_stack([scaled_objectives(problem, plan, factors) for plan in trial.plans])


def scaled_objectives(problem: Problem, plan: Plan, factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Objective of a plan where all times are multiplied by each factor, shape (factors,); infinite beyond a limit.

    Parameters
    ----------
    problem : Problem
        Without links that the plan moves anything over, or with the factor 1 alone.
    plan : Plan
        One that was made for other models, or that the device cannot run, is infinite everywhere.
    factors : ndarray, shape (factors,)
    """
    try:
        evaluation = evaluate(problem, plan)
    except EdgePlanError:
        return np.full(len(factors), np.inf)
    if not evaluation.models or any(violation.kind == "memory" for violation in evaluation.violations):
        return np.full(len(factors), np.inf)
    return np.where(factors <= _largest_factor(problem, evaluation), evaluation.objective * factors, np.inf)


def _largest_factor(problem: Problem, evaluation: Evaluation) -> float:
    """By how much times may grow before a deadline or the utilisation of a core is beyond its limit."""
    room = [np.inf]
    for name, model in evaluation.models.items():
        stream = problem.stream_of.get(name)
        if stream is not None and stream.deadline_us is not None:
            held_us = model.response_us if stream.is_hard else model.latency_us + model.blocking_us
            room.append(stream.deadline_us / held_us if held_us > 0 else np.inf)
    busiest = max(evaluation.utilisation.values(), default=0.0)
    if busiest > 0:
        room.append(problem.limits.max_utilisation / busiest)
    return min(room) * (1 + MICROSECOND_TOLERANCE)


@dataclass(frozen=True)
class Contest:
    """What a worker is asked: how plans fare against simulated arrivals on one device."""

    variant: Variant
    scenario: Scenario
    plans: tuple[Plan, ...]
    seed: int


def miss_ratios(profile: Profile, contest: Contest) -> tuple[float, ...]:
    """Share of requests that end after their deadline under each plan, by simulation of the same arrivals."""
    problem = problem_on(profile, contest.variant, contest.scenario)
    duration_us = SIMULATED_REQUESTS / sum(stream.rate_hz for stream in problem.streams) * 1e6
    found = []
    for plan in contest.plans:
        streams = simulate(problem, plan, duration_us, contest.seed).values()
        late = sum(int(np.count_nonzero(stream.response_us > stream.deadline_us)) for stream in streams)
        found.append(late / max(1, sum(len(stream.response_us) for stream in streams)))
    return tuple(found)


def rows_of(fleet: Fleet, results: Sequence[JobResult], workload: str) -> tuple[Row, ...]:
    """Distinct problems of one workload that have a plan, in the order of the jobs."""
    together: dict[str, list[Job]] = {}
    answers: dict[str, JobResult] = {}
    for job, result in zip(fleet.jobs, results, strict=True):
        if job.workload.name == workload and result.plan is not None:
            together.setdefault(job.digest, []).append(job)
            answers[job.digest] = result
    return tuple(Row(tuple(jobs), answers[digest]) for digest, jobs in together.items())


def for_any_device(plan: Plan) -> Plan:
    """The plan without the machine that it was made on, so that another one does not refuse it."""
    return plan.model_copy(update={"platform_fingerprint": ""})
