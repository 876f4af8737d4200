"""Counts and times of what was served, by model: for the protocol's statistics and for Prometheus."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from ...runtime_bridge import RequestRecord

BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass
class _Sum:
    count: int = 0
    ns: int = 0

    def add(self, us: float) -> None:
        self.count += 1
        self.ns += round(us * 1e3)

    @property
    def data(self) -> dict[str, int]:
        return {"count": self.count, "ns": self.ns}


class _Model:
    def __init__(self) -> None:
        self.last_ms = 0
        self.executions = 0
        self.success, self.fail, self.queue, self.compute = _Sum(), _Sum(), _Sum(), _Sum()


class Statistics:
    """Everything is counted from the start; safe to feed from several threads.

    Parameters
    ----------
    models : iterable of str
    """

    def __init__(self, models: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        self._lock = threading.Lock()
        self._models: defaultdict[str, _Model] = defaultdict(_Model, {model: _Model() for model in models})
        self._requests = Counter(
            "edgeplan_requests",
            "Requests by model and outcome: in_time, late, refused, failed.",
            ("model", "outcome"),
            registry=self.registry,
        )
        self._response = Histogram(
            "edgeplan_response_seconds",
            "From the arrival of a request to its end, where it was served.",
            ("model",),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._queue = Histogram(
            "edgeplan_queue_seconds",
            "Part of the response in which no segment of the request ran.",
            ("model",),
            buckets=BUCKETS_S,
            registry=self.registry,
        )

    def ended(self, record: RequestRecord, wall_ms: int) -> None:
        """Count a request that has ended."""
        if record.error:
            self._requests.labels(record.model, "refused" if record.refused else "failed").inc()
            with self._lock:
                self._models[record.model].fail.add(record.finish_us - record.arrival_us)
            return
        ran_us = sum(segment.finish_us - segment.start_us for segment in record.segments)
        queue_us = max(0.0, record.response_us - ran_us)
        self._requests.labels(record.model, "late" if record.missed else "in_time").inc()
        self._response.labels(record.model).observe(record.response_us / 1e6)
        self._queue.labels(record.model).observe(queue_us / 1e6)
        with self._lock:
            model = self._models[record.model]
            model.success.add(record.response_us)
            model.queue.add(queue_us)
            model.compute.add(ran_us)
            model.executions += 1
            model.last_ms = wall_ms

    def of(self, model: str, version: str) -> dict[str, Any]:
        """A model's figures as the protocol's statistics extension writes them; times in nanoseconds."""
        none = _Sum().data
        with self._lock:
            m = self._models[model]
            return {
                "name": model,
                "version": version,
                "last_inference": m.last_ms,
                "inference_count": m.success.count,
                "execution_count": m.executions,
                "inference_stats": {
                    "success": m.success.data,
                    "fail": m.fail.data,
                    "queue": m.queue.data,
                    "compute_input": none,
                    "compute_infer": m.compute.data,
                    "compute_output": none,
                },
                "batch_stats": [],
            }
