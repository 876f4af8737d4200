"""The load generator and the figures made of records."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from edgeplan.formulation import Periodic, Poisson, Stream
from edgeplan.runtime_bridge import Arrivals, RequestRecord, now_us, offer, summaries, summarise

STREAMS = (
    Stream(model="a", arrival=Periodic(period_us=10_000)),
    Stream(model="b", arrival=Poisson(rate_hz=200)),
)


def test_the_same_seed_draws_the_same_requests() -> None:
    first, again, other = (Arrivals.of(STREAMS, 1e6, seed) for seed in (1, 1, 2))
    assert first.models == again.models
    assert np.array_equal(first.offsets_us, again.offsets_us)
    assert not np.array_equal(first.offsets_us, other.offsets_us)
    assert first.models.count("a") == 100
    assert np.all(np.diff(first.offsets_us) >= 0)


def test_a_stream_does_not_change_the_others_draws() -> None:
    alone = Arrivals.of(STREAMS[:1], 1e6, 1)
    both = Arrivals.of(STREAMS, 1e6, 1)
    assert [t for m, t in zip(both.models, both.offsets_us, strict=True) if m == "a"] == alone.offsets_us.tolist()


def test_a_slow_receiver_does_not_shift_the_schedule() -> None:
    arrivals = Arrivals(("a",) * 4, np.array([0.0, 1e3, 2e3, 50e3]))
    due = []

    def slow(_: str, due_us: float) -> None:
        due.append(due_us)
        time.sleep(0.01)

    start_us = offer(arrivals, slow)
    assert np.allclose(np.array(due) - start_us, arrivals.offsets_us)


def test_requests_are_not_sent_before_they_are_due() -> None:
    arrivals = Arrivals(("a",) * 3, np.array([0.0, 5e3, 20e3]))
    early = []
    offer(arrivals, lambda _, due_us: early.append(due_us - now_us()))
    assert max(early) <= 0


def test_stopping_ends_the_load() -> None:
    stop, sent = threading.Event(), []

    def submit(model: str, _: float) -> None:
        sent.append(model)
        stop.set()

    offer(Arrivals(("a", "b"), np.array([0.0, 60e6])), submit, stop)
    assert sent == ["a"]


def a_record(response_us: float, deadline_us: float = float("inf"), error: str = "", model: str = "a") -> RequestRecord:
    return RequestRecord(0, model, 0, 100.0, 100.0 + deadline_us, 100.0 + response_us, [], error)


def test_figures_count_misses_failures_and_percentiles() -> None:
    records = [a_record(float(us), 95.5) for us in range(1, 101)] + [a_record(0, error="refused")]
    summary = summarise(records, 2.0)
    assert (summary.offered, summary.served, summary.failed, summary.missed) == (101, 100, 1, 6)
    assert summary.throughput_hz == 50
    assert summary.mean_us == pytest.approx(50.5)
    assert summary.p99_us == pytest.approx(99.01)


def test_one_line_a_model_and_one_for_all() -> None:
    lines = summaries([a_record(1), a_record(2, model="b"), a_record(3)], 1.0)
    assert [(line.model, line.served) for line in lines] == [("a", 2), ("b", 1), ("all", 3)]


def test_no_request_is_no_error() -> None:
    assert np.isnan(summarise([], 1.0).p99_us)
    assert summarise([], 1.0).miss_ratio == 0
