"""Gangs for a plan: segments that run on several cores at once while nothing else wants them.

One thread a segment is right on a busy device and slow on an idle one. A gang is another open session, so it costs
memory; those that save most time for it come first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..formulation import Evaluation, Gang, Model, Plan, PlannedSegment, Problem, evaluate

WORTHWHILE = 0.9
"""Largest time of a gang, as a share of the segment's own, for which it is offered."""


@dataclass(frozen=True)
class _Offer:
    """A gang that a segment could have, what it saves a second and what it holds."""

    model: str
    segment: int
    gang: Gang
    latency_us: float
    saved: float
    memory: str
    held_bytes: float


def with_gangs(problem: Problem, plan: Plan, evaluation: Evaluation) -> Plan | None:
    """Copy of a plan whose one-thread segments have gangs, as far as the memory goes.

    Parameters
    ----------
    problem : Problem
    plan : Plan
    evaluation : Evaluation
        Of the plan under this problem.

    Returns
    -------
    Plan or None
        None where no segment gains by a gang, or none fits.
    """
    free = {name: limit - evaluation.memory_bytes[name] for name, limit in problem.memory_limit.items()}
    given: dict[tuple[str, int], list[_Offer]] = {}
    offers = [offer for model in problem.models for offer in _offers(problem, model, plan, evaluation)]
    for offer in sorted(offers, key=lambda o: o.held_bytes / o.saved):
        if offer.held_bytes <= free[offer.memory]:
            free[offer.memory] -= offer.held_bytes
            given.setdefault((offer.model, offer.segment), []).append(offer)
    if not given:
        return None
    parts = []
    for part in plan.models:
        segments = []
        for k, segment in enumerate(part.segments):
            gangs = sorted(given.get((part.model, k), []), key=lambda o: o.latency_us)
            segments.append(segment.model_copy(update={"gangs": tuple(o.gang for o in gangs)}))
        parts.append(part.model_copy(update={"segments": tuple(segments)}))
    widened = plan.model_copy(update={"models": tuple(parts)})
    return widened if evaluate(problem, widened).violations == evaluation.violations else None


def _offers(problem: Problem, model: Model, plan: Plan, evaluation: Evaluation) -> Iterator[_Offer]:
    stream = problem.stream_of.get(model.name)
    for k, segment in enumerate(plan.model_plan(model.name).segments):
        if segment.configuration.threads > 1 or len(segment.cores) < 2:
            continue
        at = (segment.start, segment.stop)
        times_us = model.costs.segment_us(*at)
        held = model.costs.resident_bytes(model.graph, at)[0, 1] + model.costs.transient_bytes(model.graph, at)[0, 1]
        alone_us = evaluation.models[model.name].segments[k].latency_us
        for threads, c in _fastest(problem, model, segment, times_us):
            if times_us[c] > WORTHWHILE * alone_us:
                continue
            saved = (alone_us - float(times_us[c])) * (stream.rate_hz if stream else 1.0)
            memory = evaluation.models[model.name].segments[k].memory
            cores = tuple(sorted(segment.cores))
            for first in range(0, len(cores) - threads + 1, threads):
                gang = Gang(configuration=model.costs.configurations[c], cores=cores[first : first + threads])
                yield _Offer(model.name, k, gang, float(times_us[c]), saved, memory, float(held[c]))


def _fastest(
    problem: Problem, model: Model, segment: PlannedSegment, times_us: np.ndarray
) -> Iterator[tuple[int, int]]:
    """For each number of threads the configuration that runs the segment fastest."""
    usable = [int(c) for c in problem.usable[model.name]]
    kinds = [(c, model.costs.configurations[c]) for c in usable]
    fitting = [
        (k.threads, c)
        for c, k in kinds
        if k.processor == segment.configuration.processor and 1 < k.threads <= len(segment.cores)
    ]
    for threads in sorted({t for t, _ in fitting}, reverse=True):
        yield threads, min((c for t, c in fitting if t == threads), key=lambda c: float(times_us[c]))
