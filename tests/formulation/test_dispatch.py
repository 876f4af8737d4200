"""The dispatch rule and the simulator that drives it, against queueing theory and schedules worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgeplan.formulation import (
    Configuration,
    CostTable,
    Dispatcher,
    LayerGraph,
    Link,
    Memory,
    Model,
    ModelPlan,
    Periodic,
    Plan,
    PlanError,
    PlannedSegment,
    Platform,
    Poisson,
    Problem,
    Processor,
    SolverStamp,
    Start,
    Step,
    Stream,
    Trace,
    evaluate,
    simulate,
    tails_us,
)
from hypothesis import given
from hypothesis import strategies as st

ONE = Configuration(backend="b")


def test_the_earliest_deadline_goes_first_at_every_segment_boundary() -> None:
    dispatcher = Dispatcher([0])
    long = [Step(1, (0,)), Step(1, (0,), after=(0,))]
    dispatcher.release(0, 100.0, long)
    assert dispatcher.starts() == [Start(0, 0, (0,))]
    dispatcher.release(1, 50.0, [Step(1, (0,))])
    assert dispatcher.starts() == []
    assert not dispatcher.finish(0, 0)
    assert dispatcher.starts() == [Start(1, 0, (0,))]
    assert dispatcher.finish(1, 0)
    assert dispatcher.starts() == [Start(0, 1, (0,))]
    assert dispatcher.finish(0, 1)
    assert dispatcher.in_flight == 0


def test_a_waiting_gang_keeps_its_cores_from_later_deadlines() -> None:
    dispatcher = Dispatcher([0, 1])
    dispatcher.release(0, 10.0, [Step(1, (0,))])
    dispatcher.release(1, 20.0, [Step(2, (0, 1))])
    dispatcher.release(2, 30.0, [Step(1, (1,))])
    assert dispatcher.starts() == [Start(0, 0, (0,))]
    dispatcher.finish(0, 0)
    assert dispatcher.starts() == [Start(1, 0, (0, 1))]
    dispatcher.finish(1, 0)
    assert dispatcher.starts() == [Start(2, 0, (1,))]


def test_a_bound_segment_does_not_hold_up_others() -> None:
    dispatcher = Dispatcher([0, 1])
    dispatcher.release(0, 10.0, [Step(1, (0,))])
    dispatcher.release(1, 20.0, [Step(1, (0,))])
    dispatcher.release(2, 30.0, [Step(1, (0, 1))])
    assert dispatcher.starts() == [Start(0, 0, (0,)), Start(2, 0, (1,))]


def test_a_failed_step_drops_the_rest_of_its_request_only() -> None:
    dispatcher = Dispatcher([0])
    dispatcher.release(0, 10.0, [Step(1, (0,)), Step(1, (0,), after=(0,))])
    dispatcher.release(1, 20.0, [Step(1, (0,))])
    dispatcher.starts()
    assert dispatcher.finish(0, 0, failed=True)
    assert dispatcher.starts() == [Start(1, 0, (0,))]
    assert dispatcher.in_flight == 1


def test_the_other_branch_of_a_failed_request_is_waited_for() -> None:
    dispatcher = Dispatcher([0, 1])
    dispatcher.release(0, 10.0, [Step(1, (0,)), Step(1, (1,)), Step(1, (0,), after=(0, 1))])
    assert len(dispatcher.starts()) == 2
    assert not dispatcher.finish(0, 0, failed=True)
    assert dispatcher.starts() == []
    assert dispatcher.finish(0, 1)
    assert dispatcher.in_flight == 0


@given(st.lists(st.tuples(st.integers(1, 2), st.floats(1, 100), st.integers(1, 3)), min_size=1, max_size=12))
def test_no_core_is_shared_and_every_request_ends(requests: list[tuple[int, float, int]]) -> None:
    dispatcher = Dispatcher([0, 1])
    for i, (threads, deadline, count) in enumerate(requests):
        steps = [Step(threads, (0, 1), after=(k - 1,) if k else ()) for k in range(count)]
        dispatcher.release(i, deadline, steps)
    busy: dict[tuple[int, int], tuple[int, ...]] = {}
    ended = 0
    while dispatcher.in_flight:
        for start in dispatcher.starts():
            taken = {core for cores in busy.values() for core in cores}
            assert not taken & set(start.cores)
            busy[start.request, start.step] = start.cores
        request, step = min(busy)
        del busy[request, step]
        ended += dispatcher.finish(request, step)
    assert ended == len(requests)


PAIR = ((0, 1),)


def test_a_gang_runs_while_nothing_else_is_ready() -> None:
    dispatcher = Dispatcher([0, 1])
    dispatcher.release(0, 10.0, [Step(1, (0, 1), gangs=PAIR)])
    assert dispatcher.starts() == [Start(0, 0, (0, 1), gang=0)]
    assert dispatcher.finish(0, 0)
    dispatcher.release(1, 10.0, [Step(1, (0, 1), gangs=PAIR)])
    dispatcher.release(2, 20.0, [Step(1, (0, 1), gangs=PAIR)])
    assert dispatcher.starts() == [Start(1, 0, (0,)), Start(2, 0, (1,))]


def test_no_gang_where_another_segment_holds_one_of_its_cores() -> None:
    dispatcher = Dispatcher([0, 1])
    dispatcher.release(0, 10.0, [Step(1, (0,))])
    assert dispatcher.starts() == [Start(0, 0, (0,))]
    dispatcher.release(1, 20.0, [Step(1, (0, 1), gangs=PAIR)])
    assert dispatcher.starts() == [Start(1, 0, (1,))]


def test_what_waits_for_other_cores_does_not_stop_a_gang() -> None:
    dispatcher = Dispatcher([0, 1, 2])
    dispatcher.release(0, 5.0, [Step(1, (2,))])
    dispatcher.release(1, 6.0, [Step(1, (0, 1), gangs=PAIR)])
    dispatcher.release(2, 9.0, [Step(1, (2,))])
    assert dispatcher.starts() == [Start(0, 0, (2,)), Start(1, 0, (0, 1), gang=0)]


def test_what_waits_for_a_core_just_taken_does_not_hide_who_wants_the_gangs() -> None:
    dispatcher = Dispatcher([0, 1, 2])
    for request in range(3):
        dispatcher.release(request, (1.0, 3.0, 4.0)[request], [Step(1, (1,))])
    dispatcher.release(3, 2.0, [Step(1, (0, 2), gangs=((0, 2),))])
    dispatcher.release(4, 5.0, [Step(1, (2,))])
    assert dispatcher.starts() == [Start(0, 0, (1,)), Start(3, 0, (0,)), Start(4, 0, (2,))]


def test_the_largest_gang_that_leaves_everybody_a_core_runs() -> None:
    dispatcher = Dispatcher(range(4))
    gangs = ((0, 1, 2, 3), (0, 1), (2, 3))
    for request in range(2):
        dispatcher.release(request, float(request), [Step(1, (0, 1, 2, 3), gangs=gangs)])
    assert dispatcher.starts() == [Start(0, 0, (0, 1), gang=1), Start(1, 0, (2, 3), gang=2)]


def test_least_slack_lets_the_longer_request_go_first() -> None:
    for tail_us, first in ((0.0, 1), (60.0, 0)):
        dispatcher = Dispatcher([0])
        dispatcher.release(0, 100.0, [Step(1, (0,), tail_us=tail_us)])
        dispatcher.release(1, 50.0, [Step(1, (0,), tail_us=tail_us and 5.0)])
        assert dispatcher.starts()[0].request == first


def test_what_cannot_be_in_time_goes_after_all_that_can() -> None:
    def step(least_us: float | None) -> list[Step]:
        return [Step(1, (0,), least_us=least_us)]

    dispatcher = Dispatcher([0])
    dispatcher.release(0, 10.0, step(8.0))
    dispatcher.release(1, 20.0, step(8.0))
    dispatcher.release(2, 11.0, step(8.0))
    dispatcher.release(3, 12.0, step(None))  # keeps its place, late or not
    order = []
    for now_us in (3.5, 13.0, 21.0, 29.0):
        (start,) = dispatcher.starts(now_us)
        order.append(start.request)
        dispatcher.finish(start.request, 0)
    assert order == [3, 0, 2, 1]  # at 13 all are late: by deadline again


@pytest.mark.parametrize("load", [0.9, 1.3])
def test_late_requests_do_not_make_others_late(load: float) -> None:
    """One core, Poisson arrivals, deadlines of five services: what is in time with late ones last and without."""
    rng = np.random.default_rng(3)
    service_us, n = 10.0, 4000
    arrivals = np.cumsum(rng.exponential(service_us / load, n))
    in_time = []
    for least_us in (None, service_us):
        dispatcher, now, k = Dispatcher([0]), 0.0, 0
        ended: dict[int, float] = {}
        while len(ended) < n:
            if k < n and not dispatcher.in_flight:
                now = max(now, float(arrivals[k]))
            while k < n and arrivals[k] <= now:
                dispatcher.release(k, float(arrivals[k]) + 5 * service_us, [Step(1, (0,), least_us=least_us)])
                k += 1
            (start,) = dispatcher.starts(now)
            now += service_us
            dispatcher.finish(start.request, 0)
            ended[start.request] = now
        in_time.append(sum(ended[i] <= arrivals[i] + 5 * service_us for i in range(n)) / n)
    assert in_time[1] > in_time[0]
    if load > 1:
        assert in_time[0] < 0.1
        assert in_time[1] > 0.9 / load


def test_tails_follow_the_longest_path() -> None:
    assert tails_us([1.0, 5.0, 2.0, 3.0], [(), (0,), (0,), (1, 2)]) == [9.0, 8.0, 5.0, 3.0]


@given(st.lists(st.tuples(st.floats(1, 100), st.integers(1, 3), st.booleans()), min_size=1, max_size=12))
def test_no_ready_segment_is_kept_from_a_core_by_a_gang(requests: list[tuple[float, int, bool]]) -> None:
    """Work conservation: while one thread waits, no core that it may use is free, and no gang has just started."""
    dispatcher = Dispatcher([0, 1, 2])
    for i, (deadline, count, ganged) in enumerate(requests):
        gangs = ((0, 1, 2), (1, 2)) if ganged else ()
        steps = [Step(1, (0, 1, 2), after=(k - 1,) if k else (), gangs=gangs) for k in range(count)]
        dispatcher.release(i, deadline, steps)
    busy: dict[tuple[int, int], tuple[int, ...]] = {}
    ended = 0
    while dispatcher.in_flight:
        starts = dispatcher.starts()
        for start in starts:
            assert not {core for cores in busy.values() for core in cores} & set(start.cores)
            busy[start.request, start.step] = start.cores
        left = dispatcher.in_flight - len({request for request, _ in busy})
        assert not left or all(start.gang is None for start in starts)
        request, step = min(busy)
        del busy[request, step]
        ended += dispatcher.finish(request, step)
    assert ended == len(requests)


def one_core_problem(streams: tuple[Stream, ...], us: dict[str, list[float]], cores: tuple[int, ...] = (0,)) -> Problem:
    platform = Platform(
        name="p",
        processors=(Processor(name="cpu", cores=cores, memory="host"),),
        memories=(Memory(name="host", capacity_bytes=10**9),),
    )
    models = tuple(
        Model(
            name,
            LayerGraph.chain(name, [(f"{name}{i}", "Op", 1, 1) for i in range(len(times))], 1),
            CostTable.create([ONE], [[t] for t in times]),
        )
        for name, times in us.items()
    )
    return Problem(models, platform, streams)


def segmented(problem: Problem, whole: bool = False) -> Plan:
    cores = problem.platform.processors[0].cores
    parts = []
    for model in problem.models:
        n = model.graph.n_layers
        bounds = [(0, n)] if whole else [(i, i + 1) for i in range(n)]
        segments = tuple(PlannedSegment(start=a, stop=b, configuration=ONE, cores=cores) for a, b in bounds)
        parts.append(ModelPlan(model=model.name, sha256=model.sha256, segments=segments))
    return Plan(models=tuple(parts), solver=SolverStamp(method="hand", status="feasible"))


def test_a_cut_is_a_preemption_point() -> None:
    streams = (
        Stream(model="slow", arrival=Trace(times_us=(0.0,)), deadline_us=1000),
        Stream(model="fast", arrival=Trace(times_us=(10.0,)), deadline_us=100),
    )
    problem = one_core_problem(streams, {"slow": [50.0, 50.0], "fast": [5.0]})
    cut, whole = (simulate(problem, segmented(problem, whole), 20.0) for whole in (False, True))
    assert cut["fast"].response_us.tolist() == [45.0]
    assert cut["slow"].response_us.tolist() == [105.0]
    assert whole["fast"].response_us.tolist() == [95.0]
    assert whole["slow"].response_us.tolist() == [100.0]


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_one_deterministic_server_waits_as_pollaczek_and_khinchine_say(load: float) -> None:
    service_us = 100.0
    streams = (Stream(model="m", arrival=Poisson(rate_hz=load * 1e6 / service_us)),)
    problem = one_core_problem(streams, {"m": [service_us]})
    responses = simulate(problem, segmented(problem), 30e6, seed=3)["m"].response_us
    expected = service_us + load * service_us / (2 * (1 - load))
    batches = responses[: len(responses) // 50 * 50].reshape(50, -1).mean(axis=1)
    standard_error = batches.std(ddof=1) / math.sqrt(50)
    assert abs(responses.mean() - expected) < 3.5 * standard_error


def test_two_periodic_streams_on_two_cores_never_wait() -> None:
    streams = tuple(Stream(model=m, arrival=Periodic(period_us=100.0), deadline_us=100) for m in "ab")
    problem = one_core_problem(streams, {"a": [90.0], "b": [80.0]}, cores=(0, 1))
    result = simulate(problem, segmented(problem), 10_000.0)
    assert np.all(result["a"].response_us == 90.0)
    assert np.all(result["b"].response_us == 80.0)
    assert result["a"].miss_ratio == 0.0


def test_the_same_seed_gives_the_same_responses() -> None:
    streams = (Stream(model="m", arrival=Poisson(rate_hz=5000), deadline_us=150),)
    problem = one_core_problem(streams, {"m": [100.0]})
    first, second, other = (simulate(problem, segmented(problem), 1e6, seed=s)["m"] for s in (1, 1, 2))
    assert first.response_us.tolist() == second.response_us.tolist()
    assert first.response_us.tolist() != other.response_us.tolist()
    assert 0 < first.miss_ratio < 1


def test_transfers_delay_a_request_and_occupy_no_core() -> None:
    """Alone it takes what the isolated schedule says; another one computes while its tensors move."""
    there, here = (Configuration(backend="b", processor=name) for name in ("npu", "cpu"))
    platform = Platform(
        name="p",
        processors=(Processor(name="cpu", cores=(0,), memory="host"), Processor(name="npu", cores=(1,), memory="own")),
        memories=(Memory(name="host", capacity_bytes=10**9), Memory(name="own", capacity_bytes=10**9)),
        links=(
            Link(source="host", target="own", fixed_us=100.0, bytes_per_us=1.0),
            Link(source="own", target="host", fixed_us=70.0, bytes_per_us=1.0),
        ),
    )
    models = tuple(
        Model(
            name,
            LayerGraph.chain(name, [(f"{name}{i}", "Op", 1, 50) for i in range(3)], 50),
            CostTable.create([here, there], [[10.0, 10.0]] * 3),
        )
        for name in ("moved", "stays")
    )
    streams = (
        Stream(model="moved", arrival=Trace(times_us=(0.0,))),
        Stream(model="stays", arrival=Trace(times_us=(11.0,))),
    )
    problem = Problem(models, platform, streams)
    ways = {"moved": ((here, (0,)), (there, (1,)), (here, (0,))), "stays": ((here, (0,)),) * 3}
    parts = []
    for model in models:
        segments = tuple(
            PlannedSegment(start=k, stop=k + 1, configuration=c, cores=cores)
            for k, (c, cores) in enumerate(ways[model.name])
        )
        parts.append(ModelPlan(model=model.name, sha256=model.sha256, segments=segments))
    plan = Plan(models=tuple(parts), solver=SolverStamp(method="hand", status="feasible"))
    played = simulate(problem, plan, 100.0)
    assert played["moved"].response_us.tolist() == [10.0 + 150.0 + 10.0 + 120.0 + 10.0]
    assert evaluate(problem, plan).models["moved"].latency_us == 300.0
    assert played["stays"].response_us.tolist() == [30.0]


def test_a_plan_that_cannot_run_is_not_simulated() -> None:
    problem = one_core_problem((Stream(model="m", arrival=Poisson(rate_hz=1)),), {"m": [1.0, 1.0]})
    part = segmented(problem).models[0]
    broken = ModelPlan(model="m", sha256=part.sha256, segments=part.segments[:1])
    plan = Plan(models=(broken,), solver=SolverStamp(method="hand", status="feasible"))
    with pytest.raises(PlanError, match="coverage"):
        simulate(problem, plan, 1e6)
