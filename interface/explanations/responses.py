"""Where a predicted response goes: a model's own critical path, and every wait with the name of who causes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...formulation import Evaluation, Problem, isolated_schedule
from ...formulation.competition import competing_releases

ROUNDING = 1e-9
"""Share of a time that sums of floats may be off by."""


@dataclass(frozen=True)
class Wait:
    """A part of a response that another model causes.

    Attributes
    ----------
    kind : {'blocking', 'interference'}
        A segment that already runs and is not interrupted; requests that are due before.
    model : str
        Whose.
    wait_us : float
    requests : int
        That go before, for interference.
    cores : tuple of int
        Shared, on which it waits.
    """

    kind: Literal["blocking", "interference"]
    model: str
    wait_us: float
    requests: int
    cores: tuple[int, ...]


@dataclass(frozen=True)
class Response:
    """A model's predicted response in parts.

    Attributes
    ----------
    model : str
    latency_us : float
        Of its critical path, alone on the device.
    critical : tuple of int
        Segments on that path, in order.
    moving_us : float
        Of the path, what is no segment: tensors on their way between memories.
    waits : tuple of Wait
        Longest first; with the latency they add up to the response.
    held_us : float
        What the deadline is held against: the response where it is hard, else latency and blocking.
    deadline_us : float or None
    shares_cores_with : tuple of str
        Models with a segment on one of its cores.
    resident_bytes, transient_bytes : float
        Kept between requests, and the largest part needed only while one runs.
    """

    model: str
    latency_us: float
    critical: tuple[int, ...]
    moving_us: float
    waits: tuple[Wait, ...]
    held_us: float
    deadline_us: float | None
    shares_cores_with: tuple[str, ...]
    resident_bytes: float
    transient_bytes: float

    @property
    def response_us(self) -> float:
        """At the critical instant."""
        return self.latency_us + sum(wait.wait_us for wait in self.waits)

    @property
    def slack_us(self) -> float | None:
        """Left until the deadline; negative where it is missed, None without one."""
        return None if self.deadline_us is None else self.deadline_us - self.held_us


def response_parts(problem: Problem, evaluation: Evaluation, model: str) -> Response:
    """Take a model's response apart; the parts add up to what the evaluator predicts.

    Parameters
    ----------
    problem : Problem
    evaluation : Evaluation
        Of a plan that can run.
    model : str
    """
    scored = evaluation.models[model]
    waits = _waits(problem, evaluation, model)
    critical, moving_us = _critical(problem, evaluation, model)
    stream = problem.stream_of.get(model)
    is_hard = stream is not None and stream.is_hard
    own = frozenset(core for segment in scored.segments for core in segment.cores)
    return Response(
        model,
        scored.latency_us,
        critical,
        moving_us,
        tuple(sorted(waits, key=lambda wait: -wait.wait_us)),
        scored.response_us if is_hard else scored.latency_us + scored.blocking_us,
        scored.deadline_us,
        tuple(
            name
            for name, other in evaluation.models.items()
            if name != model and any(own & segment.cores for segment in other.segments)
        ),
        sum(segment.resident_bytes for segment in scored.segments),
        max((segment.transient_bytes for segment in scored.segments), default=0.0),
    )


def _waits(problem: Problem, evaluation: Evaluation, model: str) -> list[Wait]:
    """Interference by model, and for every distinct set of cores the one segment that blocks longest."""
    if not problem.streams:
        return []
    stream = problem.stream_of.get(model)
    interference: dict[str, Wait] = {}
    found: list[Wait] = []
    for cores in {segment.cores for segment in evaluation.models[model].segments}:
        longest: Wait | None = None
        for name, other in evaluation.models.items():
            if name == model:
                continue
            releases = competing_releases(stream, problem.stream_of.get(name))
            on = tuple(sorted(cores & frozenset(core for s in other.segments for core in s.cores)))
            if releases:
                us = releases * sum(s.core_us_on(cores) for s in other.segments) / len(cores)
                before = interference.get(name)
                if us > 0:
                    both = tuple(sorted({*on, *(before.cores if before else ())}))
                    us += before.wait_us if before else 0.0
                    interference[name] = Wait("interference", name, us, releases, both)
                continue
            us = max((s.latency_us for s in other.segments if cores & s.cores), default=0.0)
            if us > (longest.wait_us if longest else 0.0):
                longest = Wait("blocking", name, us, 0, on)
        if longest is not None:
            found.append(longest)
    return [*interference.values(), *found]


def _critical(problem: Problem, evaluation: Evaluation, name: str) -> tuple[tuple[int, ...], float]:
    """Segments that a request's end waits for on an idle device, back from the last; and what of its time is none."""
    model = next(m for m in problem.models if m.name == name)
    segments = evaluation.models[name].segments
    schedule = isolated_schedule(problem, model, segments)
    k = max(range(len(segments)), key=lambda i: schedule.finishes_us[i])
    path = [k]
    while schedule.starts_us[k] > 0:
        # It began as soon as its tensors and its cores were there; the one that ended last held it up.
        held = [
            i
            for i in range(k)  # what holds a segment up comes before it in the plan
            if (i in segments[k].after or segments[i].cores & segments[k].cores)
            and schedule.finishes_us[i] <= schedule.starts_us[k] + 1e-6
        ]
        if not held:
            break
        k = max(held, key=lambda i: schedule.finishes_us[i])
        path.append(k)
    moving_us = schedule.finish_us - sum(segments[i].latency_us for i in path)
    return tuple(reversed(path)), moving_us if moving_us > ROUNDING * schedule.finish_us else 0.0
