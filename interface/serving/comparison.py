"""Predicted against observed, by the last requests under the plan that serves."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...runtime_bridge import RequestRecord
from .engine import Engine


def predicted_and_observed(engine: Engine) -> dict[str, Any]:
    """By model: each segment's time in each way that it ran, and the responses; microseconds."""
    version = engine.runtime.version
    past = engine.runtime.history.get(version)
    records = [r for r in list(engine.records) if r.plan_version == version and not r.error]
    if past is None:
        return {"plan_version": version, "models": {}}
    return {
        "plan_version": version,
        "models": {
            name: {
                "predicted_latency_us": scored.latency_us,
                "responses": _responses([r for r in records if r.model == name]),
                "segments": _segments([r for r in records if r.model == name], past.predicted[name]),
            }
            for name, scored in past.evaluation.models.items()
        },
    }


def _responses(records: list[RequestRecord]) -> dict[str, Any]:
    responses = [record.response_us for record in records]
    median, tail = np.quantile(responses, [0.5, 0.99]).tolist() if responses else (None, None)
    return {"count": len(responses), "p50_us": median, "p99_us": tail, "late": sum(r.missed for r in records)}


def _segments(
    records: list[RequestRecord], predicted: dict[tuple[int, int | None], tuple[str, float]]
) -> list[dict[str, Any]]:
    times: dict[tuple[int, int | None], list[float]] = {}
    for record in records:
        for run in record.segments:
            times.setdefault((run.segment, run.gang), []).append(run.finish_us - run.start_us)
    return [
        {
            "segment": segment,
            "configuration": configuration,
            "predicted_us": predicted_us,
            "observed_us": float(np.median(times[segment, gang])) if (segment, gang) in times else None,
            "runs": len(times.get((segment, gang), ())),
        }
        for (segment, gang), (configuration, predicted_us) in predicted.items()
    ]
