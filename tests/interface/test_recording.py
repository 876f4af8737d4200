"""From the runtime's records to the record that is saved: nothing lost, and times from the set-up's start."""

import math

import pytest
from edgeplan.formulation import Problem
from edgeplan.interface.recording import predictions_of, record_of_run, setups_of_comparison
from edgeplan.interface.run_record import RunRecord
from edgeplan.interface.summaries import drift_table, prediction_lines
from edgeplan.interface.table import Cell
from edgeplan.runtime_bridge import (
    DEFAULT_SESSIONS,
    Arrivals,
    Comparison,
    Decision,
    Drift,
    RequestRecord,
    RunReport,
    SegmentComparison,
    SegmentRecord,
)
from edgeplan.runtime_bridge.comparison import SetUpResult


def request(arrival_us: float, response_us: float, error: str = "", version: int = 0) -> RequestRecord:
    finish_us = arrival_us + response_us
    segments = [SegmentRecord(0, (1,), arrival_us + 1, finish_us, response_us)]
    return RequestRecord(1, "small", version, arrival_us, math.inf, finish_us, segments, error)


@pytest.fixture
def report(problem: Problem) -> RunReport:
    began_us = 5e9
    records = (
        request(began_us + 3e6, 500.0),
        request(began_us + 1e6, 400.0, error="segment 0: broke"),
        request(began_us + 8e6, 700.0, version=1),
    )
    drift = Drift("rate", "small", 20.0, 40.0)
    decision = Decision(began_us + 6e6, (drift,), "switched", "better", 1, 0.2, 0.01)
    segments = (
        SegmentComparison("small", 0, 0, 0, 4, "onnxruntime-cpu/t1/b1/mapped", 8000.0, 10000.0, 9),
        SegmentComparison("small", 1, 0, 0, 4, "openvino-cpu/t1/b1/default", 8000.0, 1000.0, 9),
    )
    return RunReport(began_us, 10.0, records, (decision,), (), segments, 1000, True)


def test_a_run_keeps_every_request_in_order_and_from_its_start(report: RunReport, problem: Problem) -> None:
    record = record_of_run(report, problem, "a scenario", seed=3)
    (setup,) = record.setups
    assert [r.arrival_us for r in setup.requests] == [1e6, 3e6, 8e6]
    assert [r.response_us for r in setup.requests] == [None, 500.0, 700.0]
    assert setup.requests[0].missed
    assert setup.requests[1].segments[0].start_us == pytest.approx(3e6 + 1)
    assert setup.decisions[0].at_us == pytest.approx(6e6)
    assert "40 Hz observed" in setup.decisions[0].reason
    assert RunRecord.model_validate_json(record.model_dump_json()) == record


def test_predictions_are_of_the_first_plan_and_know_what_was_fitted(report: RunReport, problem: Problem) -> None:
    (prediction,) = predictions_of(report, problem)
    assert prediction.held_out
    assert prediction.error == pytest.approx(0.2)
    (line,) = prediction_lines(record_of_run(report, problem, "a scenario", seed=0))
    assert "20.0 % over 1 segment outside the fit" in line


def test_drift_is_told_in_stages(report: RunReport, problem: Problem) -> None:
    setup = record_of_run(report, problem, "a scenario", seed=0).setups[0]
    table = drift_table(setup, drift_at_s=2.0)
    names = [row[0].text for row in table.rows if isinstance(row[0], Cell)]
    assert names == ["before", "drifted, old plan", "drifted, new plan", "last 4 s"]
    assert "1 request lost" in table.note


def test_rounds_of_a_comparison_follow_each_other(problem: Problem) -> None:
    """Whatever lay between the rounds: turns of other set-ups, or nothing at all."""
    streams, round_s, seed = problem.streams, 2.0, 5
    for pause_us in (0.0, 4e6):
        result = SetUpResult(DEFAULT_SESSIONS, duration_s=2 * round_s)
        starts = (7e9, 7e9 + round_s * 1e6 + pause_us)
        offsets = [Arrivals.of(streams, round_s * 1e6, seed + k).offsets_us for k in range(2)]
        for start_us, round_offsets in zip(starts, offsets, strict=True):
            result.records += [request(start_us + float(offset), 100.0) for offset in round_offsets]
        (setup,) = setups_of_comparison(Comparison((result,), 0.0, 2, round_s, seed), streams)
        expected = [*offsets[0], *(offsets[1] + round_s * 1e6)]
        assert [r.arrival_us for r in setup.requests] == pytest.approx(expected)
        assert setup.role == "baseline"
