"""Traces keep the rules of their format, whatever the records say."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest
from edgeplan.interface.trace import CORES_PROCESS, DECISIONS_THREAD, REQUESTS_PROCESS, chunks, trace, trace_of_run
from edgeplan.runtime_bridge import Decision, Drift, Phase, RequestRecord, SegmentRecord, run_scenario
from hypothesis import given, settings
from hypothesis import strategies as st

from ..conftest import Toys

_NESTED = {"b", "e", "n"}
_KNOWN = {"M", "X", "i", "C", "s", "f"} | _NESTED


def refuse_malformed(document: dict[str, Any]) -> None:
    """Check the rules of the Trace Event Format and those that Perfetto adds: it drops or misplaces what breaks them.

    Every event has a phase, process, thread and, but for metadata, a time; slices of a thread nest; asynchronous slices
    of one id nest, end with the name they began with; each arrow has one begin and one end, in this order, each inside
    a slice; counters have numbers; JSON has no NaN.
    """
    events = json.loads("".join(chunks(document)))["traceEvents"]
    assert [e["ts"] for e in events if "ts" in e] == sorted(e["ts"] for e in events if "ts" in e)
    threads, processes = set(), set()
    open_slices: dict[tuple[int, int], list[float]] = defaultdict(list)
    bounds: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    nested: dict[tuple[int, str, int], list[str]] = defaultdict(list)
    arrows: dict[tuple[str, str, int], list[str]] = defaultdict(list)
    for event in events:
        assert event["ph"] in _KNOWN
        assert type(event["pid"]) is type(event["tid"]) is int
        assert event["pid"] > 0  # Perfetto takes thread 0 of process 0 for the idle one
        assert isinstance(event["name"], str)
        where = event["pid"], event["tid"]
        if event["ph"] == "M":
            assert event["name"] in {"process_name", "process_sort_index", "thread_name", "thread_sort_index"}
            (threads if event["name"].startswith("thread") else processes).add(
                where if event["name"].startswith("thread") else event["pid"]
            )
            continue
        assert (event["ts"] * 1000).is_integer(), "no whole nanoseconds"
        if event["ph"] == "X":
            assert where in threads
            assert event["dur"] >= 0
            begin, end = event["ts"], event["ts"] + event["dur"]
            stack = open_slices[where]
            while stack and stack[-1] <= begin:
                stack.pop()
            assert not stack or end <= stack[-1], "slices cross"
            stack.append(end)
            bounds[where].append((begin, end))
        elif event["ph"] in _NESTED:
            stack = nested[event["pid"], event["cat"], event["id"]]
            if event["ph"] == "b":
                stack.append(event["name"])
            else:
                assert stack.pop() == event["name"]
        elif event["ph"] in "sf":
            arrows[event["cat"], event["name"], event["id"]].append(event["ph"])
            inside = [b for b in bounds[where] if b[0] <= event["ts"] < b[1]]
            assert len(inside) == 1, "an arrow that is bound to no slice"
        elif event["ph"] == "C":
            assert event["args"]
            assert all(type(value) in (int, float) and value >= 0 for value in event["args"].values())
        else:
            assert event["s"] in "tpg"
            assert where in threads
        assert event["pid"] in processes
    assert all(ends == ["s", "f"] for ends in arrows.values())


# Instants from a small pool meet exactly; those beside them differ by less than what a trace can tell apart.
INSTANTS = st.sampled_from([0.0, 1.0, 1.03, 1.0625, 1.125, 2.0, 7.5, 1e12, 1e12 + 0.1]) | st.floats(-1e9, 1e13)
ODD_INSTANTS = INSTANTS | st.sampled_from([float("inf"), float("nan"), float("-inf")])
NAMES = st.sampled_from(["left", "right", "</script>", 'a"b\\', "\ud800", "é\n"])


@st.composite
def segments(draw: st.DrawFn) -> SegmentRecord:
    start, finish = draw(ODD_INSTANTS), draw(ODD_INSTANTS)
    return SegmentRecord(
        segment=draw(st.integers(0, 3)),
        cores=tuple(draw(st.lists(st.integers(0, 3), max_size=3))),
        start_us=start,
        finish_us=finish,
        cpu_us=draw(st.floats()),
        gang=draw(st.none() | st.integers(0, 1)),
    )


@st.composite
def requests(draw: st.DrawFn) -> RequestRecord:
    return RequestRecord(
        request=draw(st.integers(-1, 5)),
        model=draw(NAMES),
        plan_version=draw(st.integers(-1, 2)),
        arrival_us=draw(ODD_INSTANTS),
        deadline_us=draw(ODD_INSTANTS),
        finish_us=draw(ODD_INSTANTS),
        segments=draw(st.lists(segments(), max_size=5)),
        error=draw(st.sampled_from(["", "segment 1: broken"])),
        refused=draw(st.booleans()),
        label=draw(NAMES),
    )


@given(st.lists(requests(), max_size=12), st.lists(INSTANTS, max_size=3))
@settings(max_examples=120, deadline=None)
def test_any_records_make_a_trace_that_keeps_the_rules(records: list[RequestRecord], decided: list[float]) -> None:
    decisions = [Decision(at, (), "kept", "no better plan", 0, 0.1, 0.0) for at in decided]
    document = trace(records, decisions, lambda *_: ("cpu", float("inf")), cores=(0, 9))
    refuse_malformed(document)
    slices = [e for e in document["traceEvents"] if e["ph"] == "X"]
    finite = [
        (record, segment)
        for record in records
        for segment in record.segments
        if abs(segment.start_us) < 1e14 and abs(segment.finish_us) < 1e14 and abs(record.arrival_us) < 1e14
    ]
    assert len(slices) == sum(len(set(segment.cores)) for _, segment in finite), "a slice is missing"


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_runs_that_take_turns_need_one_track_a_core(lengths: list[list[int]]) -> None:
    """Zero lengths among them: each begins at the very instant that the one before ends."""
    clock, records = 0.0, []
    for number, request in enumerate(lengths):
        record = RequestRecord(number, "left", 0, clock, float("inf"))
        for k, length in enumerate(request):
            record.segments.append(SegmentRecord(k, (0, 1) if length % 3 else (0,), clock, clock + length, length))
            clock += length
        record.finish_us = clock
        records.append(record)
    document = trace(records)
    refuse_malformed(document)
    names = {e["args"]["name"] for e in document["traceEvents"] if e["name"] == "thread_name"}
    assert names <= {"decisions", "core 0", "core 1"}
    assert max(e["args"]["in flight"] for e in document["traceEvents"] if e["ph"] == "C") <= len(records)
    assert [e["args"]["in flight"] for e in document["traceEvents"] if e["ph"] == "C"][-1] == 0


def test_a_trace_says_what_ran_and_what_became_of_it() -> None:
    served = RequestRecord(
        7,
        "left",
        2,
        100.0,
        500.0,
        450.0,
        [SegmentRecord(0, (0,), 110, 200, 80.0), SegmentRecord(1, (0, 1), 300, 440, 130.0, gang=0)],
        label="mine",
    )
    late = RequestRecord(8, "left", 2, 100.0, 300.0, 480.0, [SegmentRecord(0, (1,), 200, 290, 85.0)])
    refused = RequestRecord(-1, "right", 2, 120.0, 130.0, 121.0, error="too many wait", refused=True)
    failed = RequestRecord(
        9, "right", 2, 130.0, 900.0, 600.0, [SegmentRecord(0, (1,), 500, 600, 9.0)], error="segment 0: gone"
    )
    drift = Drift("rate", "left", 1.0, 2.0)
    decision = Decision(550.0, (drift,), "switched", "fewer late", 3, 0.5, 0.1)
    document = trace([served, late, refused, failed], [decision], lambda *_: ("cpu", 90.0), (0, 1, 2))
    refuse_malformed(document)
    events = document["traceEvents"]
    tracks = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name" and e["pid"] == CORES_PROCESS}
    assert list(tracks.values()) == ["decisions", "core 0", "core 1", "core 2"]

    ran = [(tracks[e["tid"]], e["name"], e["ts"], e["dur"]) for e in events if e["ph"] == "X"]
    assert ran == [
        ("core 0", "left 0", 110, 90),
        ("core 1", "left 0", 200, 90),
        ("core 0", "left 1", 300, 140),
        ("core 1", "left 1", 300, 140),
        ("core 1", "right 0", 500, 100),
    ]
    first, *_, broken = [e for e in events if e["ph"] == "X"]
    assert first["args"] == {
        "request": 7,
        "label": "mine",
        "model": "left",
        "plan_version": 2,
        "configuration": "cpu",
        "cores": [0],
        "core_time_us": 80.0,
        "predicted_us": 90.0,
    }
    assert broken["cat"] == "segment,failed"
    assert broken["args"]["error"] == "segment 0: gone"
    assert [(e["ph"], tracks[e["tid"]], e["ts"]) for e in events if e["ph"] in "sf"] == [
        ("s", "core 0", 199.875),
        ("f", "core 0", 300),
    ]
    asked = [(e["name"], e["ph"], e["ts"]) for e in events if e["ph"] in _NESTED and e["id"] == 2]
    assert asked == [("left", "b", 100), ("late", "b", 300), ("late", "e", 480), ("left", "e", 480)]
    outcomes = [e["args"]["outcome"] for e in events if e["ph"] == "b" and "args" in e]
    assert outcomes == ["in time", "late", "refused", "failed"]
    (instant,) = [e for e in events if e["ph"] == "i"]
    assert (instant["tid"], instant["name"], instant["args"]["reason"]) == (DECISIONS_THREAD, "switched", "fewer late")
    assert instant["args"]["drifts"] == [str(drift)]
    flying = [(e["name"], e["ts"], e["args"]["in flight"]) for e in events if e["ph"] == "C"]
    assert flying == [
        ("left", 100, 2),
        ("right", 130, 1),
        ("left", 450, 1),
        ("left", 480, 0),
        ("right", 600, 0),
    ]
    assert {e["pid"] for e in events if e["ph"] == "C"} == {REQUESTS_PROCESS}


def test_a_run_that_held_a_core_beside_others_gets_a_track_of_its_own() -> None:
    hung = RequestRecord(0, "left", 0, 0.0, 9.0, 50.0, [SegmentRecord(0, (0,), 0, 50, 0.0)], error="no end")
    after = [
        RequestRecord(n, "left", 0, 5.0, 99.0, 30.0, [SegmentRecord(0, (0,), 10 * n, 10 * n + 10, 1)]) for n in (1, 2)
    ]
    document = trace([hung, *after])
    refuse_malformed(document)
    names = [e["args"]["name"] for e in document["traceEvents"] if e["name"] == "thread_name"]
    assert names == ["decisions", "core 0", "core 0, beside it 1"]


def test_a_live_run_has_every_segment_with_its_prediction(toys: Toys) -> None:
    phase = Phase(toys.problem.streams, 0.3)
    report = run_scenario(toys.problem, toys.halved(), toys.files, [phase], adapt=False)
    document = trace_of_run(report)
    refuse_malformed(document)
    slices = [e for e in document["traceEvents"] if e["ph"] == "X"]
    assert len(slices) == sum(len(record.segments) for record in report.records) > 0
    assert all(e["args"]["predicted_us"] > 0 and e["args"]["configuration"] for e in slices)
    names = [e["args"]["name"] for e in document["traceEvents"] if e["name"] == "thread_name"]
    assert not any("beside" in name for name in names), "segments of one core overlap"
    assert sum(e["ph"] == "s" for e in document["traceEvents"]) == len(report.records), "one arrow between two halves"


@pytest.mark.parametrize("instant", [0.1, 1.0 / 3, 1e12 + 0.7])
def test_what_touches_does_not_overlap_by_rounding(instant: float) -> None:
    record = RequestRecord(0, "left", 0, instant, float("inf"), instant + 2.2)
    record.segments = [
        SegmentRecord(0, (0,), instant, instant + 1.1, 1.0),
        SegmentRecord(1, (0,), instant + 1.1, instant + 2.2, 1.0),
    ]
    document = trace([record])
    refuse_malformed(document)
    first, second = (e for e in document["traceEvents"] if e["ph"] == "X")
    assert int(first["ts"] * 1000) + int(first["dur"] * 1000) == int(second["ts"] * 1000)
