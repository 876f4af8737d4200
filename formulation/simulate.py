"""Simulated responses of a plan: the dispatch rule played against seeded arrivals and predicted segment times."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .arrivals import arrival_times
from .dispatch import Dispatcher, Step
from .errors import PlanError, capped
from .evaluate import evaluate
from .plan import Plan
from .problem import Problem
from .structure import ScoredSegment, steps_of


@dataclass(frozen=True)
class SimulatedResponses:
    """Responses of one stream's requests.

    Attributes
    ----------
    arrival_us, response_us : ndarray, shape (requests,)
        In order of arrival.
    deadline_us : float
        ∞ where there is none.
    """

    arrival_us: NDArray[np.float64]
    response_us: NDArray[np.float64]
    deadline_us: float

    @property
    def miss_ratio(self) -> float:
        """Share of requests that end after their deadline; 0 where there were none."""
        return float(np.mean(self.response_us > self.deadline_us)) if len(self.response_us) else 0.0

    def percentile_us(self, share: float) -> float:
        """Response that `share` of the requests keep to, microseconds; NaN where there were none."""
        return float(np.quantile(self.response_us, share)) if len(self.response_us) else float("nan")


class SimulatedRun(NamedTuple):
    """One run of one segment in a simulation.

    Attributes
    ----------
    model : str
    request : int
        Index among the requests of its model, in order of arrival.
    segment : int
        Index in the model's plan.
    gang : int, optional
        Which of the segment's gangs; none where it runs as planned.
    cores : tuple of int
    start_us, finish_us : float
    """

    model: str
    request: int
    segment: int
    gang: int | None
    cores: tuple[int, ...]
    start_us: float
    finish_us: float


@dataclass(frozen=True)
class _Move:
    """Tensors on their way to another memory: from which segment to which; none for the request's own ends."""

    source: int | None
    target: int | None
    took_us: float


def _moves(problem: Problem, model: str, segments: Sequence[ScoredSegment]) -> list[_Move]:
    """What `isolated_schedule` moves: a tensor moves to a memory once, and what one segment hands over together."""
    platform = problem.platform
    host = platform.processors[0].name
    graph = next(m.graph for m in problem.models if m.name == model)
    owner = {i: k for k, s in enumerate(segments) for i in range(s.planned.start, s.planned.stop)}
    there: dict[tuple[int, str], tuple[int | None, float]] = {}
    moves: list[_Move] = []

    def deliver(tensors: Sequence[int], target: int | None, processor: str) -> None:
        memory = platform.processor_by_name[processor].memory
        sent: dict[int | None, list[int]] = {}
        for tensor in tensors:
            if (tensor, memory) not in there:
                sent.setdefault(owner.get(int(graph.tensor_producer[tensor])), []).append(tensor)
        for source, moved in sent.items():
            origin = host if source is None else segments[source].planned.configuration.processor
            took_us = platform.transfer_us(origin, processor, float(graph.tensor_bytes[moved].sum()))
            there.update(((tensor, memory), (source, took_us)) for tensor in moved)
        # One that another segment had moved is waited for as long.
        waited = dict.fromkeys(there[tensor, memory] for tensor in tensors)
        moves.extend(_Move(source, target, us) for source, us in waited if us > 0)

    for k, segment in enumerate(segments):
        planned = segment.planned
        read = {graph.tensor_index[t] for i in range(planned.start, planned.stop) for t in graph.layers[i].inputs}
        outside = sorted(t for t in read if not planned.start <= graph.tensor_producer[t] < planned.stop)
        deliver(outside, k, planned.configuration.processor)
    deliver([graph.tensor_index[t] for t in graph.outputs], None, host)
    return moves


def _with_moves(steps: Sequence[Step], moves: Sequence[_Move]) -> tuple[Step, ...]:
    """Steps that wait for their tensors; each move is a step that takes no core."""
    waits: list[tuple[int, ...]] = [step.after for step in steps]
    for number, move in enumerate(moves, start=len(steps)):
        if move.target is not None:
            waits[move.target] += (number,)
    delays = (Step(0, (), () if move.source is None else (move.source,)) for move in moves)
    return (*(replace(step, after=after) for step, after in zip(steps, waits, strict=True)), *delays)


def simulate(
    problem: Problem,
    plan: Plan,
    duration_us: float,
    seed: int = 0,
    *,
    late_last: bool = True,
    on_run: Callable[[SimulatedRun], object] | None = None,
) -> Mapping[str, SimulatedResponses]:
    """Play all requests that arrive within `duration_us` to their end.

    Segments take exactly their predicted time. Transfers between memories delay a request without occupying a core.

    Parameters
    ----------
    problem : Problem
        With a stream for every model to be simulated.
    plan : Plan
    duration_us : float
    seed : int
        Each stream draws from its own child of this seed, so that adding a stream leaves the others as they were.
    late_last : bool
        Whether what cannot be in time any more goes last, as in the live runtime. Others have no such rule.
    on_run : callable, optional
        Called with each run of a segment as it starts, in order of the starts; transfers take no core and are none.

    Raises
    ------
    PlanError
        The plan's segments cannot run at all.
    """
    evaluation = evaluate(problem, plan)
    if not evaluation.models:
        raise PlanError(
            "plan", expected="segments that can run", got=capped(evaluation.violations), remedy="Plan again."
        )
    streams = [s for s in problem.streams if s.model in evaluation.models]
    arrivals = [
        arrival_times(stream.arrival, duration_us, np.random.default_rng([seed, k])) for k, stream in enumerate(streams)
    ]
    segments = [evaluation.models[stream.model].segments for stream in streams]
    moves = [_moves(problem, stream.model, of_model) for stream, of_model in zip(streams, segments, strict=True)]
    steps = [
        _with_moves(steps_of(of_model, plan.order, late_last), moved)
        for of_model, moved in zip(segments, moves, strict=True)
    ]

    order = sorted((time, k, i) for k, times in enumerate(arrivals) for i, time in enumerate(times))
    ends = [np.zeros(len(times)) for times in arrivals]
    dispatcher = Dispatcher(core for processor in problem.platform.processors for core in processor.cores)
    running: list[tuple[float, int, int]] = []
    next_arrival = 0
    while next_arrival < len(order) or running:
        arrival = order[next_arrival][0] if next_arrival < len(order) else np.inf
        now = min(arrival, running[0][0] if running else np.inf)
        while running and running[0][0] <= now:
            _, request, step = heapq.heappop(running)
            if dispatcher.finish(request, step):
                _, k, i = order[request]
                ends[k][i] = now
        while next_arrival < len(order) and order[next_arrival][0] <= now:
            time, k, _ = order[next_arrival]
            relative = streams[k].deadline_us
            dispatcher.release(next_arrival, np.inf if relative is None else time + relative, steps[k])
            next_arrival += 1
        for start in dispatcher.starts(now):
            _, k, i = order[start.request]
            if start.step < len(segments[k]):
                segment = segments[k][start.step]
                took_us = segment.latency_us if start.gang is None else segment.gang_us[start.gang]
                if on_run is not None:
                    model = streams[k].model
                    on_run(SimulatedRun(model, i, start.step, start.gang, start.cores, now, now + took_us))
            else:
                took_us = moves[k][start.step - len(segments[k])].took_us
            heapq.heappush(running, (now + took_us, start.request, start.step))
    return {
        stream.model: SimulatedResponses(
            times, end - times, np.inf if stream.deadline_us is None else stream.deadline_us
        )
        for stream, times, end in zip(streams, arrivals, ends, strict=True)
    }
