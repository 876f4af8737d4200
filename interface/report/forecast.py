"""What is to be expected of a plan: its responses and the opening of its schedule, simulated, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...formulation import Evaluation, Plan, Problem, SimulatedRun, Stream, Trace, simulate

SECTIONS = 10
"""Independent repetitions of the simulation; intervals come from how far they differ."""
CONFIDENCE = 0.95
LEAST_BEYOND = 5
"""A percentile is told where so many requests lie beyond it."""
KEPT_BARS = 1500
"""Runs, one a core, that a schedule holds at most."""


@dataclass(frozen=True)
class Estimate:
    """A figure from a simulation with the half-width of its confidence interval; NaN where it cannot be told."""

    value: float
    half_width: float = math.nan


@dataclass(frozen=True, eq=False)
class ModelForecast:
    """Simulated responses of one model.

    Attributes
    ----------
    sections_us : tuple of ndarray
        Responses of each repetition, microseconds.
    deadline_us : float
        Relative to the arrival; ∞ where there is none.
    """

    sections_us: tuple[NDArray[np.float64], ...]
    deadline_us: float = math.inf

    @cached_property
    def responses_us(self) -> NDArray[np.float64]:
        """Responses of all repetitions, ascending, microseconds."""
        return np.sort(np.concatenate(self.sections_us)) if self.sections_us else np.empty(0)

    def percentile_us(self, share: float) -> Estimate:
        """Response that `share` of the requests keep to, microseconds.

        Notes
        -----
        Sectioning: the point estimate Q is that of all repetitions together, its variance comes from those of the
        b repetitions, Q_j::

            half-width = t(b − 1, 0.975) · sqrt(Σ_j (Q_j − Q)² / (b (b − 1)))

        Nakayama 2014, "Confidence intervals for quantiles using sectioning when applying variance-reduction
        techniques", doi 10.1145/2558328. Told only where every repetition has, on average, one request beyond Q.
        """
        beyond = len(self.responses_us) * min(share, 1 - share) * (1 + 1e-9)
        if beyond < LEAST_BEYOND:
            return Estimate(math.nan)
        value = float(np.quantile(self.responses_us, share))
        if beyond < len(self.sections_us) or any(not len(section) for section in self.sections_us):
            return Estimate(value)
        return _sectioned(value, [float(np.quantile(section, share)) for section in self.sections_us])

    @property
    def miss_ratio(self) -> Estimate:
        """Share of the requests that end after their deadline, without an interval where none or all of them do."""
        if not len(self.responses_us):
            return Estimate(math.nan)
        value = float(np.mean(self.responses_us > self.deadline_us))
        if value in (0.0, 1.0):
            return Estimate(value)
        sections = [float(np.mean(section > self.deadline_us)) for section in self.sections_us if len(section)]
        return _sectioned(value, sections)


@dataclass(frozen=True, eq=False)
class Forecast:
    """Simulated responses of all models with streams.

    Attributes
    ----------
    models : dict of str to ModelForecast
    duration_us : float
        Time over which requests arrive in each repetition.
    seed : int
        Of the first repetition; the others have the next ones.
    repetitions : int
    """

    models: Mapping[str, ModelForecast]
    duration_us: float
    seed: int
    repetitions: int


@dataclass(frozen=True, eq=False)
class SimulatedSchedule:
    """The opening of a simulation, run by run.

    Attributes
    ----------
    runs : tuple of SimulatedRun
        In order of their starts.
    begin_us, end_us : float
        The window that they lie in; a run may go on beyond its end.
    late : frozenset of (str, int)
        Requests, by model and number, that end after their deadline.
    at_once : bool
        Whether there are no streams and every model is asked once, at the same time, instead.
    seed : int
    """

    runs: tuple[SimulatedRun, ...]
    begin_us: float
    end_us: float
    late: frozenset[tuple[str, int]]
    at_once: bool
    seed: int

    @property
    def window_us(self) -> float:
        """Length of the window."""
        return max(self.end_us - self.begin_us, 1e-9)

    def busy_us(self, core: int) -> float:
        """Time within the window in which a core is taken."""
        clipped = (
            min(run.finish_us, self.end_us) - max(run.start_us, self.begin_us) for run in self.runs if core in run.cores
        )
        return sum(max(0.0, us) for us in clipped)


def forecast(problem: Problem, plan: Plan, requests: int, seed: int = 0) -> Forecast | None:
    """Simulate a plan against its problem's own arrivals, in independent repetitions; None without streams.

    Parameters
    ----------
    problem : Problem
    plan : Plan
        Whose segments can run.
    requests : int
        About so many, all models and repetitions together.
    seed : int
    """
    if not problem.streams:
        return None
    rate_hz = sum(stream.rate_hz for stream in problem.streams)
    # What nothing random is in would only be repeated.
    sections = SECTIONS if any(stream.arrival.kind == "poisson" for stream in problem.streams) else 1
    duration_us = requests / sections / rate_hz * 1e6
    played = [simulate(problem, plan, duration_us, seed + section) for section in range(sections)]
    models = {
        model: ModelForecast(tuple(section[model].response_us for section in played), played[0][model].deadline_us)
        for model in played[0]
    }
    return Forecast(models, duration_us, seed, sections)


def schedule(problem: Problem, plan: Plan, evaluation: Evaluation, seed: int = 0) -> SimulatedSchedule:
    """Simulate the opening of a plan's schedule, as long as its runs are not too many to draw.

    Parameters
    ----------
    problem : Problem
    plan : Plan
        Whose segments can run.
    evaluation : Evaluation
        Of the plan.
    seed : int
        Of the arrivals.
    """
    at_once = not problem.streams
    if at_once:
        asked = tuple(Stream(model=model.name, arrival=Trace(times_us=(0.0,))) for model in problem.models)
        problem = problem.replace(streams=asked)
    bars_hz = sum(
        stream.rate_hz * sum(s.planned.configuration.threads for s in evaluation.models[stream.model].segments)
        for stream in problem.streams
    )
    first_us = min(_first_us(stream) for stream in problem.streams)
    runs: list[SimulatedRun] = []
    responses = simulate(problem, plan, first_us + KEPT_BARS / bars_hz * 1e6, seed, on_run=runs.append)
    kept = _first_bars(runs)
    cut = len(kept) < len(runs)
    return SimulatedSchedule(
        kept,
        kept[0].start_us if kept else 0.0,
        (kept[-1].start_us if cut else max(run.finish_us for run in kept)) if kept else 0.0,
        frozenset(
            (model, int(i)) for model, s in responses.items() for i in np.flatnonzero(s.response_us > s.deadline_us)
        ),
        at_once,
        seed,
    )


def memory_steps(
    evaluation: Evaluation, played: SimulatedSchedule, memory: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Use of a memory along a schedule.

    Returns
    -------
    times_us, used_bytes : ndarray, shape (steps,)
        ``used_bytes[i]`` holds from ``times_us[i]`` on: what all segments keep resident, and what those that run need
        beside it. A segment that two requests run at once needs it twice.
    """
    base = resident_bytes(evaluation, memory)
    changes: dict[float, float] = {played.begin_us: 0.0}
    for run in played.runs:
        segment = evaluation.models[run.model].segments[run.segment]
        if segment.memory == memory and segment.transient_bytes:
            changes[run.start_us] = changes.get(run.start_us, 0.0) + segment.transient_bytes
            changes[run.finish_us] = changes.get(run.finish_us, 0.0) - segment.transient_bytes
    times = sorted(time for time in changes if time <= played.end_us)
    used = base + np.cumsum([changes[time] for time in times])
    # Sums of floats: what was added and taken away again must not leave a trace below the base.
    return np.array([*times, played.end_us]), np.maximum(base, np.append(used, used[-1]))


def resident_bytes(evaluation: Evaluation, memory: str) -> float:
    """Bytes that all segments keep resident in a memory."""
    every = (s for model in evaluation.models.values() for s in model.segments)
    return sum(s.resident_bytes for s in every if s.memory == memory)


def _sectioned(value: float, sections: Sequence[float]) -> Estimate:
    from scipy.special import stdtrit  # loads for long

    n = len(sections)
    if n < 2:
        return Estimate(value)
    spread = float(np.sum((np.array(sections) - value) ** 2)) / (n * (n - 1))
    return Estimate(value, float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) * math.sqrt(spread))


def _first_us(stream: Stream) -> float:
    arrival = stream.arrival
    if isinstance(arrival, Trace):
        return arrival.times_us[0]
    return arrival.phase_us if arrival.kind == "periodic" else 0.0


def _first_bars(runs: Iterable[SimulatedRun]) -> tuple[SimulatedRun, ...]:
    kept: list[SimulatedRun] = []
    bars = 0
    for run in runs:
        bars += len(run.cores)
        if bars > KEPT_BARS:
            break
        kept.append(run)
    return tuple(kept)
