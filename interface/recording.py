"""From what the runtime hands back to the record that is saved and reported."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from .run_record import Decision, Request, RunRecord, SegmentPrediction, SegmentRun, Setup

if TYPE_CHECKING:
    from ..formulation import Problem, Stream
    from ..runtime_bridge import Comparison, RequestRecord, RunReport


def setup_of_run(report: RunReport, name: str, description: str = "", role: Literal["plan", "drift"] = "plan") -> Setup:
    """Set-up of one live run by a plan."""
    return Setup(
        name=name,
        description=description,
        role=role,
        duration_s=report.duration_s,
        requests=_requests(report.records, report.began_us),
        peak_memory_bytes=max(0, report.peak_bytes),
        decisions=tuple(
            Decision(at_us=d.at_us - report.began_us, action=d.action, reason=_reason(d.drifts, d.reason))
            for d in report.decisions
        ),
    )


def setups_of_comparison(comparison: Comparison, streams: Sequence[Stream]) -> tuple[Setup, ...]:
    """Set-ups of a comparison under these streams, the plans among them marked as such.

    The rounds of a set-up lie one after the other in time, whatever happened between them.
    """
    from ..runtime_bridge import Arrivals

    round_us = comparison.round_s * 1e6
    offered = [Arrivals.of(streams, round_us, comparison.seed + k).offsets_us for k in range(comparison.rounds)]
    setups = []
    for result in comparison.results:
        requests: list[Request] = []
        first = 0
        for k, offsets_us in enumerate(offered):
            records = result.records[first : first + len(offsets_us)]
            first += len(offsets_us)
            if records:
                began_us = min(r.arrival_us for r in records) - float(offsets_us[0])
                requests += _requests(records, began_us - k * round_us)
        setups.append(
            Setup(
                name=result.set_up.name,
                description=result.set_up.description,
                role="baseline" if result.set_up.plan is None else "plan",
                duration_s=result.duration_s,
                requests=tuple(requests),
                peak_memory_bytes=max(0, result.peak_bytes),
            )
        )
    return tuple(setups)


def predictions_of(report: RunReport, problem: Problem) -> tuple[SegmentPrediction, ...]:
    """Predicted and observed times of the segments of the first plan; those never measured are outside the fit."""
    measured = {
        (model.name, m.start, m.stop, model.costs.configurations[m.configuration].name)
        for model in problem.models
        for m in model.costs.measured
    }
    return tuple(
        SegmentPrediction(
            model=s.model,
            start=s.start,
            stop=s.stop,
            configuration=s.configuration,
            predicted_us=s.predicted_us,
            observed_us=s.observed_us,
            runs=s.runs,
            held_out=(s.model, s.start, s.stop, s.configuration) not in measured,
        )
        for s in report.segments
        if s.plan_version == 0 and s.predicted_us > 0 and s.observed_us > 0
    )


def record_of_run(report: RunReport, problem: Problem, scenario: str, seed: int) -> RunRecord:
    """Record of one live run."""
    return RunRecord(
        scenario=scenario,
        seed=seed,
        setups=(setup_of_run(report, "the plan", "this run"),),
        predictions=predictions_of(report, problem),
        notes=() if report.drained else ("Requests were still in flight when the run was given up.",),
    )


def _requests(records: Iterable[RequestRecord], began_us: float) -> tuple[Request, ...]:
    return tuple(
        Request(
            model=r.model,
            arrival_us=r.arrival_us - began_us,
            deadline_us=r.deadline_us - r.arrival_us if math.isfinite(r.deadline_us) else None,
            response_us=None if r.error or math.isnan(r.finish_us) else r.response_us,
            error=r.error,
            plan_version=r.plan_version,
            segments=tuple(
                SegmentRun(s.segment, s.cores, s.start_us - began_us, s.finish_us - began_us) for s in r.segments
            ),
        )
        for r in sorted(records, key=lambda r: r.arrival_us)
    )


def _reason(drifts: Iterable[object], reason: str) -> str:
    return "; ".join([*(str(drift) for drift in drifts), reason])
