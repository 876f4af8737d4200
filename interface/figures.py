"""Figures of a plan by name: what the evaluator computes, and what is simulated, with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..formulation import Evaluation, Plan, Problem, SimulatedResponses, evaluate, simulate
from .given_plans import is_of_this_question
from .units import MIB, milliseconds

Unit = Literal["time", "bytes", "share"]
"""Microseconds, bytes, or a number between 0 and 1 (a utilisation may be larger)."""

Whose = Literal["model", "memory", "plan"]

LEVEL = 0.95
"""Of every interval that is stated."""

SECTIONS = 10
"""Parts of a simulation whose spread says how far its figures can be trusted."""

_DIGITS = 4
"""Of times and shares, as a rule; more where that is needed to tell a figure from its limit."""


@dataclass(frozen=True)
class Figure:
    """Something that is known of a plan.

    Attributes
    ----------
    name : str
    whose : {'model', 'memory', 'plan'}
        What has one each.
    unit : {'time', 'bytes', 'share'}
    simulated : bool
        Whether it comes from requests played by the dispatch rule, and so has an interval.
    meaning : str
        For people.
    """

    name: str
    whose: Whose
    unit: Unit
    simulated: bool
    meaning: str

    def text(self, value: float, finer: int = 0) -> str:
        """A value as people read it, with its unit; `finer` by so many digits."""
        if math.isnan(value):
            return "–"
        if math.isinf(value):
            return "∞" if value > 0 else "-∞"
        sign, size = ("-", -value) if value < 0 else ("", value)
        if self.unit == "time":
            return f"{sign}{milliseconds(size, _DIGITS + finer)} ms"
        if self.unit == "bytes":
            return f"{sign}{size / MIB:,.{1 + finer}f} MiB"
        return f"{100 * value:.{_DIGITS + finer}g} %"

    def change_text(self, value: float, finer: int = 0) -> str:
        """A difference of two values as people read it, with its unit: that of two shares is in percentage points."""
        if self.unit == "share" and math.isfinite(value):
            return f"{100 * value:.{_DIGITS + finer}g} points"
        return self.text(value, finer)


FIGURES: Mapping[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure("latency_us", "model", "time", False, "one request on an idle device"),
        Figure("blocking_us", "model", "time", False, "longest wait for segments that already run"),
        Figure("interference_us", "model", "time", False, "core time of requests that are due before it"),
        Figure("response_us", "model", "time", False, "response when all models are asked at once"),
        Figure("mean_us", "model", "time", True, "mean response to simulated requests"),
        Figure("p50_us", "model", "time", True, "response that half of the simulated requests keep to"),
        Figure("p90_us", "model", "time", True, "response that 90 % of them keep to"),
        Figure("p95_us", "model", "time", True, "response that 95 % of them keep to"),
        Figure("p99_us", "model", "time", True, "response that 99 % of them keep to"),
        Figure("miss_ratio", "model", "share", True, "share of simulated requests that end after their deadline"),
        Figure("memory", "memory", "bytes", False, "peak use by all models together"),
        Figure("objective", "plan", "time", False, "what the scenario minimises"),
        Figure("gap", "plan", "share", False, "share of the objective not proven necessary within its policy"),
        Figure("utilisation", "plan", "share", False, "share of its time that the busiest core is asked for"),
    )
}
"""By name. A stream without a deadline misses none; where nothing is proven the gap is infinite."""

_PERCENTILES = {"p50_us": 0.5, "p90_us": 0.9, "p95_us": 0.95, "p99_us": 0.99}


@dataclass(frozen=True)
class Estimate:
    """A value with the interval that its simulation leaves; the three are equal where nothing is random.

    NaN stands for what is not known: a plan that cannot run, a model without requests, too few for an interval.
    """

    value: float
    low: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> Estimate:
        """A value that is computed."""
        return cls(value, value, value)

    @property
    def half_width(self) -> float:
        """Distance of the value from either end of its interval."""
        return (self.high - self.low) / 2


UNKNOWN = Estimate.exactly(math.nan)


@dataclass(frozen=True)
class Simulation:
    """What requests are played: as many in all streams together, on average, drawn from this seed."""

    requests: int
    seed: int

    def duration_us(self, problem: Problem) -> float:
        """How long it takes for as many to arrive, microseconds."""
        return self.requests / sum(stream.rate_hz for stream in problem.streams) * 1e6


@dataclass(frozen=True)
class AssessedPlan:
    """A plan with all that its figures are read from.

    Attributes
    ----------
    problem : Problem
    plan : Plan
    evaluation : Evaluation
    responses : mapping of str to SimulatedResponses
        By model; empty where nothing was simulated.
    simulation : Simulation
    """

    problem: Problem
    plan: Plan
    evaluation: Evaluation
    responses: Mapping[str, SimulatedResponses]
    simulation: Simulation

    @classmethod
    def of(cls, problem: Problem, plan: Plan, simulation: Simulation) -> AssessedPlan:
        """Score a plan, and play the scenario's own arrivals where there are streams and its segments can run.

        Raises
        ------
        PlanError, StalePlanError
            The plan does not cover the models, or was made for others.
        """
        evaluation = evaluate(problem, plan)
        runs = bool(evaluation.models) and bool(problem.streams)
        played = simulate(problem, plan, simulation.duration_us(problem), simulation.seed) if runs else {}
        return cls(problem, plan, evaluation, played, simulation)

    @property
    def is_random(self) -> bool:
        """Whether other requests might have come, so that simulated figures have an interval."""
        return any(stream.arrival.kind == "poisson" for stream in self.problem.streams)

    def estimate(self, figure: Figure, subject: str) -> Estimate:
        """A figure of one of `subjects`; unknown where the plan cannot run or there were no requests."""
        if not self.evaluation.models:
            return UNKNOWN
        if figure.simulated:
            played = self.responses[subject]
            statistic = _statistic(figure, played.deadline_us)
            found = _simulated(self, played.response_us[:, None], lambda columns: statistic(columns[:, 0]))
            counted = self.is_random and figure.name == "miss_ratio" and math.isfinite(played.deadline_us)
            return all_or_none(found, len(played.response_us)) if counted else found
        if figure.whose == "model":
            return Estimate.exactly(float(getattr(self.evaluation.models[subject], figure.name)))
        if figure.whose == "memory":
            return Estimate.exactly(float(self.evaluation.memory_bytes[subject]))
        return Estimate.exactly(self._of_the_whole(figure.name))

    def _of_the_whole(self, name: str) -> float:
        if name == "objective":
            return self.evaluation.objective
        if name == "utilisation":
            return max(self.evaluation.utilisation.values(), default=0.0)
        stamp = self.plan.solver
        known = stamp.objective is not None and is_of_this_question(self.plan, self.evaluation)
        return stamp.gap if known and stamp.gap is not None else math.inf


def subjects(problem: Problem, figure: Figure) -> tuple[str, ...]:
    """What has this figure in a problem: models, models with a stream, memories; one empty name for the whole plan."""
    if figure.whose == "plan":
        return ("",)
    if figure.whose == "memory":
        return tuple(memory.name for memory in problem.platform.memories)
    if figure.simulated:
        return tuple(stream.model for stream in problem.streams)
    return tuple(model.name for model in problem.models)


def difference(old: AssessedPlan, new: AssessedPlan, figure: Figure, subject: str, relative: bool = False) -> Estimate:
    """How much more a figure is in `new` than in `old`; as a share of `old` where `relative`.

    Simulated figures are compared request by request under the same arrivals, so that the interval is that of the
    difference, which is much narrower than the intervals of the two.

    Parameters
    ----------
    old, new : AssessedPlan
        Of the same problem, with the same simulation.
    """
    if not old.evaluation.models or not new.evaluation.models:
        return UNKNOWN
    compared = _relative if relative else _absolute
    if not figure.simulated:
        return Estimate.exactly(compared(new.estimate(figure, subject).value, old.estimate(figure, subject).value))
    before, after = old.responses[subject], new.responses[subject]
    statistic = _statistic(figure, before.deadline_us)
    pairs = np.column_stack((before.response_us, after.response_us))
    return _simulated(new, pairs, lambda columns: compared(statistic(columns[:, 1]), statistic(columns[:, 0])))


def sectioned(columns: NDArray[np.float64], statistic: Callable[[NDArray[np.float64]], float]) -> Estimate:
    """A statistic of correlated rows with its interval by sectioning, at `LEVEL`.

    The rows are cut into `SECTIONS` stretches in order of arrival; the statistic's spread over the stretches, around
    its value for all rows, is taken for its error (Asmussen, Glynn 2007, Stochastic Simulation, III.5a,
    doi 10.1007/978-0-387-69033-9). It serves means, shares, percentiles and their differences alike; with few requests
    a stretch the interval is too wide rather than too narrow.

    Parameters
    ----------
    columns : ndarray, shape (requests, k)
    statistic : callable
        Takes some of the rows.

    Returns
    -------
    Estimate
        NaN without requests; without an interval where a stretch had fewer than two.
    """
    if not len(columns):
        return UNKNOWN
    whole = statistic(columns)
    if len(columns) < 2 * SECTIONS:
        return Estimate(whole, math.nan, math.nan)
    from scipy.special import stdtrit

    parts = np.array([statistic(part) for part in np.array_split(columns, SECTIONS)])
    with np.errstate(invalid="ignore"):
        error = math.sqrt(float(((parts - whole) ** 2).sum()) / (SECTIONS * (SECTIONS - 1)))
    half = float(stdtrit(SECTIONS - 1, (1 + LEVEL) / 2)) * error
    return Estimate(whole, whole - half, whole + half) if math.isfinite(half) else Estimate(whole, math.nan, math.nan)


def all_or_none(share: Estimate, requests: int) -> Estimate:
    """A share of requests, with an interval where it is none or all of them: that none was seen is no proof.

    The interval is that of Clopper and Pearson 1934 (doi 10.1093/biomet/26.4.404), for no stretch differs from another.
    """
    far = 1 - ((1 - LEVEL) / 2) ** (1 / max(requests, 1))
    return {0.0: Estimate(0.0, 0.0, far), 1.0: Estimate(1.0, 1 - far, 1.0)}.get(share.value, share)


def _simulated(
    plan: AssessedPlan, columns: NDArray[np.float64], statistic: Callable[[NDArray[np.float64]], float]
) -> Estimate:
    """A statistic of simulated requests; where no arrival is random, no others can come, and it is exact."""
    if plan.is_random or not len(columns):
        return sectioned(columns, statistic)
    return Estimate.exactly(statistic(columns))


def _statistic(figure: Figure, deadline_us: float) -> Callable[[NDArray[np.float64]], float]:
    if figure.name == "miss_ratio":
        return lambda response_us: float(np.mean(response_us > deadline_us))
    if figure.name == "mean_us":
        return lambda response_us: float(np.mean(response_us))
    share = _PERCENTILES[figure.name]
    return lambda response_us: float(np.quantile(response_us, share))


def _absolute(new: float, old: float) -> float:
    return 0.0 if new == old else new - old  # two infinite gaps are the same gap


def _relative(new: float, old: float) -> float:
    if new == old:
        return 0.0
    return new / old - 1 if old else math.inf
