"""A scenario on the live runtime for a while: load, controller, and a report of what happened."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from ..formulation import Plan, Problem, Stream
from ..profiles import sample_inputs
from .clock import now_us
from .controller import Controller, Decision
from .footprint import forget_peak, peak_bytes, resident_bytes
from .load import Arrivals, offer
from .records import RequestRecord, ResponseSummary, summaries
from .runtime import LiveRuntime

DRAIN_TIMEOUT_S = 30.0
"""Longest wait for requests in flight when a run ends."""


@dataclass(frozen=True)
class SegmentComparison:
    """Predicted against observed time of one planned segment.

    Attributes
    ----------
    model, configuration : str
    plan_version, segment, start, stop, runs : int
    predicted_us : float
        Of the plan that served.
    observed_us : float
        Median over its runs beside all that ran with it.
    """

    model: str
    plan_version: int
    segment: int
    start: int
    stop: int
    configuration: str
    predicted_us: float
    observed_us: float
    runs: int

    @property
    def relative_error(self) -> float:
        """(predicted − observed) / observed."""
        return (self.predicted_us - self.observed_us) / self.observed_us


@dataclass(frozen=True)
class Phase:
    """A stretch of a run with its own streams."""

    streams: tuple[Stream, ...]
    duration_s: float


@dataclass(frozen=True)
class RunReport:
    """What happened in a run.

    Attributes
    ----------
    began_us : float
        The instant that the load began, on the clock of the records.
    duration_s : float
        Time over which requests were offered.
    records : tuple of RequestRecord
    decisions : tuple of Decision
    plans : tuple of Plan
        By plan version.
    segments : tuple of SegmentComparison
    peak_bytes : int
        Largest resident memory above that before any session was open.
    drained : bool
        Whether every accepted request ended in time.
    """

    began_us: float
    duration_s: float
    records: tuple[RequestRecord, ...]
    decisions: tuple[Decision, ...]
    plans: tuple[Plan, ...]
    segments: tuple[SegmentComparison, ...]
    peak_bytes: int
    drained: bool

    @property
    def summaries(self) -> list[ResponseSummary]:
        """Figures by model, then of all."""
        return summaries(self.records, self.duration_s)

    def between(self, start_s: float, stop_s: float) -> list[RequestRecord]:
        """Requests that arrived in a stretch of the run, seconds from its begin."""
        first, last = self.began_us + start_s * 1e6, self.began_us + stop_s * 1e6
        return [r for r in self.records if first <= r.arrival_us < last]


def run_scenario(
    problem: Problem,
    plan: Plan,
    files: Mapping[str, Path],
    phases: Sequence[Phase],
    *,
    seed: int = 0,
    adapt: bool = True,
    stop: threading.Event | None = None,
    on_decision: Callable[[Decision], None] | None = None,
    on_phase: Callable[[int, Phase], None] | None = None,
) -> RunReport:
    """Serve a scenario by a plan, phase after phase, and report.

    Parameters
    ----------
    problem : Problem
    plan : Plan
    files : mapping of str to Path
    phases : sequence of Phase
        What is really asked. The first usually has the problem's own streams; later ones may differ, to see the
        controller at work.
    seed : int
    adapt : bool
        Whether the controller may re-plan.
    stop : threading.Event, optional
        Set it to end early; requests in flight are still answered.
    on_decision, on_phase : callable, optional
    """
    import_module("onnxruntime")  # loaded first, so that its own size does not count as the sessions'

    feeds = {model.name: sample_inputs(files[model.name]) for model in problem.models}
    forget_peak()
    base = resident_bytes()
    stop = stop or threading.Event()
    with LiveRuntime(problem, plan, files) as runtime:
        for model in problem.models:
            runtime.submit(model.name, feeds[model.name]).result()
        warm_up = len(runtime.records)
        controller = Controller(runtime, problem, seed=seed, on_decision=on_decision)
        began_us = now_us()
        if adapt:
            controller.__enter__()
        try:
            for number, phase in enumerate(phases):
                if stop.is_set():
                    break
                if on_phase is not None:
                    on_phase(number, phase)
                arrivals = Arrivals.of(phase.streams, phase.duration_s * 1e6, seed + number)
                start_us = offer(arrivals, lambda m, due: runtime.submit(m, feeds[m], due), stop)
                stop.wait(max(0.0, start_us + phase.duration_s * 1e6 - now_us()) / 1e6)
            duration_s = (now_us() - began_us) / 1e6
        finally:
            controller.close()
            drained = runtime.drain(DRAIN_TIMEOUT_S)
        records = tuple(runtime.records[warm_up:])
        segments = tuple(_compare_segments(runtime, records))
        return RunReport(
            began_us,
            duration_s,
            records,
            tuple(controller.decisions),
            tuple(runtime.history.plans.values()),
            segments,
            peak_bytes() - base,
            drained,
        )


def _compare_segments(runtime: LiveRuntime, records: Sequence[RequestRecord]) -> list[SegmentComparison]:
    observed: dict[tuple[str, int, int, int], list[float]] = {}
    for record in records:
        for segment in record.segments:
            way = 0 if segment.gang is None else segment.gang + 1
            key = (record.model, record.plan_version, segment.segment, way)
            observed.setdefault(key, []).append(segment.finish_us - segment.start_us)
    compared = []
    for (model, version, k, way), times in sorted(observed.items()):
        scored = runtime.scored_segments(version, model)[k]
        compared.append(
            SegmentComparison(
                model,
                version,
                k,
                scored.planned.start,
                scored.planned.stop,
                (scored.planned, *scored.planned.gangs)[way].configuration.name,
                (scored.latency_us, *scored.gang_us)[way],
                float(np.median(times)),
                len(times),
            )
        )
    return compared
