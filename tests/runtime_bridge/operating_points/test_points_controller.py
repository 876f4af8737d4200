"""The live controller on a real runtime: under pressure the smaller plan serves, afterwards the faster one again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from edgeplan.formulation import Plan, PlanError
from edgeplan.formulation.operating_points import ModelPoints, OperatingPoint, ProcessorUse
from edgeplan.runtime_bridge import LiveRuntime, Observation
from edgeplan.runtime_bridge.operating_points import JointSettings, MemAvailable, PointsController, PressureStall

from ...conftest import ORT, Toys

MIB = 2**20
SETTINGS = JointSettings(persistence=1, rest_us=0.0, reload_bytes_per_us=1e6)


def front(toys: Toys) -> tuple[ModelPoints, ...]:
    """Two points of every model: whole, and halved. What they take is made up, what serves is real."""
    models = []
    for fast, small in zip(toys.whole().models, toys.halved().models, strict=True):
        points = (
            OperatingPoint("fast", 1e4, {"host": 300.0 * MIB}, (ProcessorUse("cpu", 1e4),), plan=fast),
            OperatingPoint("small", 3e4, {"host": 50.0 * MIB}, (ProcessorUse("cpu", 3e4),), plan=small),
        )
        models.append(ModelPoints(fast.model, points, rate_hz=5.0))
    return tuple(models)


def quiet(toys: Toys) -> Observation:
    return Observation(2e6, dict.fromkeys(toys.files, 10), {}, {}, {})


def calm() -> PressureStall:
    return PressureStall(read=lambda: "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")


def test_pressure_swaps_to_points_that_fit_and_back_with_nothing_lost(toys: Toys) -> None:
    left_mib = [1000.0]
    available = MemAvailable(lambda: f"MemAvailable: {left_mib[0] * 1024:.0f} kB\n")
    with LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime:
        controller = PointsController(
            runtime, toys.problem, front(toys), settings=SETTINGS, available=available, stall=calm()
        )
        controller.check(quiet(toys))
        assert runtime.version == 0
        left_mib[0] = -100.0
        answers = [runtime.submit(name, toys.feeds()) for name in toys.files]
        controller.check(quiet(toys))
        assert "small" in controller.points.values()
        assert runtime.version == 1
        left_mib[0] = 2000.0
        for _ in range(6):
            answers += [runtime.submit(name, toys.feeds()) for name in toys.files]
            controller.check(quiet(toys))
        assert set(controller.points.values()) == {"fast"}
        assert all(answer.result(20) for answer in answers)
        assert all(exchange.done for exchange in controller.exchanges)
        assert controller.journal.decisions[0].cause == "memory"


def test_stalls_for_memory_count_as_pressure(toys: Toys) -> None:
    stalled = PressureStall(read=lambda: "some avg10=60.00 avg60=0.00 avg300=0.00 total=0\n")
    available = MemAvailable(lambda: "MemAvailable: 4000000 kB\n")
    with LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime:
        controller = PointsController(
            runtime, toys.problem, front(toys), settings=SETTINGS, available=available, stall=stalled
        )
        controller.check(quiet(toys))
        assert "small" in controller.points.values()


def test_a_swap_that_fails_leaves_the_old_points(toys: Toys) -> None:
    left_mib = [1000.0]
    available = MemAvailable(lambda: f"MemAvailable: {left_mib[0] * 1024:.0f} kB\n")
    models = []
    for model in front(toys):
        fast, small = model.points
        assert small.plan is not None
        stale = small.plan.model_copy(update={"sha256": "0" * 64})
        models.append(replace(model, points=(fast, replace(small, plan=stale))))
    with LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime:
        controller = PointsController(
            runtime, toys.problem, models, settings=SETTINGS, available=available, stall=calm()
        )
        left_mib[0] = -100.0
        controller.check(quiet(toys))
        assert runtime.version == 0
        assert set(controller.points.values()) == {"fast"}
        assert not controller.exchanges[-1].done
        assert controller.exchanges[-1].failure


def test_a_runtime_that_serves_none_of_the_points_is_refused(toys: Toys) -> None:
    other: Plan = toys.plan(lambda n: [(0, 1, ORT), (1, n, ORT)])
    with (
        LiveRuntime(toys.problem, other, toys.files) as runtime,
        pytest.raises(PlanError, match="one of its points"),
    ):
        PointsController(runtime, toys.problem, front(toys))


def test_the_thread_watches_and_closes(toys: Toys) -> None:
    with (
        LiveRuntime(toys.problem, toys.whole(), toys.files) as runtime,
        PointsController(runtime, toys.problem, front(toys), interval_s=0.01, stall=calm()) as controller,
    ):
        for name in toys.files:
            runtime.submit(name, toys.feeds()).result(20)
    assert controller.points.keys() == toys.files.keys()
