"""What ran when, in the Trace Event Format that https://ui.perfetto.dev and chrome://tracing open.

Source: the Trace Event Format's own document (Google, "Trace Event Format"); Perfetto reads the same JSON.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..runtime_bridge import Decision, RequestRecord, RunReport
    from ..runtime_bridge.records import SegmentRecord

Predicted = Callable[["RequestRecord", "SegmentRecord"], "tuple[str, float] | None"]
"""Configuration name and predicted microseconds of a segment that ran; None where nobody knows."""
_Event = dict[str, Any]
_CHUNK = 200
CORES_PROCESS = 1
REQUESTS_PROCESS = 2
DECISIONS_THREAD = 1
_GRID_PER_US = 8
"""Instants are kept to eighths of a microsecond: exact as binary fractions and as whole nanoseconds, so that slices
that touch do not overlap by the rounding of whoever reads them."""


def trace(
    records: Iterable[RequestRecord],
    decisions: Iterable[Decision] = (),
    predicted: Predicted | None = None,
    cores: Iterable[int] = (),
) -> dict[str, Any]:
    """Trace of some requests.

    The slices of one track never overlap. Where two runs say that they had a core at the same time (one that hung was
    given up and still held it), the later is drawn on a second track of that core.

    Parameters
    ----------
    records : iterable of RequestRecord
    decisions : iterable of Decision
        Each an instant on a track of its own.
    predicted : callable, optional
    cores : iterable of int
        That get a track although nothing ran there.

    Returns
    -------
    dict
        For `json.dump`, or `chunks`. One process with a track a core and one of the decisions; another with a track a
        model, its requests as asynchronous slices from arrival to end, and the number of them in flight. Times are
        microseconds on the runtime's clock.
    """
    known = [record for record in records if math.isfinite(record.arrival_us)]
    events = [
        *_name("process", CORES_PROCESS, 0, "cores", 0),
        *_name("process", REQUESTS_PROCESS, 0, "requests", 1),
        *_name("thread", CORES_PROCESS, DECISIONS_THREAD, "decisions", 0),
        *(_instant(decision) for decision in decisions),
        *_core_tracks(known, predicted or (lambda *_: None), cores),
    ]
    for number, record in enumerate(known, start=1):
        events += _request(record, number)
    events += _in_flight(known)
    # Whoever reads in the order of the file finds what begins an instant before what is bound to it.
    events.sort(key=lambda event: event.get("ts", -math.inf))
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def chunks(document: dict[str, Any]) -> Iterator[str]:
    """A trace as JSON, piece by piece: whoever serves beside it need not wait until all of it is written."""
    events = document["traceEvents"]
    for first in range(0, len(events), _CHUNK):
        pieces = json.dumps(events[first : first + _CHUNK], allow_nan=False)
        yield f'{{"displayTimeUnit": "ms", "traceEvents": [{pieces[1:-1]}' if not first else f", {pieces[1:-1]}"
    yield "]}"


def trace_of_run(report: RunReport) -> dict[str, Any]:
    """Trace of a whole run."""
    compared = {(s.plan_version, s.model, s.segment, s.configuration): s.predicted_us for s in report.segments}

    def predicted(record: RequestRecord, segment: SegmentRecord) -> tuple[str, float] | None:
        planned = report.plans[record.plan_version].model_plan(record.model).segments[segment.segment]
        ways = (planned, *planned.gangs)
        name = ways[0 if segment.gang is None else segment.gang + 1].configuration.name
        us = compared.get((record.plan_version, record.model, segment.segment, name))
        return None if us is None else (name, us)

    return trace(report.records, report.decisions, predicted)


def outcome(record: RequestRecord) -> str:
    """``in time``, ``late``, ``refused`` or ``failed``; ``in flight`` before it has ended."""
    if record.error:
        return "refused" if record.refused else "failed"
    if math.isnan(record.finish_us):
        return "in flight"
    return "late" if record.missed else "in time"


def _at(us: float) -> float:
    return round(us * _GRID_PER_US) / _GRID_PER_US


def _args(**values: object) -> _Event:
    """Arguments that say something: without what is empty, and without what JSON has no name for."""
    return {
        key: value
        for key, value in values.items()
        if value not in (None, "", ()) and not (isinstance(value, float) and not math.isfinite(value))
    }


def _name(what: str, process: int, thread: int, name: str, order: int) -> list[_Event]:
    """Metadata that names a process or thread and says where it stands."""
    shared = {"ph": "M", "pid": process, "tid": thread}
    return [
        {**shared, "name": f"{what}_name", "args": {"name": name}},
        {**shared, "name": f"{what}_sort_index", "args": {"sort_index": order}},
    ]


def _instant(decision: Decision) -> _Event:
    return {
        "ph": "i",
        "s": "t",
        "pid": CORES_PROCESS,
        "tid": DECISIONS_THREAD,
        "ts": _at(decision.at_us),
        "name": decision.action,
        "cat": "decision",
        "args": _args(
            reason=decision.reason,
            origin=decision.origin,
            drifts=[str(drift) for drift in decision.drifts],
            plan_version=decision.plan_version,
            solve_s=decision.solve_s,
            swap_s=decision.swap_s,
        ),
    }


class _Run:
    """One segment that ran, with its place on the tracks."""

    __slots__ = ("finish", "record", "segment", "start", "thread")

    def __init__(self, record: RequestRecord, segment: SegmentRecord) -> None:
        self.record = record
        self.segment = segment
        self.start = _at(segment.start_us)
        self.finish = max(self.start, _at(segment.finish_us))
        self.thread: int | None = None  # of its first core

    @property
    def failed(self) -> bool:
        return bool(self.record.error) and self.segment is self.record.segments[-1]


def _core_tracks(records: Sequence[RequestRecord], predicted: Predicted, cores: Iterable[int]) -> list[_Event]:
    runs = [
        _Run(record, segment)
        for record in records
        for segment in record.segments
        if math.isfinite(segment.start_us) and math.isfinite(segment.finish_us)
    ]
    of_core: dict[int, list[_Run]] = {core: [] for core in cores}
    for run in runs:
        for core in dict.fromkeys(run.segment.cores):
            of_core.setdefault(core, []).append(run)
    events: list[_Event] = []
    thread = DECISIONS_THREAD
    for core, there in sorted(of_core.items()):
        for number, lane in enumerate(_lanes(there) or [[]]):
            thread += 1
            name = f"core {core}" + (f", beside it {number}" if number else "")
            events += _name("thread", CORES_PROCESS, thread, name, thread)
            for run in lane:
                if core == run.segment.cores[0]:
                    run.thread = thread
                events.append(_slice(run, thread, predicted(run.record, run.segment)))
    return events + _flows(runs)


def _lanes(runs: Iterable[_Run]) -> list[list[_Run]]:
    """Runs in as few lanes as it takes for none to overlap in its lane."""
    lanes: list[list[_Run]] = []
    for run in sorted(runs, key=lambda run: (run.start, run.finish)):
        free = next((lane for lane in lanes if lane[-1].finish <= run.start), None)
        if free is None:
            lanes.append([run])
        else:
            free.append(run)
    return lanes


def _slice(run: _Run, thread: int, prediction: tuple[str, float] | None) -> _Event:
    record, segment = run.record, run.segment
    configuration, predicted_us = prediction or (None, None)
    return {
        "ph": "X",
        "pid": CORES_PROCESS,
        "tid": thread,
        "ts": run.start,
        "dur": run.finish - run.start,
        "name": f"{record.model} {segment.segment}",
        "cat": "segment,failed" if run.failed else "segment",
        "args": _args(
            request=record.request,
            label=record.label,
            model=record.model,
            plan_version=record.plan_version,
            configuration=configuration,
            cores=list(segment.cores),
            gang=segment.gang,
            core_time_us=segment.cpu_us,
            predicted_us=predicted_us,
            error=record.error if run.failed else None,
        ),
    }


def _flows(runs: Iterable[_Run]) -> list[_Event]:
    """Arrows to each segment of a request from the one that ended last before it began.

    An arrow is bound to the slice that its end lies in: a slice without length holds none.
    """
    of_request: dict[int, list[_Run]] = {}
    for run in runs:
        if run.thread is not None and run.finish > run.start:
            of_request.setdefault(id(run.record), []).append(run)
    events: list[_Event] = []
    number = 0
    for steps in of_request.values():
        for run in steps:
            before = max((s for s in steps if s.finish <= run.start), key=lambda s: s.finish, default=None)
            if before is not None:
                number += 1
                arrow = {"pid": CORES_PROCESS, "name": "next segment", "cat": "request", "id": number}
                leaves = before.finish - 1 / _GRID_PER_US
                events.append({**arrow, "ph": "s", "tid": before.thread, "ts": leaves})
                events.append({**arrow, "ph": "f", "bp": "e", "tid": run.thread, "ts": run.start})
    return events


def _request(record: RequestRecord, number: int) -> list[_Event]:
    """A request from its arrival to its end; inside it what was wrong with it, for a late one from its deadline on."""
    ended = math.isfinite(record.finish_us)
    begin = _at(min(record.arrival_us, record.finish_us) if ended else record.arrival_us)
    shared = {"pid": REQUESTS_PROCESS, "tid": 0, "cat": "request", "id": number}
    became = outcome(record)
    args = _args(
        request=record.request,
        label=record.label,
        outcome=became,
        plan_version=record.plan_version,
        deadline_us=record.deadline_us - record.arrival_us,
        response_us=record.response_us,
        error=record.error,
    )
    # A track is named after what begins on it: the model, so that its requests lie together.
    events = [{**shared, "ph": "b", "name": record.model, "ts": begin, "args": args}]
    if not ended:
        return events
    end = _at(record.finish_us)
    if became in ("late", "refused", "failed"):
        from_deadline = became == "late" and math.isfinite(record.deadline_us)
        wrong_from = min(max(begin, _at(record.deadline_us)), end) if from_deadline else begin
        events.append({**shared, "ph": "b", "name": became, "ts": wrong_from})
        events.append({**shared, "ph": "e", "name": became, "ts": end})
    events.append({**shared, "ph": "e", "name": record.model, "ts": end})
    return events


def _in_flight(records: Iterable[RequestRecord]) -> list[_Event]:
    """By model how many of these requests were taken and not ended; what was refused never was."""
    changes: dict[str, Counter[float]] = {}
    for record in records:
        if not record.refused and not (math.isfinite(record.finish_us) and record.finish_us < record.arrival_us):
            steps = changes.setdefault(record.model, Counter())
            steps[_at(record.arrival_us)] += 1
            if math.isfinite(record.finish_us):
                steps[_at(record.finish_us)] -= 1
    events = []
    for model, steps in changes.items():
        count, shared = 0, {"ph": "C", "pid": REQUESTS_PROCESS, "tid": 0, "name": model}
        for instant, step in sorted(steps.items()):
            count += step
            events.append({**shared, "ts": instant, "args": {"in flight": count}})
    return events
