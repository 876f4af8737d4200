"""What an engine is at the moment, read when Prometheus asks: nothing is kept up to date in between."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ...runtime_bridge import LiveRuntime

if TYPE_CHECKING:
    from .engine import Engine


class PlannedMemory(NamedTuple):
    """What a plan takes of a memory, and what it may take."""

    name: str
    planned_bytes: float
    limit_bytes: float


def planned_memory(runtime: LiveRuntime) -> list[PlannedMemory]:
    """By memory of the platform."""
    problem, planned = runtime.problem, runtime.evaluation.memory_bytes
    return [
        PlannedMemory(m.name, planned.get(m.name, 0.0), problem.memory_limit[m.name]) for m in problem.platform.memories
    ]


class LiveMetrics(Collector):
    """Gauges of an engine, and of its process.

    Parameters
    ----------
    engine : Engine
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._process = ProcessCollector(registry=None)

    def collect(self) -> Iterator[Metric]:
        """What Prometheus reads."""
        engine, runtime = self._engine, self._engine.runtime
        problem, evaluation = runtime.problem, runtime.evaluation
        models = [model.name for model in problem.models]
        loads = runtime.loads()
        memories = planned_memory(runtime)
        streams = [s for s in problem.streams if s.deadline_us is not None]
        faults = Counter((fault.model, fault.kind) for fault in engine.faults)

        yield _gauges(
            "edgeplan_build_info",
            "Versions of what serves; always 1.",
            ("version", "python", "onnxruntime"),
            [((version("edgeplan"), platform.python_version(), version("onnxruntime")), 1)],
        )
        yield GaugeMetricFamily("edgeplan_ready", "Whether requests are taken.", float(engine.ready))
        yield _gauges(
            "edgeplan_requests_in_flight",
            "Requests taken and not ended.",
            ("model",),
            [((model,), loads.get(model, (0, 0))[0]) for model in models],
        )
        yield _gauges(
            "edgeplan_requests_waiting",
            "Requests taken of which no segment runs.",
            ("model",),
            [((model,), loads.get(model, (0, 0))[1]) for model in models],
        )
        yield _gauges(
            "edgeplan_deadline_seconds",
            "Deadline of a model's requests, from their arrival.",
            ("model",),
            [((s.model,), s.deadline_us / 1e6) for s in streams if s.deadline_us is not None],
        )
        yield _gauges(
            "edgeplan_predicted_response_seconds",
            "What the plan predicts on an idle device.",
            ("model",),
            [((name,), scored.latency_us / 1e6) for name, scored in evaluation.models.items()],
        )
        yield _gauges(
            "edgeplan_memory_planned_bytes",
            "What the plan takes of a memory at most.",
            ("memory",),
            [((m.name,), m.planned_bytes) for m in memories],
        )
        yield _gauges(
            "edgeplan_memory_limit_bytes",
            "What a plan may take of a memory.",
            ("memory",),
            [((m.name,), m.limit_bytes) for m in memories],
        )
        yield GaugeMetricFamily(
            "edgeplan_plan_version", "Version of the plan that serves new requests.", runtime.version
        )
        yield CounterMetricFamily("edgeplan_plan_switches", "How often the plan was exchanged.", runtime.switches)
        yield _gauges("edgeplan_faults_lasting", "Faults that are not over.", ("model", "kind"), list(faults.items()))
        yield from self._process.collect()


def _gauges(
    name: str, help: str, labels: Sequence[str], values: Sequence[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family
