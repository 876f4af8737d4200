"""Metrics: what they count, and that their names and types are as Prometheus wants them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("prometheus_client", reason="the server's packages are an extra")

from edgeplan.interface.serving.engine import Engine, EngineSettings
from edgeplan.interface.serving.statistics import HISTORY_S, OUTCOMES, RATIO_BUCKETS, Statistics
from edgeplan.runtime_bridge import Decision, RequestRecord, SegmentRecord
from edgeplan.runtime_bridge.clock import now_us
from edgeplan.runtime_bridge.supervisor import Fault
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ...conftest import CORES, Toys

BASE_UNITS = ("seconds", "bytes", "ratio", "total", "info")
OTHER_UNITS = re.compile(r"_(ms|us|ns|milliseconds?|microseconds?|kib|mib|kilobytes?|megabytes?|percent|count|hz)(_|$)")
UNITLESS = {
    "edgeplan_requests_in_flight",
    "edgeplan_requests_waiting",
    "edgeplan_ready",
    "edgeplan_plan_version",
    "edgeplan_faults_lasting",
}


@pytest.fixture(scope="module")
def engine(toys: Toys) -> Iterator[Engine]:
    with Engine(toys.problem, toys.halved(), toys.files, EngineSettings(admission=False, adapt=False)) as engine:
        for number in range(10):
            engine.submit("left", toys.feeds(number)).result()
        engine.submit("right", toys.feeds(), deadline_us=0.0).result()
        engine.runtime.drain()
        yield engine


def read(engine: Engine) -> dict[str, Any]:
    text = generate_latest(engine.statistics.registry).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(engine: Engine, name: str, **labels: str) -> float:
    found = engine.statistics.registry.get_sample_value(name, labels)
    assert found is not None, f"{name} {labels}"
    return found


def test_names_follow_the_conventions(engine: Engine) -> None:
    """Rules of `promtool check metrics` and of prometheus.io/docs/practices/naming."""
    families = read(engine)
    assert {"process_start_time_seconds", "process_resident_memory_bytes", "edgeplan_requests"} <= families.keys()
    for name, family in families.items():
        assert family.documentation, f"{name} has no help"
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert name.startswith(("edgeplan_", "process_"))
        assert not OTHER_UNITS.search(name), f"{name} is not in base units"
        assert not re.search(r"_(gauge|counter|histogram|summary)(_|$)", name), f"{name} names its type"
        assert family.type in {"counter", "gauge", "histogram"}
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total"), sample.name
            if family.type != "histogram":
                assert not sample.name.endswith(("_bucket", "_sum", "_count"))
                assert "le" not in sample.labels
            assert not {"quantile", "job", "instance"} & sample.labels.keys()
        if name.startswith("edgeplan_") and family.type != "counter":
            assert name.endswith(BASE_UNITS) or name in UNITLESS, f"{name} names no unit"


def test_histograms_add_up(engine: Engine) -> None:
    for family in read(engine).values():
        if family.type != "histogram":
            continue
        by_model: dict[str, list[float]] = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                by_model.setdefault(sample.labels["model"], []).append(sample.value)
        for model, buckets in by_model.items():
            assert buckets == sorted(buckets)
            assert buckets[-1] == value(engine, f"{family.name}_count", model=model)


def test_what_was_served_is_counted(engine: Engine) -> None:
    assert value(engine, "edgeplan_requests_total", model="left", outcome="in_time") == 10
    assert value(engine, "edgeplan_requests_total", model="right", outcome="late") == 1
    for outcome in OUTCOMES:
        value(engine, "edgeplan_requests_total", model="left", outcome=outcome)  # there from the start, for `rate`
    assert value(engine, "edgeplan_segment_time_ratio_count", model="left") == 20
    ran_s = sum(s.finish_us - s.start_us for r in engine.records for s in r.segments) / 1e6
    assert value(engine, "edgeplan_core_busy_seconds_total", core=str(CORES[0])) == pytest.approx(ran_s)
    assert value(engine, "edgeplan_response_seconds_sum", model="left") > 0
    assert value(engine, "edgeplan_deadline_seconds", model="left") == 0.5
    assert value(engine, "edgeplan_memory_limit_bytes", memory="host") == 2**30
    assert 0 < value(engine, "edgeplan_memory_planned_bytes", memory="host") < 2**30
    assert value(engine, "process_resident_memory_bytes") > 2**20


def test_switches_and_decisions_are_counted(toys: Toys) -> None:
    with Engine(toys.problem, toys.halved(), toys.files, EngineSettings(adapt=False)) as engine:
        assert value(engine, "edgeplan_plan_switches_total") == 0
        engine.runtime.swap(toys.problem, toys.whole())
        engine.statistics.decided(Decision(now_us(), (), "switched", "", 1, 0.1, 0.1))
        assert value(engine, "edgeplan_plan_switches_total") == value(engine, "edgeplan_plan_version") == 1
        assert value(engine, "edgeplan_decisions_total", action="switched") == 1
        assert value(engine, "edgeplan_decisions_total", action="kept") == 0
        engine.submit("left", toys.feeds()).result()
        engine.runtime.drain()
        assert value(engine, "edgeplan_segment_time_ratio_count", model="left") == 1, "the new plan has one segment"


def test_a_fault_is_a_gauge_while_it_lasts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = Fault("hang", 'odd "name"\n', "no end", 0.0)
    monkeypatch.setattr(Engine, "faults", (fault, fault))
    assert value(engine, "edgeplan_faults_lasting", model=fault.model, kind="hang") == 2
    read(engine)
    monkeypatch.setattr(Engine, "faults", ())
    assert (
        engine.statistics.registry.get_sample_value("edgeplan_faults_lasting", {"model": fault.model, "kind": "hang"})
        is None
    )


def test_requests_in_flight_and_those_that_wait(toys: Toys) -> None:
    with Engine(toys.problem, toys.whole(), toys.files, EngineSettings(admission=False, adapt=False)) as engine:
        futures = [engine.submit("left", toys.feeds()) for _ in range(200)]
        taken, waiting = engine.runtime.loads().get("left", (0, 0))
        assert waiting >= taken - 1, "there is one core for all of them"
        for future in futures:
            future.result()
        engine.runtime.drain()
        assert value(engine, "edgeplan_requests_in_flight", model="left") == 0
        assert value(engine, "edgeplan_requests_waiting", model="left") == 0


@given(st.lists(st.floats(0, 20), max_size=50))
@settings(max_examples=50, deadline=None)
def test_a_ratio_falls_into_the_first_bucket_that_holds_it(ratios: list[float]) -> None:
    predicted = {"left": {(0, None): ("cpu", 100.0)}}
    statistics = Statistics(["left"])
    statistics.compare_with(SimpleNamespace(get=lambda version: SimpleNamespace(predicted=predicted)))
    for ratio in ratios:
        record = RequestRecord(0, "left", 0, 0.0, 1e9, 1e4, [SegmentRecord(0, (0,), 0.0, ratio * 100.0, 1.0)])
        statistics.ended(record, 0)
    for bound in RATIO_BUCKETS:
        count = statistics.registry.get_sample_value(
            "edgeplan_segment_time_ratio_bucket", {"model": "left", "le": str(bound)}
        )
        assert count == sum(ratio * 100.0 / 100.0 <= bound for ratio in ratios)


@given(
    st.lists(st.tuples(st.floats(0, 90e6), st.floats(0, 90e6)).map(sorted), max_size=30),
    st.integers(60, 90),
)
@settings(max_examples=100, deadline=None)
def test_the_mean_number_in_the_system_is_the_time_spent_in_it(spans: list[list[float]], now_s: int) -> None:
    statistics = Statistics(["left"])
    ended = [span for span in spans if span[1] <= now_s * 1e6]
    for begin, end in sorted(ended, key=lambda span: span[1]):
        statistics.ended(RequestRecord(0, "left", 0, begin, 1e12, end), 0)
    seconds = np.arange(now_s - HISTORY_S, now_s) * 1e6
    expected = [sum(max(0.0, min(e, s + 1e6) - max(b, s)) for b, e in ended) / 1e6 for s in seconds]
    assert statistics.in_system("left", now_s * 1e6 + 0.5e6) == pytest.approx(expected, abs=1e-6)
