"""The one evaluator: what a plan costs and which limits it breaks. Every plan of every solver is scored here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from .competition import competing_releases
from .errors import StalePlanError
from .plan import ModelPlan, Plan
from .problem import Model, Problem
from .structure import ScoredSegment, Violation, isolated_schedule, score_segments

MICROSECOND_TOLERANCE = 1e-6
"""Relative slack when a time or size is held against its limit: sums of floats, no more."""


@dataclass(frozen=True)
class ModelEvaluation:
    """What a plan gives one model.

    Attributes
    ----------
    segments : tuple of ScoredSegment
        With each segment's predicted time and memory.
    latency_us : float
        From arrival to the end on an idle device; segments on different processors overlap where the graph lets them.
    blocking_us : float
        Longest wait for segments of later deadline that already run (they are not interrupted).
    interference_us : float
        Core time of requests that are due before this one when all models ask at once.
    deadline_us : float, optional
    rate_hz : float
        Requests a second, 0 without a stream.
    """

    segments: tuple[ScoredSegment, ...]
    latency_us: float
    blocking_us: float
    interference_us: float
    deadline_us: float | None
    rate_hz: float

    @property
    def response_us(self) -> float:
        """Response at the critical instant: all models ask at once, just after the worst other segment began."""
        return self.latency_us + self.blocking_us + self.interference_us


@dataclass(frozen=True)
class Evaluation:
    """Score of a plan.

    Attributes
    ----------
    models : dict of str to ModelEvaluation
    memory_bytes : dict of str to float
        Peak use of each memory by all models together.
    utilisation : dict of int to float
        Share of each core's time that the streams ask for.
    objective : float
        In the problem's own terms; for ``front`` the latency.
    violations : tuple of Violation
        Empty for a plan that keeps every limit.
    """

    models: Mapping[str, ModelEvaluation]
    memory_bytes: Mapping[str, float]
    utilisation: Mapping[int, float]
    objective: float
    violations: tuple[Violation, ...]

    @cached_property
    def feasible(self) -> bool:
        """Whether the plan keeps every limit."""
        return not self.violations


def refuse_stale(problem: Problem, plan: Plan) -> None:
    """Refuse a plan that was made for another model or machine.

    Raises
    ------
    StalePlanError
        A model's digest or the platform's fingerprint differs.
    PlanError
        A model of the problem is missing in the plan.
    """
    for model in problem.models:
        made_for = plan.model_plan(model.name).sha256
        if made_for != model.sha256:
            raise StalePlanError(
                f"plan for model {model.name!r}",
                expected=f"one made for the model with SHA-256 {model.sha256[:12]}…",
                got=f"one made for {made_for[:12]}…",
                remedy="The model changed: profile it and plan again.",
            )
    here = problem.platform.fingerprint
    if plan.platform_fingerprint and here and plan.platform_fingerprint != here:
        raise StalePlanError(
            "plan",
            expected=f"one made for this machine ({here[:12]}…)",
            got=f"one made for {plan.platform_fingerprint[:12]}…",
            remedy="Processor, cores or versions differ: profile here and plan again.",
        )


def evaluate(problem: Problem, plan: Plan) -> Evaluation:
    """Score a plan and list the limits it breaks.

    Parameters
    ----------
    problem : Problem
    plan : Plan

    Returns
    -------
    Evaluation
        Where a model's segments are broken (gaps, overlaps, precedence, unknown cores, no cost), only those violations
        are reported and the figures of that model are infinite.

    Raises
    ------
    PlanError, StalePlanError
        The plan does not cover the models, or was made for others.

    Notes
    -----
    Response at the critical instant, for model i with relative deadline D_i (∞ where there is none), for every distinct
    set U of cores among its segments::

        R_i = L_i + Σ_U [ max_{j: D_j > D_i} longest segment of j on U  +  Σ_{j: D_j ≤ D_i} n_ij · C_j(U) / |U| ]
        n_ij = ⌊(D_i − D_j) / T_j⌋ + 1

    C_j(U) is the core time of j on U and T_j its period (1 / rate for random arrivals). n_ij counts the requests of j
    that are due before i's when both arrive together: the demand bound function of earliest deadline first at D_i
    (Baruah, Mok, Rosier 1990, doi 10.1109/REAL.1990.128746), with blocking by segments as in limited preemption
    (Bertogna, Baruah 2010, doi 10.1109/TII.2010.2049654). It orders plans; it is a guarantee only where further tests
    at later instants hold too.
    """
    refuse_stale(problem, plan)
    scored: dict[str, tuple[ScoredSegment, ...]] = {}
    violations: list[Violation] = []
    for model in problem.models:
        segments, broken = score_segments(problem, model, plan.model_plan(model.name))
        violations += broken
        if not broken:
            scored[model.name] = segments
    if violations:
        return Evaluation({}, {}, {}, float("inf"), tuple(violations))

    models = {
        model.name: _evaluate_model(problem, model, plan.model_plan(model.name), scored) for model in problem.models
    }
    memory = _memory_bytes(problem, scored)
    utilisation = _utilisation(problem, scored)
    violations = [*_deadline_violations(problem, models), *_memory_violations(problem, memory)]
    violations += _utilisation_violations(problem, utilisation)
    return Evaluation(models, memory, utilisation, _objective(problem, models), tuple(violations))


def _evaluate_model(
    problem: Problem, model: Model, model_plan: ModelPlan, scored: Mapping[str, tuple[ScoredSegment, ...]]
) -> ModelEvaluation:
    latency_us = isolated_schedule(problem, model, scored[model.name]).finish_us
    stream = problem.stream_of.get(model.name)
    blocking_us = interference_us = 0.0
    for cores in {segment.cores for segment in scored[model.name]}:
        blocked = 0.0
        for other, segments in scored.items():
            if other == model.name or not problem.streams:
                continue
            releases = competing_releases(stream, problem.stream_of.get(other))
            if releases:
                interference_us += releases * sum(s.core_us_on(cores) for s in segments) / len(cores)
            else:
                blocked = max([blocked, *(s.latency_us for s in segments if cores & s.cores)])
        blocking_us += blocked
    return ModelEvaluation(
        scored[model.name],
        latency_us,
        blocking_us,
        interference_us,
        stream.deadline_us if stream else None,
        stream.rate_hz if stream else 0.0,
    )


def _memory_bytes(problem: Problem, scored: Mapping[str, tuple[ScoredSegment, ...]]) -> dict[str, float]:
    """Weights and held workspace of all segments add up; transient parts count once a model, the largest."""
    used = {memory.name: 0.0 for memory in problem.platform.memories}
    for segments in scored.values():
        largest = dict.fromkeys(used, 0.0)
        for segment in segments:
            used[segment.memory] += segment.resident_bytes
            largest[segment.memory] = max(largest[segment.memory], segment.transient_bytes)
        for name, size in largest.items():
            used[name] += size
    return used


def _utilisation(problem: Problem, scored: Mapping[str, tuple[ScoredSegment, ...]]) -> dict[int, float]:
    share = {core: 0.0 for processor in problem.platform.processors for core in processor.cores}
    for name, segments in scored.items():
        stream = problem.stream_of.get(name)
        if stream is None:
            continue
        for segment in segments:
            for core in segment.cores:
                share[core] += stream.rate_hz * segment.core_us / len(segment.cores) / 1e6
    return share


def _objective(problem: Problem, models: Mapping[str, ModelEvaluation]) -> float:
    weights = {name: (problem.stream_of[name].weight if name in problem.stream_of else 1.0) for name in models}
    if problem.objective == "response":
        return sum(weights[name] * model.response_us for name, model in models.items())
    return sum(weights[name] * model.latency_us for name, model in models.items())


def _exceeds(value: float, limit: float) -> bool:
    return value > limit * (1 + MICROSECOND_TOLERANCE)


def _deadline_violations(problem: Problem, models: Mapping[str, ModelEvaluation]) -> list[Violation]:
    found = []
    for name, model in models.items():
        stream = problem.stream_of.get(name)
        if stream is None or stream.deadline_us is None:
            continue
        hard: Literal["response", "latency"] = "response" if stream.is_hard else "latency"
        value = model.response_us if stream.is_hard else model.latency_us + model.blocking_us
        if _exceeds(value, stream.deadline_us):
            what = "response at the critical instant" if hard == "response" else "latency behind one other segment"
            found.append(
                Violation(
                    "deadline", name, value, stream.deadline_us, f"{what} {value:.0f} µs > {stream.deadline_us:.0f} µs"
                )
            )
    return found


def _memory_violations(problem: Problem, memory: Mapping[str, float]) -> list[Violation]:
    return [
        Violation("memory", name, used, limit, f"needs {used / 2**20:.1f} MiB > {limit / 2**20:.1f} MiB")
        for name, used in memory.items()
        if _exceeds(used, limit := problem.memory_limit[name])
    ]


def _utilisation_violations(problem: Problem, utilisation: Mapping[int, float]) -> list[Violation]:
    limit = problem.limits.max_utilisation
    return [
        Violation("utilisation", f"core {core}", share, limit, f"asked for {share:.2f} of its time > {limit:.2f}")
        for core, share in utilisation.items()
        if _exceeds(share, limit)
    ]
