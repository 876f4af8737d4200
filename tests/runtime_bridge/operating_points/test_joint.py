"""The joint policy in simulated worlds: still while nothing changes, fitting under pressure, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from edgeplan.formulation.operating_points import (
    ModelPoints,
    OperatingPoint,
    Phase,
    ProcessorUse,
    SharedProcessor,
    Sight,
    World,
    simulate_policy,
)
from edgeplan.runtime_bridge.operating_points import DecisionJournal, JointPolicy, JointSettings
from edgeplan.runtime_bridge.tenancy import JournalError
from edgeplan.solvers.operating_points import FixedPoints

PROCESSORS = (SharedProcessor("cpu", 4), SharedProcessor("gpu"))
MIB = 2**20


def model(name: str, base_us: float, rate_hz: float) -> ModelPoints:
    def point(label: str, speed: float, mib: float, processor: str, cores: int) -> OperatingPoint:
        us = base_us / speed
        return OperatingPoint(label, us, {"ram": mib * MIB}, (ProcessorUse(processor, us, cores),), 5e4, mib * MIB)

    points = (
        point("small", 1, 50, "cpu", 1),
        point("wide", 3, 200, "cpu", 4),
        point("gpu", 6, 300, "gpu", 1),
    )
    return ModelPoints(name, points, rate_hz, deadline_us=2 * base_us)


MODELS = (model("a", 4e4, 12.0), model("b", 6e4, 6.0), model("c", 2e4, 20.0))
AMPLE = {"ram": 2000.0 * MIB}


def world(*phases: Phase, seconds: float = 30.0) -> World:
    return World(MODELS, PROCESSORS, phases, seconds * 1e6, reload_bytes_per_us=1e3, paging_bytes_per_us=1e3)


def test_what_is_loaded_may_be_listed_in_any_order() -> None:
    fronts = (MODELS[0], ModelPoints("one", MODELS[1].points[:1], 1.0))
    sight = Sight(0.0, {m.model: m for m in fronts}, {"one": (0,), "a": (2,)}, AMPLE)
    policy = JointPolicy(PROCESSORS)
    assert policy.start(sight) == {}
    assert policy.look(sight) == {}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("objective", ["response", "misses"])
def test_a_constant_world_makes_no_switch(seed: int, objective: str) -> None:
    policy = JointPolicy(PROCESSORS, JointSettings.model_validate({"objective": objective}))
    assert simulate_policy(world(Phase(memory_bytes=AMPLE)), policy, seed).switches == 0


@pytest.mark.parametrize("seed", range(3))
def test_under_pressure_points_fit_and_come_back_after_it(seed: int) -> None:
    tight = {"ram": 450.0 * MIB}
    phases = (Phase(memory_bytes=AMPLE), Phase(10e6, memory_bytes=tight), Phase(25e6, memory_bytes=AMPLE))
    policy = JointPolicy(PROCESSORS)
    run = simulate_policy(world(*phases, seconds=45), policy, seed)
    decisions = policy.journal.decisions
    assert decisions[0].cause == "start"
    assert decisions[1].cause == "memory"
    assert decisions[1].at_us <= 10.5e6
    # Only until what runs has ended and the look after that.
    assert run.over_limit_us < 1e6
    assert dict(decisions[-1].points) == dict(decisions[0].points)
    fastest = simulate_policy(world(*phases, seconds=45), FixedPoints.fastest(), seed)
    assert run.miss_ratio < fastest.miss_ratio


def test_a_throttled_processor_is_left_because_latencies_show_it() -> None:
    phases = (Phase(memory_bytes=AMPLE), Phase(10e6, memory_bytes=AMPLE, slowdown={"gpu": 8.0}))
    policy = JointPolicy(PROCESSORS)
    # Ends before the processor that nothing runs on any more is given another chance.
    run = simulate_policy(world(*phases, seconds=22), policy, 0)
    first, last = policy.journal.decisions[0], policy.journal.decisions[-1]
    assert "gpu" in first.points.values()
    assert last.cause == "latency"
    assert list(last.points.values()).count("gpu") < list(first.points.values()).count("gpu")
    assert "gpu takes" in last.reason
    assert run.mean_us < simulate_policy(world(*phases, seconds=22), FixedPoints.fastest(), 0).mean_us


def test_rates_that_rise_beyond_what_can_be_served_still_find_points() -> None:
    policy = JointPolicy(PROCESSORS)
    run = simulate_policy(world(Phase(memory_bytes=AMPLE), Phase(8e6, memory_bytes=AMPLE, rate_factor=12.0)), policy, 0)
    assert run.throughput_hz > 0
    assert all(decision.points.keys() == {"a", "b", "c"} for decision in policy.journal.decisions)


def test_the_journal_is_written_as_decisions_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    phases = (Phase(memory_bytes=AMPLE), Phase(5e6, memory_bytes={"ram": 450.0 * MIB}))
    journal = DecisionJournal(path)
    simulate_policy(world(*phases, seconds=10), JointPolicy(PROCESSORS, journal=journal), 0)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == len(journal.decisions) >= 2
    assert lines[1]["reason"]
    with pytest.raises(JournalError, match="journal"):
        DecisionJournal(tmp_path / "nowhere" / "journal.jsonl")
