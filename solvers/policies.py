"""Ways of sharing cores, each planned to the optimum, judged by simulating the scenario's own arrivals.

The response at the critical instant says what happens when all models are asked at once. It does not say how long
queues grow when requests come at random: there, a pool of cores that anybody may use beats cores kept for somebody, and
gangs win at low load only. So each policy is solved by itself, and the plans are played against simulated arrivals.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from threading import Event

import numpy as np

from ..formulation import EdgePlanError, Limits, Objective, Plan, Problem, evaluate, simulate
from .fewer_cuts import with_fewer_cuts
from .gangs import with_gangs
from .progress import OnProgress, Progress
from .registry import solve
from .solution import Solution

SIMULATED_REQUESTS = 10_000
"""Requests that each plan is judged by, all models together."""


@dataclass(frozen=True)
class Policy:
    """A way of sharing cores: a name, a sentence, the limits that make it, and what is minimised within them."""

    name: str
    description: str
    limits: Limits
    objective: Objective = "response"


@dataclass(frozen=True)
class Judgement:
    """How a plan fares against simulated arrivals.

    Attributes
    ----------
    miss_ratio : float
        Share of requests, by weight, that end after their deadline.
    stretch : float
        Response over the model's fastest latency under one configuration, mean over the requests by weight.
    response_us : float
        Response, mean over the requests by weight.
    """

    miss_ratio: float
    stretch: float
    response_us: float


@dataclass(frozen=True)
class Candidate:
    """A policy, its best plan, and how that fares; without a plan there is no judgement."""

    policy: Policy
    solution: Solution
    judgement: Judgement | None


def policies(problem: Problem) -> tuple[Policy, ...]:
    """Policies worth trying: the problem's own limits first, then stricter ones. None allows what those forbid."""
    limits = problem.limits
    tried = {
        "open": ("every core set and every thread count", limits),
        "pool": (
            "one thread a segment, on whichever core is free",
            limits.model_copy(update={"core_sets": "all", "max_threads": 1}),
        ),
        "wide": (
            "every segment may use all cores, one by one or as a gang",
            limits.model_copy(update={"core_sets": "all"}),
        ),
    }
    distinct: dict[str, Policy] = {}
    for name, (description, stricter) in tried.items():
        distinct.setdefault(stricter.model_dump_json(), Policy(name, description, stricter))
    lean = Policy("lean", f"{tried['pool'][0]}, cut only where that saves time", tried["pool"][1], "latency")
    return (*distinct.values(), lean)


def by_simulation(
    problem: Problem,
    time_limit_s: float = 60.0,
    seed: int = 0,
    cancel: Event | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[Candidate, ...]:
    """Solve a problem under every policy and rank the plans by simulated misses, then by simulated stretch.

    Parameters
    ----------
    problem : Problem
        With objective ``response``.
    time_limit_s : float
        For all policies together.
    seed : int
        Of the solver and of the simulated arrivals, which are the same for every plan.
    cancel : threading.Event, optional
    on_progress : callable, optional
        Called with a `Progress` as `solve` does, and with the name of the policy that is tried. Objective and bound
        are those of one policy; they begin anew with the next.

    Returns
    -------
    tuple of Candidate
        Best first; those without a plan come last, the problem's own limits first among them. Solutions are those of
        the problem under the policy's limits: ``optimal`` means the best plan within the policy, ``feasible`` one
        without cuts that hardly pay (`with_fewer_cuts`), whose gap says what that may cost. Variants of a policy's
        plan follow it: with gangs for idle hours, and the best of all with its segments dispatched by least slack.
    """
    began_s = time.monotonic()
    tried = policies(problem)
    found: list[Candidate] = []
    for policy in tried:
        try:
            limited = problem.replace(limits=policy.limits, objective=policy.objective)
            tell = None if on_progress is None else partial(_tell_of, policy.name, began_s, on_progress)
            limit_s = time_limit_s / len(tried)
            solution = solve(limited, time_limit_s=limit_s, seed=seed, cancel=cancel, on_progress=tell)
        except EdgePlanError:
            if policy is tried[0]:
                raise
            continue  # the policy leaves some model without a configuration
        candidate = _candidate(limited, policy, solution, seed)
        found.append(candidate)
        found += _with_gangs(problem, candidate, seed)
    found.sort(key=_rank)
    found += _by_slack(problem, found[0], seed)
    return tuple(sorted(found, key=_rank))


def _tell_of(policy: str, began_s: float, on_progress: OnProgress, progress: Progress) -> None:
    on_progress(replace(progress, policy=policy, elapsed_s=time.monotonic() - began_s))


def _candidate(problem: Problem, policy: Policy, solution: Solution, seed: int) -> Candidate:
    if solution.plan is None or solution.evaluation is None:
        return Candidate(policy, solution, None)
    plan, evaluation = with_fewer_cuts(problem, solution.plan, solution.evaluation)
    if evaluation.objective > solution.evaluation.objective:
        # Within the gap that is left, and no longer the very best.
        solution = replace(solution, status="feasible", objective=evaluation.objective)
    solution = replace(solution, plan=plan, evaluation=evaluation).stamped()
    if policy.objective != "response":
        solution = _scored_by_response(problem, solution, plan)
    assert solution.plan is not None
    stamp = solution.plan.solver.model_copy(update={"policy": policy.name})
    plan = solution.plan.model_copy(update={"solver": stamp})
    return Candidate(policy, replace(solution, plan=plan), judge(problem, plan, seed))


def _scored_by_response(problem: Problem, solution: Solution, plan: Plan) -> Solution:
    """What minimises something else, scored by response, of which nothing is proven then."""
    evaluation = evaluate(problem.replace(objective="response"), plan)
    other = replace(solution, status="feasible", objective=evaluation.objective, bound=None, evaluation=evaluation)
    return other.stamped()


def _with_gangs(problem: Problem, candidate: Candidate, seed: int) -> list[Candidate]:
    """The candidate with gangs for idle hours, as far as the problem's own limits allow them.

    The objective counts segments as they run on a busy device, so what was proven of it still holds.
    """
    solution = candidate.solution
    if solution.plan is None or solution.evaluation is None:
        return []
    widened = with_gangs(problem, solution.plan, solution.evaluation)
    if widened is None:
        return []
    return [_variant(problem, candidate, widened, "gangs", "on several cores at once while nothing else wants them")]


def _by_slack(problem: Problem, candidate: Candidate, seed: int) -> list[Candidate]:
    """The candidate with its segments dispatched by least slack; nothing to gain without deadlines."""
    plan = candidate.solution.plan
    if plan is None or all(stream.deadline_us is None for stream in problem.streams):
        return []
    other = plan.model_copy(update={"order": "least_slack"})
    return [_variant(problem, candidate, other, "least slack", "the segment with the least time to spare goes first")]


def _variant(problem: Problem, candidate: Candidate, plan: Plan, name: str, description: str) -> Candidate:
    policy = Policy(
        f"{candidate.policy.name}, {name}", f"{candidate.policy.description}; {description}", problem.limits
    )
    plan = plan.model_copy(update={"solver": plan.solver.model_copy(update={"policy": policy.name})})
    solution = replace(candidate.solution, plan=plan, evaluation=evaluate(problem, plan))
    return Candidate(policy, solution, judge(problem, plan, candidate.solution.seed))


def _rank(candidate: Candidate) -> tuple[float, float]:
    judged = candidate.judgement
    return (np.inf, 0.0) if judged is None else (judged.miss_ratio, judged.stretch)


def judge(problem: Problem, plan: Plan, seed: int = 0) -> Judgement:
    """Play a plan against simulated arrivals of the problem's streams.

    Raises
    ------
    PlanError
        The plan cannot run.
    """
    rate_hz = sum(stream.rate_hz for stream in problem.streams)
    simulated = simulate(problem, plan, SIMULATED_REQUESTS / rate_hz * 1e6, seed)
    models = {model.name: model for model in problem.models}
    weights, misses, stretches, means_us = [], [], [], []
    for stream in problem.streams:
        responses = simulated[stream.model]
        if len(responses.response_us):
            costs = models[stream.model].costs
            weights.append(stream.weight * len(responses.response_us))
            misses.append(responses.miss_ratio)
            means_us.append(responses.response_us.mean())
            stretches.append(means_us[-1] / float(costs.segment_us(0, costs.n_layers).min()))
    if not weights:
        return Judgement(0.0, 1.0, 0.0)
    return Judgement(*(float(np.average(figure, weights=weights)) for figure in (misses, stretches, means_us)))
