"""Counts and times of what was served, by model: for the protocol's statistics and for Prometheus."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ...runtime_bridge import Decision, RequestRecord
from ...runtime_bridge.history import PlanHistory
from ...runtime_bridge.supervisor import Fault
from ..trace import outcome

RESPONSE_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
RATIO_BUCKETS = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
OUTCOMES = ("in_time", "late", "refused", "failed")
ACTIONS = ("switched", "kept", "failed", "cancelled")
FAULTS = ("hang", "failing", "lost", "backend", "file", "memory", "clock")
HISTORY_S = 60
_MODEL = ("model",)


class _Sum:
    __slots__ = ("count", "ns")

    def __init__(self) -> None:
        self.count = self.ns = 0

    def add(self, us: float) -> None:
        self.count += 1
        self.ns += round(us * 1e3)

    @property
    def data(self) -> dict[str, int]:
        return {"count": self.count, "ns": self.ns}


class _Distribution:
    """What a Prometheus histogram says; one of the library's own takes a lock and a search in Python for each value."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        found, below = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            below += count
            found.append((floatToGoString(bound), float(below)))
        return found


class _Presence:
    """Mean number of requests in the system in each of the last seconds: their time in it, summed (Little's law)."""

    __slots__ = ("_second", "_us")

    def __init__(self) -> None:
        self._second = [-1] * (HISTORY_S + 1)
        self._us = [0.0] * (HISTORY_S + 1)

    def add(self, begin_us: float, end_us: float) -> None:
        last = int(end_us // 1e6)
        for second in range(max(int(begin_us // 1e6), last - HISTORY_S), last + 1):
            slot = second % (HISTORY_S + 1)
            if self._second[slot] < second:
                self._second[slot], self._us[slot] = second, 0.0
            if self._second[slot] == second:
                self._us[slot] += max(0.0, min(end_us, (second + 1) * 1e6) - max(begin_us, second * 1e6))

    def means(self, now_us: float) -> list[float]:
        """Of the whole seconds before now, the earliest first."""
        this = int(now_us // 1e6)
        slots = [(second, second % (HISTORY_S + 1)) for second in range(this - HISTORY_S, this)]
        return [self._us[slot] / 1e6 if self._second[slot] == second else 0.0 for second, slot in slots]


class _Model:
    def __init__(self) -> None:
        self.last_ms = 0
        self.outcomes: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
        self.success, self.fail, self.queue, self.compute = _Sum(), _Sum(), _Sum(), _Sum()
        self.response_s = _Distribution(RESPONSE_BUCKETS_S)
        self.queue_s = _Distribution(RESPONSE_BUCKETS_S)
        self.ratio = _Distribution(RATIO_BUCKETS)
        self.presence = _Presence()


class Statistics(Collector):
    """Everything is counted from the start; safe to feed from several threads.

    Parameters
    ----------
    models : iterable of str

    Attributes
    ----------
    registry : CollectorRegistry
        Of all metrics, these among them.
    """

    def __init__(self, models: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._models = defaultdict(_Model, {model: _Model() for model in models})
        self._busy_us: defaultdict[int, float] = defaultdict(float)
        self._decisions: Counter[str] = Counter(dict.fromkeys(ACTIONS, 0))
        self._faults: Counter[str] = Counter(dict.fromkeys(FAULTS, 0))
        self._history: PlanHistory | None = None
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def compare_with(self, history: PlanHistory) -> None:
        """Compare segments from now on with what their plans predict of them."""
        self._history = history

    def ended(self, record: RequestRecord, wall_ms: int) -> None:
        """Count a request that has ended."""
        past = self._history.get(record.plan_version) if self._history else None
        predicted = past.predicted.get(record.model, {}) if past else {}
        ran_us = 0.0
        with self._lock:
            model = self._models[record.model]
            model.outcomes[outcome(record).replace(" ", "_")] += 1
            for segment in record.segments:
                took_us = segment.finish_us - segment.start_us
                ran_us += took_us
                for core in segment.cores:
                    self._busy_us[core] += took_us
                _, expected_us = predicted.get((segment.segment, segment.gang), ("", 0.0))
                if expected_us > 0 and not record.error:
                    model.ratio.add(took_us / expected_us)
            if not record.refused:
                model.presence.add(record.arrival_us, record.finish_us)
            if record.error:
                model.fail.add(record.finish_us - record.arrival_us)
                return
            queue_us = max(0.0, record.response_us - ran_us)
            model.success.add(record.response_us)
            model.queue.add(queue_us)
            model.compute.add(ran_us)
            model.response_s.add(record.response_us / 1e6)
            model.queue_s.add(queue_us / 1e6)
            model.last_ms = wall_ms

    def decided(self, decision: Decision) -> None:
        """Count a decision."""
        with self._lock:
            self._decisions[decision.action] += 1

    def faulty(self, fault: Fault, ended: bool) -> None:
        """Count a fault, when it begins."""
        with self._lock:
            self._faults[fault.kind] += not ended

    def in_system(self, model: str, now_us: float) -> list[float]:
        """Mean number of a model's requests in the system in each of the last `HISTORY_S` seconds, the earliest first.

        A request counts once it has ended.
        """
        with self._lock:
            return self._models[model].presence.means(now_us)

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
                "execution_count": m.success.count,
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

    def collect(self) -> Iterator[Metric]:
        """What Prometheus reads."""
        requests = CounterMetricFamily(
            "edgeplan_requests", "Requests that ended, by outcome.", None, ("model", "outcome")
        )
        response = HistogramMetricFamily(
            "edgeplan_response_seconds", "From the arrival of a request to its end, where it was served.", labels=_MODEL
        )
        queue = HistogramMetricFamily(
            "edgeplan_queue_seconds", "Part of the response in which no segment of the request ran.", labels=_MODEL
        )
        ratio = HistogramMetricFamily(
            "edgeplan_segment_time_ratio", "Observed over predicted time of the segments that ran.", labels=_MODEL
        )
        busy = CounterMetricFamily("edgeplan_core_busy_seconds", "Time that segments had each core.", None, ("core",))
        decisions = CounterMetricFamily(
            "edgeplan_decisions", "Decisions whether another plan should serve.", None, ("action",)
        )
        faults = CounterMetricFamily("edgeplan_faults", "Faults that began.", None, ("kind",))
        with self._lock:
            for name, model in self._models.items():
                for became, count in model.outcomes.items():
                    requests.add_metric((name, became), count)
                for family, distribution in (
                    (response, model.response_s),
                    (queue, model.queue_s),
                    (ratio, model.ratio),
                ):
                    family.add_metric((name,), distribution.buckets(), distribution.total)
            for core, us in sorted(self._busy_us.items()):
                busy.add_metric((str(core),), us / 1e6)
            for action, count in self._decisions.items():
                decisions.add_metric((action,), count)
            for kind, count in self._faults.items():
                faults.add_metric((kind,), count)
        yield from (requests, response, queue, ratio, busy, decisions, faults)
