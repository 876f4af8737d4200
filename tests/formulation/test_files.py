"""Scenario and plan files: what is read, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgeplan.formulation import (
    Configuration,
    EdgePlanError,
    Memory,
    ModelPlan,
    Plan,
    PlanError,
    PlannedSegment,
    Scenario,
    ScenarioError,
    SolverStamp,
    StalePlanError,
    WorkloadError,
)
from pydantic import ValidationError

SCENARIO = """
name: kitchen camera
models:
  - {name: squeezenet}
  - {name: detector, path: detector.onnx, shapes: {image: [1, 3, 64, 64]}}
streams:
  - {model: squeezenet, arrival: {kind: periodic, period_us: 50000}, deadline_us: 20000}
  - {model: detector, arrival: {kind: poisson, rate_hz: 3}, deadline_us: 2e5, percentile: 0.99, weight: 2}
limits: {memory_bytes: {host: 300 MiB}, max_utilisation: 0.8}
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def a_plan() -> Plan:
    segment = PlannedSegment(start=0, stop=3, configuration=Configuration(backend="b"), cores=(0,))
    return Plan(
        models=(ModelPlan(model="m", sha256="0" * 64, segments=(segment,)),),
        solver=SolverStamp(method="hand", status="feasible"),
    )


def test_a_scenario_is_read(tmp_path: Path) -> None:
    scenario = Scenario.load(write(tmp_path / "s.yaml", SCENARIO))
    assert scenario.limits.memory_bytes["host"] == 300 * 2**20
    assert scenario.streams[0].is_hard
    assert not scenario.streams[1].is_hard
    assert scenario.streams[0].rate_hz == 20
    assert scenario.models[1].shapes["image"] == (1, 3, 64, 64)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("name: kitchen camera", "nom: kitchen camera"), "name"),
        (("deadline_us: 20000", "deadline_ms: 20"), "deadline_ms"),
        (("period_us: 50000", "period_us: -1"), "period_us"),
        (("period_us: 50000", "period_us: .nan"), "period_us"),
        (("kind: poisson", "kind: bursty"), "arrival"),
        (("percentile: 0.99", "percentile: 99"), "percentile"),
        (("max_utilisation: 0.8", "max_utilisation: 0"), "max_utilisation"),
        (("300 MiB", "a lot"), "memory_bytes"),
        (("{name: squeezenet}", "{nme: squeezenet}"), "models.0"),
    ],
)
def test_the_key_that_is_wrong_is_named(tmp_path: Path, change: tuple[str, str], where: str) -> None:
    path = write(tmp_path / "s.yaml", SCENARIO.replace(*change))
    with pytest.raises(ScenarioError, match=where):
        Scenario.load(path)


@pytest.mark.parametrize("text", ["", "models: [", "- 1", "\x00", "name: x\nmodels: []"])
def test_what_is_no_scenario_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ScenarioError):
        Scenario.load(write(tmp_path / "s.yaml", text))
    with pytest.raises(ScenarioError, match="readable"):
        Scenario.load(tmp_path / "missing.yaml")


def test_a_trace_that_runs_backwards_is_refused(tmp_path: Path) -> None:
    text = SCENARIO.replace("{kind: poisson, rate_hz: 3}", "{kind: trace, times_us: [0, 5, 4]}")
    with pytest.raises(WorkloadError, match="step back at entry 2"):
        Scenario.load(write(tmp_path / "s.yaml", text))


def test_another_rate_keeps_the_kind_of_deadline(tmp_path: Path) -> None:
    text = SCENARIO.replace("{kind: poisson, rate_hz: 3}", "{kind: trace, times_us: [0, 500000, 1000000]}")
    steady, bursty = Scenario.load(write(tmp_path / "s.yaml", SCENARIO)).streams
    trace = Scenario.load(write(tmp_path / "t.yaml", text.replace(", percentile: 0.99", ""))).streams[1]
    for stream in (steady, bursty, trace):
        faster = stream.at_rate(2 * stream.rate_hz)
        assert faster.rate_hz == pytest.approx(2 * stream.rate_hz)
        assert faster.is_hard == stream.is_hard
        assert faster.deadline_us == stream.deadline_us
    assert steady.at_rate(20.0) is steady


def test_a_mistake_in_yaml_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"s\.yaml, line 2, column 8: expected YAML, got mapping values"):
        Scenario.load(write(tmp_path / "s.yaml", "schema_version: 1\nname: a: b\n"))


@pytest.mark.parametrize("size", ["512 Mb", "4 Gib", "512 Mbit"])
def test_bits_are_no_size(size: str) -> None:
    with pytest.raises(ValidationError, match="'512 MiB'"):
        Memory.model_validate({"name": "ram", "capacity_bytes": size})
    assert Memory.model_validate({"name": "ram", "capacity_bytes": "512 mb"}).capacity_bytes == 512_000_000


@pytest.mark.parametrize(
    ("arrival", "where"),
    [("{kind: poisson, rate_hz: 1e12}", "rate_hz"), ("{kind: periodic, period_us: 0.01}", "period_us")],
)
def test_rates_that_no_device_can_be_asked_for_are_refused(tmp_path: Path, arrival: str, where: str) -> None:
    with pytest.raises(ScenarioError, match=where):
        Scenario.load(write(tmp_path / "s.yaml", SCENARIO.replace("{kind: poisson, rate_hz: 3}", arrival)))
    stream = Scenario.load(write(tmp_path / "t.yaml", SCENARIO)).streams[0]
    for rate_hz in (0.0, -1.0, 1e12, float("nan")):
        with pytest.raises(WorkloadError, match="at most 1,000,000"):
            stream.at_rate(rate_hz)


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    a_plan().save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == a_plan()


def test_truncated_foreign_and_outdated_plans_are_refused(tmp_path: Path) -> None:
    text = a_plan().model_dump_json()
    with pytest.raises(PlanError, match="schema version 1"):
        Plan.load(write(tmp_path / "cut.json", text[: len(text) // 2]))
    with pytest.raises(PlanError, match="models"):
        Plan.load(write(tmp_path / "foreign.json", "{}"))
    with pytest.raises(StalePlanError, match="schema_version"):
        Plan.load(write(tmp_path / "old.json", text.replace('"schema_version":1', '"schema_version":0')))
    with pytest.raises(PlanError, match="readable"):
        Plan.load(tmp_path / "missing.json")


def test_errors_have_four_parts_and_cross_processes() -> None:
    import pickle

    error = ScenarioError("subject", expected="this", got="that", remedy="Do so.")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, EdgePlanError)
    assert str(again) == "subject: expected this, got that. Do so."


@pytest.mark.parametrize("text", ["6.9 MB/s", "1 MiB 3", "MiB", "6,9 MB", "-1 MB"])
def test_what_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Memory(name="m", capacity_bytes=text)


@pytest.mark.parametrize(("text", "size"), [("6.9 MB", 6_900_000), ("512MiB", 2**29), (7, 7), (" 2 kB ", 2000)])
def test_sizes_have_units(text: str | int, size: int) -> None:
    assert Memory(name="m", capacity_bytes=text).capacity_bytes == size
