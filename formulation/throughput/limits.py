"""Limits of a service, by name, and which of them a prediction breaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .problem import ThroughputProblem

if TYPE_CHECKING:
    from .evaluate import ModelPrediction

_SLACK = 1e-9
"""Relative slack for sums of floats taken in another order."""


@dataclass(frozen=True, order=True)
class ServiceLimit:
    """One limit.

    Attributes
    ----------
    kind : {'cores', 'memory', 'response', 'rate'}
        Core time of a processor, bytes of a memory, response percentile or least rate of a model.
    subject : str
        Name of the processor, memory or model.
    """

    kind: Literal["cores", "memory", "response", "rate"]
    subject: str

    def __str__(self) -> str:
        words = {"cores": "core time of processor", "memory": "memory", "rate": "least rate of model"}
        return f"{words.get(self.kind, 'response percentile of model')} {self.subject}"


@dataclass(frozen=True)
class BrokenLimit:
    """A limit that does not hold: value and bound in its own unit (share, bytes, share late, requests a second)."""

    limit: ServiceLimit
    value: float
    bound: float

    def __str__(self) -> str:
        return f"{self.limit}: {self.value:.4g} where {self.bound:.4g} is the limit"


def limits_of(problem: ThroughputProblem) -> tuple[ServiceLimit, ...]:
    """Every limit that the problem states."""
    found = [ServiceLimit("cores", p.name) for p in problem.platform.processors]
    found += [ServiceLimit("memory", m.name) for m in problem.platform.memories]
    for i, model in enumerate(problem.models):
        if problem.deadline_us[i] < float("inf"):
            found.append(ServiceLimit("response", model.name))
        if problem.min_rate_hz[i] > 0:
            found.append(ServiceLimit("rate", model.name))
    return tuple(found)


def broken_limits(
    problem: ThroughputProblem,
    predictions: Sequence[ModelPrediction],
    busiest: Mapping[str, float],
    memory_bytes: Mapping[str, float],
    kept: frozenset[ServiceLimit] | None = None,
) -> tuple[BrokenLimit, ...]:
    """Limits that do not hold; with `kept` only those are looked at."""
    found = []

    def hold(kind: Literal["cores", "memory", "response", "rate"], subject: str, value: float, bound: float) -> None:
        limit = ServiceLimit(kind, subject)
        if value > bound + _SLACK * abs(bound) and (kept is None or limit in kept):
            found.append(BrokenLimit(limit, value, bound))

    for processor, share in busiest.items():
        hold("cores", processor, share, problem.limits.max_utilisation)
    for memory, used in memory_bytes.items():
        hold("memory", memory, used, problem.memory_limit[memory])
    for i, prediction in enumerate(predictions):
        late = 1.0 - float(problem.level[i])
        if problem.deadline_us[i] < float("inf"):
            hold("response", prediction.model, prediction.late_share(float(problem.deadline_us[i])), late)
        # A rate is a limit from below.
        least, limit = float(problem.min_rate_hz[i]), ServiceLimit("rate", prediction.model)
        if prediction.rate_hz < least * (1 - _SLACK) and (kept is None or limit in kept):
            found.append(BrokenLimit(limit, prediction.rate_hz, least))
    return tuple(found)
