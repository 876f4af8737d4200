"""What the planning service is at the moment, read from the store when Prometheus asks."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import version
from typing import get_args

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from .records import JobStatus
from .store import JobStore


class StoreMetrics(Collector):
    """Gauges of a store, the same whichever server is asked."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs

    def collect(self) -> Iterator[Metric]:
        """What Prometheus reads."""
        counts = self._jobs.counts()
        info = GaugeMetricFamily(
            "edgeplan_planner_build_info", "Versions of what answers; always 1.", labels=("version", "python")
        )
        info.add_metric((version("edgeplan"), platform.python_version()), 1)
        yield info
        jobs = GaugeMetricFamily("edgeplan_planner_jobs", "Jobs in the store.", labels=("status",))
        for status in get_args(JobStatus):
            jobs.add_metric((status,), counts.jobs.get(status, 0))
        yield jobs
        for name, said, value in (
            ("oldest_queued_seconds", "How long the job waits that has waited longest.", counts.oldest_queued_s),
            ("workers", "Processes with workers that were heard of lately.", counts.workers),
            ("slots", "Jobs that these work on at once.", counts.slots),
            ("profiles", "Profiles in the store.", counts.profiles),
        ):
            yield GaugeMetricFamily(f"edgeplan_planner_{name}", said, float(value))


def registry_of(jobs: JobStore) -> CollectorRegistry:
    """All that is measured of a server: its store, and its process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StoreMetrics(jobs))
    ProcessCollector(registry=registry)
    return registry
