"""What limits a service: each limit is relaxed by itself and the problem solved again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import ByteSize

from ...formulation import Limits, Memory, PlanError, Platform
from ...formulation.throughput import ServicePlan, ThroughputProblem, evaluate_service
from ..registry import Solver, solve
from .solution import ThroughputSolution

LimitKind = Literal["cores", "memory", "response", "rate", "instances", "sizes", "batch"]
BINDING = 0.01
"""A limit binds where relaxing it is worth more than this share."""


@dataclass(frozen=True)
class Relaxation:
    """One limit, relaxed.

    Attributes
    ----------
    kind : {'cores', 'memory', 'response', 'rate', 'instances', 'sizes', 'batch'}
    subject : str
        Name of the processor, memory or model.
    change : str
        What was relaxed, for people.
    value : float or None
        Of the best plan found then, in the objective's own unit; None where that is not known.
    gain : float or None
        Share by which that is better; 0 or more.
    """

    kind: LimitKind
    subject: str
    change: str
    value: float | None
    gain: float | None

    @property
    def name(self) -> str:
        """The limit, for people."""
        return {
            "cores": f"core time of processor {self.subject}",
            "memory": f"memory {self.subject}",
            "response": f"response percentile of model {self.subject}",
            "rate": f"least rate of model {self.subject}",
            "instances": f"most instances of model {self.subject}",
            "sizes": f"batch sizes to choose from of model {self.subject}",
            "batch": f"fixed batch dimension of model {self.subject}",
        }[self.kind]

    @property
    def binds(self) -> bool:
        """Whether relaxing it is worth something."""
        return self.gain is not None and self.gain > BINDING


def relaxed_limits(
    problem: ThroughputProblem,
    solution: ThroughputSolution,
    method: str | Solver = "greedy",
    time_limit_s: float = 20.0,
    seed: int = 0,
) -> tuple[Relaxation, ...]:
    """Relax each limit by itself, solve again, and say what that buys; the most first.

    What is found is feasible, so a gain is at least what is stated. Core time is relaxed to twice the cores, memory and
    response to none at all, counts of instances and choices of batch sizes too, a fixed batch dimension to the batch
    sizes that the model's costs hold besides.

    Parameters
    ----------
    problem : ThroughputProblem
    solution : ThroughputSolution
        Of the problem, with a plan.
    method : str or Solver
        For the relaxed problems.
    time_limit_s : float
        For all of them together.
    seed : int
    """
    assert solution.evaluation is not None
    value = solution.evaluation.value
    jobs = _relaxations(problem)
    found = []
    for kind, subject, change, make in jobs:
        if make is None:
            found.append(Relaxation(kind, subject, change, None, None))
            continue
        answer = solve(make(), method, time_limit_s=time_limit_s / len(jobs), seed=seed)
        # What kept the limits keeps fewer, so nothing is lost even where the search found less. A plan that keeps the
        # limit all the same is better by a luckier search, not by the relaxation.
        reached = value
        if answer.evaluation is not None and answer.plan is not None and not _keeps_all(problem, answer.plan):
            reached = answer.evaluation.value
        cost = problem.service.objective == "cost"
        reached = min(reached, value) if cost else max(reached, value)
        gain = abs(reached - value) / value if value > 0 else 0.0
        found.append(Relaxation(kind, subject, change, reached, gain))
    return tuple(sorted(found, key=lambda r: -1.0 if r.gain is None else r.gain, reverse=True))


def _keeps_all(problem: ThroughputProblem, plan: ServicePlan) -> bool:
    try:
        return evaluate_service(problem, plan).feasible
    except PlanError:  # for instance cores that only the relaxed problem has
        return False


_Job = tuple[LimitKind, str, str, Callable[[], ThroughputProblem] | None]


def _relaxations(problem: ThroughputProblem) -> list[_Job]:
    jobs: list[_Job] = []
    for p in problem.platform.processors:
        jobs.append(("cores", p.name, "twice the cores", lambda p=p.name: _more_cores(problem, p)))
    for m in problem.platform.memories:
        jobs.append(("memory", m.name, "no limit", lambda m=m.name: _more_memory(problem, m)))
    for i, model in enumerate(problem.models):
        name = model.name
        if problem.stream_of[i].deadline_us is not None:
            jobs.append(("response", name, "no deadline", lambda i=i: _no_deadline(problem, i)))
        if name in problem.service.min_rate_hz:
            jobs.append(("rate", name, "no least rate", lambda n=name: _without(problem, "min_rate_hz", n)))
        if name in problem.service.max_instances:
            jobs.append(("instances", name, "no limit", lambda n=name: _without(problem, "max_instances", n)))
        fixed = problem.service.fixed_batch.get(name)
        wanted = problem.service.batches.get(name)
        if fixed is None and wanted is not None and any(c.batch not in wanted for c in model.costs.configurations):
            jobs.append(("sizes", name, "all in its costs", lambda n=name: _without(problem, "batches", n)))
        if fixed is not None:
            known = any(c.batch != fixed for c in model.costs.configurations)
            change = "other batch sizes" if known else f"its costs hold batches of {fixed} only"
            jobs.append(
                ("batch", name, change, (lambda n=name: _without(problem, "fixed_batch", n)) if known else None)
            )
    return jobs


def _more_cores(problem: ThroughputProblem, name: str) -> ThroughputProblem:
    platform = problem.platform
    first = 1 + max(core for p in platform.processors for core in p.cores)
    processors = tuple(
        p.model_copy(update={"cores": (*p.cores, *range(first, first + len(p.cores)))}) if p.name == name else p
        for p in platform.processors
    )
    # Validated anew: nothing cached of the old platform may stay.
    fields = {"name": platform.name, "memories": platform.memories, "links": platform.links}
    return problem.replace(platform=Platform(**fields, processors=processors))


def _more_memory(problem: ThroughputProblem, name: str) -> ThroughputProblem:
    platform = problem.platform
    memories = tuple(
        Memory(name=m.name, capacity_bytes=ByteSize(2**60), residency=m.residency) if m.name == name else m
        for m in platform.memories
    )
    limits = Limits(
        **{
            **problem.limits.model_dump(),
            "memory_bytes": {k: v for k, v in problem.limits.memory_bytes.items() if k != name},
        }
    )
    fields = {"name": platform.name, "processors": platform.processors, "links": platform.links}
    return problem.replace(platform=Platform(**fields, memories=memories), limits=limits)


def _no_deadline(problem: ThroughputProblem, i: int) -> ThroughputProblem:
    streams = list(problem.stream_of)
    streams[i] = streams[i].model_copy(update={"deadline_us": None})
    return problem.replace(streams=tuple(streams))


def _without(problem: ThroughputProblem, label: str, name: str) -> ThroughputProblem:
    kept = {k: v for k, v in getattr(problem.service, label).items() if k != name}
    return problem.replace(service=problem.service.model_copy(update={label: kept}))
