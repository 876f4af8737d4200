"""The live runtime of tenants: right answers, waits that are waited, allocations exchanged under load, nothing lost."""

from __future__ import annotations

import itertools
import threading
import time

import numpy as np
import pytest
from edgeplan.formulation import Configuration, InferenceError, PlanError, PlatformError, UnsupportedError
from edgeplan.formulation.tenancy import CoCompiledResidency, LruResidency, TokenResidency, demands
from edgeplan.formulation.tenancy.simulation import Requests, simulate_tenancy
from edgeplan.profiles import open_backend
from edgeplan.runtime_bridge import Arrivals
from edgeplan.runtime_bridge.tenancy import Emulation, TenantRuntime, summarise_tenant

from .conftest import ACCELERATOR, CPU, Pair, allocate, feeds, needs_two_cores

pytestmark = needs_two_cores
WAIT_S = 20
LAST = 4
WHOLE = allocate((LAST, 0), (LAST, 0))
SLACK_US = 1.0  # figures are differences of instants of size 1e9 and more


def runtime(pair: Pair, allocation=WHOLE, **others) -> TenantRuntime:
    problem = others.pop("problem", None) or pair.problem()
    return TenantRuntime(problem, allocation, pair.models, accelerator_cores=ACCELERATOR, cpu_cores=CPU, **others)


def alternate(device: TenantRuntime, *tenants: str) -> list:
    """Ask one tenant after the other, each when the one before has its answer."""
    for tenant in tenants:
        device.submit(tenant, feeds()).result(WAIT_S)
    device.drain(WAIT_S)
    return device.records[-len(tenants) :]


@pytest.mark.parametrize("point", range(LAST + 1))
@pytest.mark.parametrize("scale", [1.0, 3.0, 0.5])
def test_a_split_model_answers_as_the_whole_one(pair: Pair, point: int, scale: float) -> None:
    allocation = allocate((point, int(point < LAST)), (LAST, 0))
    with runtime(pair, allocation, emulation=Emulation(time_scale=scale)) as device:
        for seed in range(3):
            answer = device.submit("left", feeds(seed)).result(WAIT_S)
            for name, expected in pair.unsplit("left", feeds(seed)).items():
                np.testing.assert_allclose(answer[name], expected, rtol=1e-4, atol=1e-5)


def test_a_request_passes_accelerator_hand_over_and_cpu_in_order(pair: Pair) -> None:
    with runtime(pair, allocate((2, 1), (LAST, 0))) as device:
        (record,) = alternate(device, "left")
    assert record.arrival_us <= record.accelerator_start_us < record.accelerator_end_us
    assert record.cpu_start_us >= record.accelerator_end_us + 500.0 - SLACK_US
    assert record.cpu_start_us < record.cpu_end_us <= record.finish_us


def test_tenants_under_token_residency_evict_each_other(pair: Pair) -> None:
    with runtime(pair) as device:
        records = alternate(device, "left", "left", "right", "right", "left")
    assert [r.swapped for r in records] == [True, False, True, False, True]
    for record in records:
        assert record.reload_us >= 2000.0 - SLACK_US if record.swapped else record.reload_us == 0.0


def test_a_co_compiled_set_is_reloaded_once_and_streams_what_has_no_room(pair: Pair) -> None:
    problem = pair.problem(residency=CoCompiledResidency(), weight_capacity_bytes=10000)
    asked = demands(problem, WHOLE)
    streaming_us = float(asked.service_us[1] - problem.tenants[1].accelerator_us[LAST])
    assert streaming_us > 500
    with runtime(pair, problem=problem) as device:
        records = alternate(device, "left", "right", "left", "right")
    assert [r.swapped for r in records] == [True, True, False, False]
    assert min(r.service_us for r in records if r.tenant == "right") >= streaming_us - SLACK_US


@pytest.mark.parametrize(("capacity", "swaps"), [(20_000, [1, 1, 0, 0]), (10_000, [1, 1, 1, 1])])
def test_lru_keeps_segments_while_there_is_room(pair: Pair, capacity: int, swaps: list[int]) -> None:
    problem = pair.problem(residency=LruResidency(), weight_capacity_bytes=capacity)
    with runtime(pair, problem=problem) as device:
        records = alternate(device, "left", "right", "left", "right")
    assert [int(r.swapped) for r in records] == swaps


@pytest.mark.parametrize("residency", [TokenResidency(), CoCompiledResidency(), LruResidency()], ids=lambda r: r.kind)
@pytest.mark.parametrize("capacity", [6_000, 10_000, 20_000])
def test_it_swaps_as_the_simulator_does_and_is_never_ahead_of_it(pair: Pair, residency, capacity: int) -> None:
    problem = pair.problem(residency=residency, weight_capacity_bytes=capacity)
    rng = np.random.default_rng(capacity)
    tenant, times = rng.integers(0, 2, 60), np.sort(rng.uniform(0, 150_000, 60))
    names = [t.name for t in problem.tenants]
    with runtime(pair, problem=problem, emulation=Emulation(service="table")) as device:
        began_us = device.offer(Arrivals(tuple(names[i] for i in tenant), times), {name: feeds() for name in names})
        device.drain(WAIT_S)
    live = sorted(device.records, key=lambda r: r.request)
    simulated = simulate_tenancy(problem, WHOLE, Requests(began_us + times, tenant))
    assert [r.swapped for r in live] == simulated.swapped.tolist()
    late_us = np.array([r.response_us for r in live]) - simulated.response_us
    assert late_us.min() >= -SLACK_US  # a wait may end late, never early


def test_a_slower_accelerator_takes_its_time(pair: Pair) -> None:
    def median_us(scale: float) -> float:
        with runtime(pair, emulation=Emulation(time_scale=scale)) as device:
            return float(np.median([r.service_us for r in alternate(device, *["left"] * 30)]))

    assert median_us(20.0) > 4 * median_us(1.0)


def test_a_faster_accelerator_slows_everything_else_down(pair: Pair) -> None:
    allocation = allocate((2, 1), (LAST, 0))
    with runtime(pair, allocation, emulation=Emulation(time_scale=0.1)) as device:
        assert device.timebase.stretch == 10.0
        began = time.monotonic()
        (record,) = alternate(device, "left")
        took_us = (time.monotonic() - began) * 1e6
    assert record.reload_us >= 2000.0 - SLACK_US  # emulated; it took ten times as long
    assert took_us >= 10 * (2000.0 + 500.0)
    assert record.response_us <= took_us / 10 + SLACK_US


def test_a_table_of_service_times_is_waited_and_suffixes_still_run(pair: Pair) -> None:
    problem = pair.problem()
    slow = problem.tenants[0].replace(accelerator_us=np.linspace(0, 8000, LAST + 1))
    problem = problem.replace(tenants=(slow, problem.tenants[1]))
    with runtime(pair, allocate((2, 1), (LAST, 0)), problem=problem, emulation=Emulation(service="table")) as device:
        records = alternate(device, "left", "left")
        answer = device.submit("left", feeds()).result(WAIT_S)
    assert all(r.service_us >= 4000.0 - SLACK_US for r in records)
    assert all(r.suffix_us > 0 for r in records)
    assert {name: value.shape for name, value in answer.items()} == {
        name: value.shape for name, value in pair.unsplit("left", feeds()).items()
    }


def test_the_accelerator_serves_in_the_order_of_arrival(pair: Pair) -> None:
    rng = np.random.default_rng(0)
    arrivals = Arrivals(tuple(rng.choice(["left", "right"], 60).tolist()), np.sort(rng.uniform(0, 100_000, 60)))
    with runtime(pair) as device:
        device.offer(arrivals, {"left": feeds(), "right": feeds()})
        device.drain(WAIT_S)
    served = sorted(device.records, key=lambda r: r.accelerator_start_us)
    assert [r.request for r in served] == sorted(r.request for r in served)
    assert all(b.accelerator_start_us >= a.accelerator_end_us for a, b in itertools.pairwise(served))
    tenants = [r.tenant for r in served]
    assert [r.swapped for r in served] == [True, *(a != b for a, b in itertools.pairwise(tenants))]
    summary = summarise_tenant(device.records)
    assert (summary.requests, summary.served) == (60, 60)
    assert summary.swap_fraction == pytest.approx(np.mean([r.swapped for r in served]))


def test_allocations_are_exchanged_under_load_with_no_request_lost(pair: Pair) -> None:
    expected = pair.unsplit("left", feeds())
    futures = []
    with runtime(pair) as device:
        stop = threading.Event()

        def send() -> None:
            while not stop.is_set():
                futures.append(device.submit("left", feeds()))
                time.sleep(0.001)

        sender = threading.Thread(target=send)
        sender.start()
        for _ in range(4):
            device.exchange(allocate((2, 1), (LAST, 0)))
            time.sleep(0.02)
            device.exchange(WHOLE)
            time.sleep(0.02)
        stop.set()
        sender.join()
        answers = [future.result(WAIT_S) for future in futures]
        assert device.version == 8
    assert len(device.records) == len(futures) == len({r.request for r in device.records})
    for record in device.records:  # each ended under the allocation that it began with
        assert np.isnan(record.suffix_us) == (record.version % 2 == 0)
    for answer in answers:
        for name, value in expected.items():
            np.testing.assert_allclose(answer[name], value, rtol=1e-4, atol=1e-5)
    assert device.in_flight == 0


def test_sessions_of_allocations_that_nobody_uses_any_more_are_closed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, opened, closed = open_backend("onnxruntime-cpu"), [], []
    opening = type(backend).open

    def watched(self, *arguments):
        session = opening(self, *arguments)
        closing = session.close
        opened.append(session)
        session.close = lambda: (closed.append(session), closing())
        return session

    monkeypatch.setattr(type(backend), "open", watched)
    with runtime(pair) as device:
        for point in (1, 2, 3):
            alternate(device, "left")
            device.exchange(allocate((point, 1), (LAST, 0)))
        futures = [device.submit("left", feeds()) for _ in range(20)]
        device.exchange(WHOLE)
        for future in futures:
            future.result(WAIT_S)
    assert len(opened) == 2 + 3 * 2 + 1  # both models whole; a prefix and a suffix each; the first one whole again
    assert len(closed) == len(opened)


def test_what_is_the_same_in_both_allocations_stays_resident(pair: Pair) -> None:
    with runtime(pair, allocate((LAST, 0), (0, 1))) as device:
        assert [r.swapped for r in alternate(device, "left")] == [True]
        device.exchange(allocate((LAST, 0), (1, 1)))
        assert [r.swapped for r in alternate(device, "left", "right", "left")] == [False, True, True]


def test_an_allocation_that_does_not_fit_leaves_the_old_one_serving(pair: Pair) -> None:
    with runtime(pair) as device:
        with pytest.raises(PlanError, match="core or more for its suffix"):
            device.exchange(allocate((2, 0), (LAST, 0)))
        with pytest.raises(PlanError, match="at most 1 in all"):
            device.exchange(allocate((2, 1), (2, 1)))
        assert device.version == 0
        assert alternate(device, "left")[0].error == ""


def test_a_request_whose_model_fails_fails_alone(pair: Pair) -> None:
    wrong = {"image": np.zeros((1, 3, 2, 2), np.float32)}
    with runtime(pair, allocate((2, 1), (LAST, 0))) as device:
        futures = [device.submit("left", x) for x in (feeds(), wrong, feeds())]
        futures.append(device.submit("right", wrong))
        futures.append(device.submit("left", {"nonsense": feeds()["image"]}))
        futures.append(device.submit("right", feeds()))
        failed = [future.exception(WAIT_S) for future in futures]
        device.drain(WAIT_S)
        assert device.in_flight == 0
    assert [error is None for error in failed] == [True, False, True, False, False, True]
    assert all(isinstance(error, InferenceError) for error in failed if error)
    assert sum(bool(r.error) for r in device.records) == 3
    assert summarise_tenant(device.records).failed == 3


def test_requests_beyond_the_limit_or_after_the_end_are_refused(pair: Pair) -> None:
    device = runtime(pair, max_in_flight=2)
    futures = [device.submit("left", feeds()) for _ in range(40)]
    refused = [future.exception(WAIT_S) for future in futures]
    assert any(refused)
    assert refused[0] is None
    device.close()
    assert isinstance(device.submit("left", feeds()).exception(WAIT_S), InferenceError)
    with pytest.raises(InferenceError, match="nobody"):
        device.submit("nobody", feeds())


@pytest.mark.parametrize(
    ("accelerator", "cpu"), [((97,), CPU), (ACCELERATOR, (97,)), (CPU, CPU), ((), CPU), (ACCELERATOR, ())]
)
def test_cores_that_are_not_there_are_refused(pair: Pair, accelerator: tuple, cpu: tuple) -> None:
    with pytest.raises(PlatformError, match="cores of the emulated accelerator"):
        TenantRuntime(pair.problem(), WHOLE, pair.models, accelerator_cores=accelerator, cpu_cores=cpu)


def test_weights_without_room_or_streaming_are_refused(pair: Pair) -> None:
    problem = pair.problem(weight_capacity_bytes=3000, streaming_us_per_byte=None, residency=TokenResidency())
    with pytest.raises(PlanError, match="partition point"):
        runtime(pair, problem=problem)


@pytest.mark.parametrize(
    "emulation",
    [
        Emulation(time_scale=0.0),
        Emulation(service="guess"),
        Emulation(service="table", time_scale=2.0),
        Emulation(accelerator=Configuration(backend="no-such", form="mapped")),
    ],
)
def test_an_emulation_that_makes_no_sense_is_refused(pair: Pair, emulation: Emulation) -> None:
    with pytest.raises(UnsupportedError):
        runtime(pair, emulation=emulation)
