"""The limits of a problem as things that can be named, held, and left out one by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..formulation import Evaluation, Problem
from ..formulation.evaluate import MICROSECOND_TOLERANCE

LimitKind = Literal["deadline", "memory", "utilisation"]

CORES = "cores"
"""Subject of the one limit on the utilisation of every core."""


@dataclass(frozen=True, order=True)
class Limit:
    """A limit: its kind, and whose it is (a model, a memory, or `CORES`)."""

    kind: LimitKind
    subject: str


def limits_of(problem: Problem) -> dict[Limit, float]:
    """Every limit of a problem with its value: microseconds, bytes, or share of a core's time."""
    found = {
        Limit("deadline", stream.model): float(stream.deadline_us)
        for stream in problem.streams
        if stream.deadline_us is not None
    }
    found |= {Limit("memory", name): float(size) for name, size in problem.memory_limit.items()}
    if problem.streams:
        found[Limit("utilisation", CORES)] = float(problem.limits.max_utilisation)
    return found


def highest_accepted(value: float) -> float:
    """Largest figure that the evaluator lets pass a limit of `value`."""
    return value * (1 + MICROSECOND_TOLERANCE)


def broken_limits(evaluation: Evaluation) -> frozenset[Limit]:
    """Limits that a scored plan breaks; structural violations are not among them."""
    found = set()
    for violation in evaluation.violations:
        if violation.kind == "deadline" or violation.kind == "memory":
            found.add(Limit(violation.kind, violation.subject))
        elif violation.kind == "utilisation":
            found.add(Limit("utilisation", CORES))
    return frozenset(found)


def keeps(evaluation: Evaluation, kept: Iterable[Limit]) -> bool:
    """Whether a plan can run and keeps these limits, whatever it does to others."""
    return bool(evaluation.models) and not broken_limits(evaluation) & frozenset(kept)


def value_of(problem: Problem, evaluation: Evaluation, limit: Limit) -> float:
    """The figure of a scored plan that `limit` is held against."""
    if limit.kind == "memory":
        return evaluation.memory_bytes[limit.subject]
    if limit.kind == "utilisation":
        return max(evaluation.utilisation.values())
    model = evaluation.models[limit.subject]
    return model.response_us if problem.stream_of[limit.subject].is_hard else model.latency_us + model.blocking_us
