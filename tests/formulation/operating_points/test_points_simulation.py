"""The simulator against closed forms and against the evaluator; memory, paging and switches as stated."""

from __future__ import annotations

import numpy as np
import pytest
from edgeplan.formulation import PlanError, WorkloadError
from edgeplan.formulation.operating_points import (
    Loaded,
    ModelPoints,
    OperatingPoint,
    OperatingPointProblem,
    Phase,
    ProcessorUse,
    SharedProcessor,
    Sight,
    World,
    evaluate_points,
    simulate_policy,
)
from edgeplan.solvers.operating_points import Dispatch, FixedPoints

CPU = (SharedProcessor("cpu", 1),)


def model(name: str, busy_us: float, rate_hz: float, *sizes: float) -> ModelPoints:
    points = tuple(
        OperatingPoint(f"p{k}", busy_us * (k + 1), {"ram": size}, (ProcessorUse("cpu", busy_us * (k + 1)),), 5e5)
        for k, size in enumerate(sizes or (1e6,))
    )
    return ModelPoints(name, points, rate_hz)


class Scripted(FixedPoints):
    """Changes points at stated times."""

    def __init__(self, at: dict[float, Loaded]) -> None:
        super().__init__("scripted", lambda points: 0)
        self._at = dict(at)

    def look(self, sight: Sight) -> Loaded:
        due = [at for at in self._at if at <= sight.at_us]
        return self._at.pop(due[0]) if due else {}


def test_one_model_answers_as_an_m_d_1_queue() -> None:
    alone = World((model("m", 1e4, 60.0),), CPU, (Phase(),), 400e6, max_in_flight=1000, time_scv=0.0)
    run = simulate_policy(alone, FixedPoints.fastest(), 1)
    assert run.mean_us == pytest.approx(1e4 * (1 + 0.6 / 0.8), rel=0.05)
    assert run.throughput_hz == pytest.approx(60, rel=0.05)


@pytest.mark.parametrize("cores", [1, 2])
def test_the_evaluator_predicts_what_is_simulated_at_moderate_load(cores: int) -> None:
    models = (model("a", 1e4, 15.0 * cores), model("b", 2e4, 8.0 * cores), model("c", 5e3, 30.0 * cores))
    processors = (SharedProcessor("cpu", cores),)
    run = simulate_policy(World(models, processors, (Phase(),), 150e6, max_in_flight=1000), FixedPoints.fastest(), 0)
    predicted = evaluate_points(OperatingPointProblem(models, processors), (0, 0, 0))
    assert predicted.response_us == pytest.approx(run.mean_us, rel=0.2)


def test_background_and_slowdown_stretch_what_runs() -> None:
    phases = (Phase(background_cores={"cpu": 1.0}, slowdown={"cpu": 1.5}),)
    run = simulate_policy(World((model("m", 1e4, 1.0),), CPU, phases, 60e6, time_scv=0.0), FixedPoints.fastest(), 0)
    assert np.median(run.responses_us) == pytest.approx(3e4)


def test_too_much_memory_is_counted_and_paged() -> None:
    phases = (Phase(memory_bytes={"ram": 2e6}), Phase(30e6, memory_bytes={"ram": 0.5e6}))
    world = World((model("m", 1e4, 1.0),), CPU, phases, 60e6, time_scv=0.0, paging_bytes_per_us=10.0)
    run = simulate_policy(world, FixedPoints.fastest(), 0)
    assert run.over_limit_us == pytest.approx(30e6)
    assert run.responses_us.max() >= 1e4 + 0.5e6 / 10.0  # half of a megabyte at 10 bytes/µs


def test_a_switch_makes_its_model_wait_and_no_other() -> None:
    models = (model("a", 1e3, 50.0, 1e6, 2e6), model("b", 1e3, 50.0))
    world = World(models, (SharedProcessor("cpu", 2),), (Phase(),), 10e6, time_scv=0.0, max_in_flight=100)
    run = simulate_policy(world, Scripted({5e6: {"a": (1,)}}), 0)
    assert run.switches == 1
    assert run.models["a"].response_us.max() == pytest.approx(5e5, rel=0.2)
    assert run.models["b"].response_us.max() < 1e4
    assert run.models["a"].refused == 0


def test_the_same_seed_gives_the_same_run_and_policies_meet_the_same_requests() -> None:
    world = World((model("m", 1e4, 40.0, 1e6, 5e5),), CPU, (Phase(), Phase(5e6, rate_factor=0.5)), 20e6)
    first, second = (simulate_policy(world, FixedPoints.fastest(), 3) for _ in range(2))
    assert np.array_equal(first.responses_us, second.responses_us)
    other = simulate_policy(world, FixedPoints.fastest(), 4)
    assert not np.array_equal(first.responses_us[:5], other.responses_us[:5])


def test_more_than_is_allowed_in_flight_is_refused_and_missed() -> None:
    world = World((model("m", 1e5, 50.0),), CPU, (Phase(),), 20e6, max_in_flight=2)
    run = simulate_policy(world, FixedPoints.fastest(), 0)
    assert run.models["m"].refused > 0
    assert run.miss_ratio == pytest.approx(run.models["m"].refused / (run.models["m"].refused + len(run.responses_us)))
    assert run.throughput_hz == pytest.approx(10, rel=0.1)


def test_bad_worlds_and_policies_are_refused() -> None:
    with pytest.raises(WorkloadError, match="phases"):
        World((model("m", 1e4, 1.0),), CPU, (Phase(1.0),), 1e6)
    with pytest.raises(WorkloadError, match="world"):
        World((model("m", 1e4, 1.0),), CPU, (Phase(),), 0.0)
    with pytest.raises(PlanError, match="indices below 1"):
        simulate_policy(World((model("m", 1e4, 1.0),), CPU, (Phase(),), 9e6), Scripted({1e6: {"m": (7,)}}))


def test_dispatchers_use_both_processors() -> None:
    points = tuple(OperatingPoint(p, 1e4, {"ram": 1.0}, (ProcessorUse(p, 1e4),)) for p in ("cpu", "gpu"))
    world = World((ModelPoints("m", points, 150.0),), (*CPU, SharedProcessor("gpu")), (Phase(),), 20e6)
    one = simulate_policy(world, FixedPoints.fastest(), 0)
    for order in ("round robin", "least loaded"):
        both = simulate_policy(world, Dispatch(order), 0)
        assert both.throughput_hz > 1.4 * one.throughput_hz
