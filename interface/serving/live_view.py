"""The last seconds of an engine as plain data: what the dashboard draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...runtime_bridge import RequestRecord, SegmentRecord
from ...runtime_bridge.clock import now_us
from ...runtime_bridge.footprint import resident_bytes
from ..trace import trace
from .engine import Engine

WINDOW_US = 5e6
TIMELINE_US = 1e6
_MOST_POINTS = 150


def live_view(engine: Engine) -> dict[str, Any]:
    """Requests of the last seconds by model, what each core ran in the last one, memory and decisions.

    Times of points are milliseconds before now.
    """
    now = now_us()
    recent = list(_since(engine, now - WINDOW_US))
    runtime = engine.runtime
    streams = runtime.problem.stream_of
    return {
        "ready": engine.ready,
        "plan_version": runtime.version,
        "policy": runtime.plan.solver.policy,
        "in_flight": runtime.in_flight,
        "window_ms": WINDOW_US / 1e3,
        "timeline_ms": TIMELINE_US / 1e3,
        "models": [
            _model(
                name,
                [r for r in recent if r.model == name],
                streams[name].deadline_us if name in streams else None,
                runtime.evaluation.models[name].latency_us,
                now,
            )
            for name in engine.models
        ],
        "cores": _cores(engine, now),
        "memory": _memory(engine),
        "decisions": [
            {
                "seconds_ago": (now - decision.at_us) / 1e6,
                "action": decision.action,
                "reason": decision.reason,
                "drifts": [str(drift) for drift in decision.drifts],
            }
            for decision in list(engine.decisions)[-8:][::-1]
        ],
    }


def recent_trace(engine: Engine, seconds: float) -> dict[str, Any]:
    """Trace of the requests that ended in the last seconds, as far back as records are kept."""
    runtime, first_us = engine.runtime, now_us() - seconds * 1e6

    def predicted(record: RequestRecord, segment: SegmentRecord) -> tuple[str, float] | None:
        try:
            scored = runtime.scored_segments(record.plan_version, record.model)[segment.segment]
        except LookupError:  # a plan so old that nothing is known of it any more
            return None
        if segment.gang is None:
            return scored.planned.configuration.name, scored.latency_us
        return scored.planned.gangs[segment.gang].configuration.name, scored.gang_us[segment.gang]

    decisions = [decision for decision in list(engine.decisions) if decision.at_us >= first_us]
    cores = [core for processor in runtime.problem.platform.processors for core in processor.cores]
    return trace(reversed(list(_since(engine, first_us))), decisions, predicted, cores)


def _since(engine: Engine, first_us: float) -> Iterator[RequestRecord]:
    for record in reversed(list(engine.records)):
        if record.finish_us < first_us:
            return
        yield record


def _model(
    name: str, records: list[RequestRecord], deadline_us: float | None, predicted_us: float, now: float
) -> dict[str, Any]:
    served = [r for r in records if not r.error]
    response_ms = np.array([r.response_us for r in served]) / 1e3
    median, tail = np.quantile(response_ms, [0.5, 0.99]).tolist() if served else (None, None)
    return {
        "name": name,
        "deadline_ms": None if deadline_us is None else deadline_us / 1e3,
        "predicted_ms": predicted_us / 1e3,
        "rate_hz": len(records) / WINDOW_US * 1e6,
        "p50_ms": median,
        "p99_ms": tail,
        "missed": sum(r.missed for r in served) / len(served) if served else None,
        "refused": sum(r.refused for r in records),
        "failed": sum(bool(r.error) and not r.refused for r in records),
        "points": [[(now - r.finish_us) / 1e3, r.response_us / 1e3, r.missed] for r in served[:_MOST_POINTS]],
    }


def _cores(engine: Engine, now: float) -> list[dict[str, Any]]:
    names = list(engine.models)
    runs: dict[int, list[list[float]]] = {
        core: [] for processor in engine.runtime.problem.platform.processors for core in processor.cores
    }
    for record in _since(engine, now - TIMELINE_US):
        for segment in record.segments:
            if segment.finish_us > now - TIMELINE_US:
                bar = [(now - segment.start_us) / 1e3, (now - segment.finish_us) / 1e3, names.index(record.model)]
                for core in segment.cores:
                    runs.setdefault(core, []).append(bar)
    return [{"core": core, "runs": bars} for core, bars in sorted(runs.items())]


def _memory(engine: Engine) -> list[dict[str, Any]]:
    problem, evaluation = engine.runtime.problem, engine.runtime.evaluation
    planned = [
        {
            "name": f"{memory.name}, planned",
            "bytes": evaluation.memory_bytes.get(memory.name, 0.0),
            "limit_bytes": problem.limits.memory_bytes.get(memory.name, memory.capacity_bytes),
        }
        for memory in problem.platform.memories
    ]
    return [*planned, {"name": "this process", "bytes": resident_bytes(), "limit_bytes": None}]
