"""The last seconds of an engine as plain data: what the dashboard draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...runtime_bridge import Decision, RequestRecord, SegmentRecord
from ...runtime_bridge.clock import now_us
from ...runtime_bridge.footprint import resident_bytes
from ..trace import trace
from ..units import jsonable
from .engine import Engine
from .metrics import planned_memory

WINDOW_US = 5e6
TIMELINE_US = 1e6
_MOST_POINTS = 150
_MOST_RUNS = 250
_DECISIONS = 12


def live_view(engine: Engine) -> dict[str, Any]:
    """Requests of the last seconds by model, queues, what each core ran, memory, faults and decisions.

    Times of points are milliseconds before now.
    """
    now = now_us()
    window_us = _window_us(engine, now)
    recent = list(_since(engine, now - window_us))
    runtime = engine.runtime
    timeline_us, cores = _cores(engine, recent, now)
    return jsonable(
        {
            "ready": engine.ready,
            "plan_version": runtime.version,
            "policy": runtime.plan.solver.policy,
            "in_flight": runtime.in_flight,
            "window_ms": window_us / 1e3,
            "models": _models(engine, recent, now, window_us),
            "timeline_ms": timeline_us / 1e3,
            "cores": cores,
            "memory": [
                {"name": m.name, "bytes": m.planned_bytes, "limit_bytes": m.limit_bytes}
                for m in planned_memory(runtime)
            ],
            "resident_bytes": resident_bytes(),
            "faults": _faults(engine, now),
            "decisions": [_decided(decision, now) for decision in list(engine.decisions)[-_DECISIONS:][::-1]],
        }
    )


def recent_trace(engine: Engine, seconds: float) -> dict[str, Any]:
    """Trace of the requests that ended in the last seconds, as far back as records are kept."""
    runtime, first_us = engine.runtime, now_us() - seconds * 1e6

    def predicted(record: RequestRecord, segment: SegmentRecord) -> tuple[str, float] | None:
        past = runtime.history.get(record.plan_version)
        return past and past.predicted.get(record.model, {}).get((segment.segment, segment.gang))

    decisions = [decision for decision in list(engine.decisions) if decision.at_us >= first_us]
    return trace(reversed(list(_since(engine, first_us))), decisions, predicted, _platform_cores(engine))


def _window_us(engine: Engine, now: float) -> float:
    """How far back all records are there: under much load, those of the whole `WINDOW_US` are not kept."""
    records = engine.records
    if len(records) < (records.maxlen or 0):
        return WINDOW_US
    return min(WINDOW_US, max(now - records[0].finish_us, 1.0))


def _since(engine: Engine, first_us: float) -> Iterator[RequestRecord]:
    for record in reversed(list(engine.records)):
        if record.finish_us < first_us:
            return
        yield record


def _platform_cores(engine: Engine) -> list[int]:
    return [core for processor in engine.runtime.problem.platform.processors for core in processor.cores]


def _models(engine: Engine, recent: list[RequestRecord], now: float, window_us: float) -> list[dict[str, Any]]:
    runtime = engine.runtime
    streams, planned, loads = runtime.problem.stream_of, runtime.evaluation.models, runtime.loads()
    of_model: dict[str, list[RequestRecord]] = {name: [] for name in engine.models}
    for record in recent:
        of_model.setdefault(record.model, []).append(record)
    shown = []
    for name in engine.models:
        deadline_us = streams[name].deadline_us if name in streams else None
        in_flight, waiting = loads.get(name, (0, 0))
        shown.append(
            {
                "name": name,
                "deadline_ms": None if deadline_us is None else deadline_us / 1e3,
                "predicted_ms": planned[name].latency_us / 1e3 if name in planned else None,
                "in_flight": in_flight,
                "waiting": waiting,
                "in_system": [round(mean, 3) for mean in engine.statistics.in_system(name, now)],
                **_responses(of_model[name], now, window_us),
            }
        )
    return shown


def _faults(engine: Engine, now: float) -> list[dict[str, Any]]:
    """What is wrong now, a state that cannot be written among it."""
    trouble = engine.keeper.store.trouble if engine.keeper else None
    state = [] if trouble is None else [{"model": "", "kind": "state", "reason": trouble, "seconds": None}]
    return state + [
        {"model": f.model, "kind": f.kind, "reason": f.reason, "seconds": (now - f.since_us) / 1e6}
        for f in engine.faults
    ]


def _decided(decision: Decision, now: float) -> dict[str, Any]:
    return {
        "at_us": decision.at_us,
        "seconds_ago": (now - decision.at_us) / 1e6,
        "action": decision.action,
        "origin": decision.origin,
        "reason": decision.reason,
        "drifts": [str(drift) for drift in decision.drifts],
        "plan_version": decision.plan_version,
        "solve_s": decision.solve_s,
        "swap_s": decision.swap_s,
        **{
            name: judged and {"missed": judged.miss_ratio, "response_ms": judged.response_us / 1e3}
            for name, judged in (("expected", decision.expected), ("before", decision.before))
        },
    }


def _responses(records: list[RequestRecord], now: float, window_us: float) -> dict[str, Any]:
    served = [r for r in records if not r.error]
    refused = [r for r in records if r.refused]
    response_ms = np.array([r.response_us for r in served]) / 1e3
    median, tail = np.quantile(response_ms, [0.5, 0.99]).tolist() if served else (None, None)
    return {
        "rate_hz": len(records) / window_us * 1e6,
        "p50_ms": median,
        "p99_ms": tail,
        "missed": sum(r.missed for r in served) / len(served) if served else None,
        "refused": len(refused),
        "failed": sum(bool(r.error) and not r.refused for r in records),
        "points": [
            [round((now - r.finish_us) / 1e3, 1), round(r.response_us / 1e3, 3), r.missed]
            for r in _some([r for r in served if not r.missed]) + _some([r for r in served if r.missed])
        ],
        "refusals": [round((now - r.finish_us) / 1e3, 1) for r in _some(refused)],
    }


def _some(records: list[RequestRecord]) -> list[RequestRecord]:
    """Of many records as many as can be told apart, over the whole of the window."""
    return records[:: -(-len(records) // _MOST_POINTS) or 1]


def _cores(engine: Engine, recent: list[RequestRecord], now: float) -> tuple[float, list[dict[str, Any]]]:
    """What each core ran, and how far back: less far where so many segments ran that they could not be told apart."""
    numbers = {name: number for number, name in enumerate(engine.models)}
    runs: dict[int, list[tuple[SegmentRecord, int]]] = {core: [] for core in _platform_cores(engine)}
    for record in recent:
        for segment in record.segments:
            if segment.finish_us > now - TIMELINE_US and record.model in numbers:
                for core in segment.cores:
                    runs.setdefault(core, []).append((segment, numbers[record.model]))
    first_us = now - TIMELINE_US
    for there in runs.values():
        there.sort(key=lambda run: run[0].finish_us)
        first_us = max([first_us, *(segment.finish_us for segment, _ in there[-_MOST_RUNS - 1 : -_MOST_RUNS])])
    return now - first_us, [
        {
            "core": core,
            "runs": [
                [round((now - segment.start_us) / 1e3, 3), round((now - segment.finish_us) / 1e3, 3), number]
                for segment, number in there
                if segment.finish_us > first_us
            ],
        }
        for core, there in sorted(runs.items())
    ]
