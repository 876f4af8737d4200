"""Plans of some devices on other ones: what each would cost there, by the one evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
class Member:
    """A device as one of a family, whose devices differ in speed as a whole and in how much memory they have.

    Where one factor f multiplies the times of every processor and nothing is moved over links, f multiplies
    latencies, responses and utilisations too, and leaves memory as it is: which requests compete depends on deadlines
    and rates alone (`competing_releases`). What a plan needs of a memory does not depend on its size. So a plan is
    scored once for the whole family.

    Attributes
    ----------
    family : Variant
        The device with factor 1 and the profile's memory.
    factor : float
    limit_bytes : dict of str to int
        What the models may use of each memory.
    """

    family: Variant
    factor: float
    limit_bytes: Mapping[str, int]


def member_of(variant: Variant, scenario: Scenario, profile: Profile) -> Member:
    """The device as a member; with factor 1 where its processors differ or have links between them."""
    own = scenario.platform if scenario.platform != "local" else profile.platform
    platform = variant.platform or own
    limits = {}
    for memory in platform.memories:
        capacity = variant.memory_bytes.get(memory.name, int(memory.capacity_bytes))
        limits[memory.name] = min(capacity, int(scenario.limits.memory_bytes.get(memory.name, capacity)))
    bare = variant.model_copy(update={"memory_bytes": {}})
    factors = {variant.time_factor.get(processor.name, 1.0) for processor in platform.processors}
    if len(factors) > 1 or len({processor.memory for processor in platform.processors}) > 1:
        return Member(bare, 1.0, limits)
    return Member(bare.model_copy(update={"time_factor": {}}), factors.pop(), limits)


@dataclass(frozen=True)
class Trial:
    """What a worker is asked: what plans would cost on the devices of a family."""

    scenario: Scenario
    members: tuple[Member, ...]
    plans: tuple[Plan, ...]


def score_plans(profile: Profile, trial: Trial) -> NDArray[np.float64]:
    """Objective of every plan on every member of a family, shape (members, plans); infinite where it breaks a limit."""
    problem = problem_on(profile, trial.members[0].family, trial.scenario)
    return np.column_stack([objectives_of(problem, plan, trial.members) for plan in trial.plans])


def objectives_of(problem: Problem, plan: Plan, members: Sequence[Member]) -> NDArray[np.float64]:
    """Objective of a plan on every member of a family, shape (members,); infinite beyond a limit.

    Parameters
    ----------
    problem : Problem
        Of the family.
    plan : Plan
        One that was made for other models, or that the family cannot run, is infinite everywhere.
    members : sequence of Member
    """
    nowhere = np.full(len(members), np.inf)
    try:
        evaluation = evaluate(problem, plan)
    except EdgePlanError:
        return nowhere
    if not evaluation.models:
        return nowhere
    factors = np.array([member.factor for member in members])
    keeps = factors <= _largest_factor(problem, evaluation)
    for name, used in evaluation.memory_bytes.items():
        limits = np.array([member.limit_bytes[name] for member in members])
        keeps &= used <= limits * (1 + MICROSECOND_TOLERANCE)
    return np.where(keeps, evaluation.objective * factors, np.inf)


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
