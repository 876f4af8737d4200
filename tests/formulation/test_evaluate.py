"""The evaluator: latency, overlap, memory, response and every kind of violation, against figures worked out by hand."""

from __future__ import annotations

import pytest
from edgeplan.formulation import (
    Configuration,
    CostError,
    CostTable,
    Gang,
    Layer,
    LayerGraph,
    Limits,
    Link,
    Memory,
    Model,
    ModelPlan,
    Periodic,
    Plan,
    PlanError,
    PlannedSegment,
    Platform,
    PlatformError,
    Poisson,
    Problem,
    Processor,
    SolverStamp,
    StalePlanError,
    Stream,
    WorkloadError,
    evaluate,
)

CPU1 = Configuration(processor="cpu", backend="ort")
CPU2 = Configuration(processor="cpu", backend="ort", threads=2)
GPU = Configuration(processor="gpu", backend="cuda")


def two_cores(capacity: int = 10_000, fingerprint: str = "") -> Platform:
    return Platform(
        name="p",
        processors=(Processor(name="cpu", cores=(0, 1), memory="host"),),
        memories=(Memory(name="host", capacity_bytes=capacity),),
        fingerprint=fingerprint,
    )


def cpu_and_gpu() -> Platform:
    return Platform(
        name="p",
        processors=(
            Processor(name="cpu", cores=(0, 1), memory="host"),
            Processor(name="gpu", kind="gpu", cores=(9,), memory="vram"),
        ),
        memories=(Memory(name="host", capacity_bytes=10_000), Memory(name="vram", capacity_bytes=10_000)),
        links=(
            Link(source="host", target="vram", fixed_us=5, bytes_per_us=10),
            Link(source="vram", target="host", fixed_us=7, bytes_per_us=10),
        ),
    )


def chain_model(name: str, us: list[float]) -> Model:
    graph = LayerGraph.chain(name, [(f"{name}{i}", "Op", 100, 10) for i in range(len(us))], 10)
    return Model(name, graph, CostTable.create([CPU1, CPU2], [[u, u / 2] for u in us], fixed_us=1.0))


def plan_of(problem: Problem, *parts: list[tuple[int, int, Configuration, tuple[int, ...]]], **changes: str) -> Plan:
    models = tuple(
        ModelPlan(
            model=model.name,
            sha256=model.sha256,
            segments=tuple(PlannedSegment(start=a, stop=b, configuration=c, cores=k) for a, b, c, k in part),
        )
        for model, part in zip(problem.models, parts, strict=True)
    )
    return Plan(models=models, solver=SolverStamp(method="hand", status="feasible"), **changes)


def periodic(model: str, period_us: float, deadline_us: float | None = None, **more: float) -> Stream:
    return Stream(model=model, arrival=Periodic(period_us=period_us), deadline_us=deadline_us, **more)


def test_a_chain_takes_the_sum_of_its_segments() -> None:
    problem = Problem((chain_model("m", [10, 20, 30]),), two_cores(), objective="latency")
    scored = evaluate(problem, plan_of(problem, [(0, 2, CPU1, (0,)), (2, 3, CPU2, (0, 1))]))
    assert scored.feasible
    assert scored.objective == (1 + 10 + 20) + (1 + 15)


def test_independent_segments_on_two_processors_overlap_and_transfers_delay() -> None:
    layers = [
        Layer("stem", "Op", 0, ("x",), (("s", 100),)),
        Layer("left", "Op", 0, ("s",), (("l", 50),)),
        Layer("right", "Op", 0, ("s",), (("r", 20),)),
        Layer("join", "Op", 0, ("l", "r"), (("y", 1),)),
    ]
    graph = LayerGraph.build("d", layers, {"x": 1}, ("y",))
    model = Model("d", graph, CostTable.create([CPU1, GPU], [[10.0, 1.0], [40.0, 4.0], [60.0, 6.0], [10.0, 1.0]]))
    problem = Problem((model,), cpu_and_gpu(), objective="latency")
    segments = [(0, 1, CPU1, (0,)), (1, 2, CPU1, (0,)), (2, 3, GPU, (9,)), (3, 4, CPU1, (0,))]
    # Stem ends at 10, left at 50 on the CPU; right starts at 10 + (5 + 100 / 10) = 25 on the GPU, ends at 31 and is
    # back at 31 + 7 + 2 = 40; so join runs from 50 to 60.
    assert evaluate(problem, plan_of(problem, segments)).objective == 60
    # All on the GPU: input there at 5.1, 12 µs of work, output back after 7.1.
    whole = evaluate(problem, plan_of(problem, [(0, 4, GPU, (9,))])).objective
    assert whole == pytest.approx(5.1 + 12 + 7.1)


def test_a_tensor_crosses_a_link_once() -> None:
    layers = [
        Layer("a", "Op", 0, ("x",), (("s", 100),)),
        Layer("b", "Op", 0, ("s",), (("t", 10),)),
        Layer("c", "Op", 0, ("s", "t"), (("y", 10),)),
    ]
    graph = LayerGraph.build("d", layers, {"x": 0}, ("y",))
    model = Model("d", graph, CostTable.create([CPU1, GPU], [[1.0, 1.0]] * 3))
    problem = Problem((model,), cpu_and_gpu(), objective="latency")
    scored = evaluate(problem, plan_of(problem, [(0, 1, CPU1, (0,)), (1, 2, GPU, (9,)), (2, 3, GPU, (9,))]))
    assert scored.objective == pytest.approx(1 + 15 + 1 + 1 + 8)


def test_memory_adds_up_over_models_and_its_limit_is_checked() -> None:
    models = (chain_model("a", [10, 10]), chain_model("b", [10]))
    problem = Problem(models, two_cores(), objective="latency", limits=Limits(memory_bytes={"host": 339}))
    scored = evaluate(problem, plan_of(problem, [(0, 2, CPU1, (0,))], [(0, 1, CPU1, (1,))]))
    assert scored.memory_bytes["host"] == 200 + 20 + 100 + 20
    assert [v.kind for v in scored.violations] == ["memory"]


def test_response_counts_blocking_by_segments_and_earlier_deadlines() -> None:
    models = (chain_model("fast", [10]), chain_model("slow", [40, 60]))
    streams = (periodic("fast", 100, 80), periodic("slow", 1000, 500))
    problem = Problem(models, two_cores(), streams)
    cut = evaluate(problem, plan_of(problem, [(0, 1, CPU1, (0,))], [(0, 1, CPU1, (0,)), (1, 2, CPU1, (0,))]))
    assert cut.models["fast"].blocking_us == 61
    assert cut.models["fast"].response_us == 11 + 61
    # Due at 500: requests of "fast" due by then arrive at 0, 100, …, 400, the last is due at 480: five.
    assert cut.models["slow"].interference_us == 5 * 11
    assert cut.objective == 72 + (41 + 61 + 55)
    assert cut.feasible
    whole = evaluate(problem, plan_of(problem, [(0, 1, CPU1, (0,))], [(0, 2, CPU1, (0,))]))
    assert whole.models["fast"].response_us == 11 + 101
    assert [(v.kind, v.subject) for v in whole.violations] == [("deadline", "fast")]


def test_models_on_different_cores_do_not_meet() -> None:
    models = (chain_model("fast", [10]), chain_model("slow", [100]))
    problem = Problem(models, two_cores(), (periodic("fast", 100, 80), periodic("slow", 1000, 500)))
    scored = evaluate(problem, plan_of(problem, [(0, 1, CPU1, (0,))], [(0, 1, CPU1, (1,))]))
    assert scored.models["fast"].response_us == 11
    assert scored.models["slow"].response_us == 101
    assert scored.utilisation == {0: pytest.approx(0.11), 1: pytest.approx(0.101)}


def test_work_that_may_use_either_core_is_spread() -> None:
    models = (chain_model("fast", [10]), chain_model("slow", [100]))
    problem = Problem(models, two_cores(), (periodic("fast", 100, 80), periodic("slow", 1000, 500)))
    scored = evaluate(problem, plan_of(problem, [(0, 1, CPU1, (0, 1))], [(0, 1, CPU1, (0, 1))]))
    assert scored.models["slow"].interference_us == pytest.approx(5 * 11 / 2)
    assert scored.utilisation[0] == scored.utilisation[1] == pytest.approx((0.11 + 0.101) / 2)


def test_a_random_stream_is_held_to_latency_behind_one_segment() -> None:
    models = (chain_model("a", [10]), chain_model("b", [10]))
    streams = (
        Stream(model="a", arrival=Poisson(rate_hz=1), deadline_us=15),
        Stream(model="b", arrival=Poisson(rate_hz=1), deadline_us=15),
    )
    problem = Problem(models, two_cores(), streams)
    scored = evaluate(problem, plan_of(problem, [(0, 1, CPU1, (0,))], [(0, 1, CPU1, (0,))]))
    assert scored.models["a"].response_us == 22
    assert scored.feasible


def test_overload_is_a_violation() -> None:
    problem = Problem((chain_model("a", [95]),), two_cores(), (periodic("a", 100),))
    scored = evaluate(problem, plan_of(problem, [(0, 1, CPU1, (0,))]))
    assert [(v.kind, v.subject) for v in scored.violations] == [("utilisation", "core 0")]


@pytest.mark.parametrize(
    ("segments", "kind"),
    [
        ([(0, 1, CPU1, (0,))], "coverage"),
        ([(0, 2, CPU1, (0,)), (1, 3, CPU1, (0,))], "coverage"),
        ([(0, 4, CPU1, (0,))], "coverage"),
        ([(2, 3, CPU1, (0,)), (0, 2, CPU1, (0,))], "precedence"),
        ([(0, 3, CPU1, (7,))], "cores"),
        ([(0, 3, CPU2, (0,))], "cores"),
        ([(0, 3, CPU2, (0, 0))], "cores"),
        ([(0, 3, CPU2, (0, 1, 2))], "cores"),
        ([(0, 3, Configuration(backend="other"), (0,))], "cost"),
        ([(0, 3, Configuration(backend="ort", processor="npu"), (0,))], "cost"),
    ],
)
def test_plans_that_cannot_run_are_violations(segments: list, kind: str) -> None:
    problem = Problem((chain_model("m", [10, 20, 30]),), two_cores(), objective="latency")
    scored = evaluate(problem, plan_of(problem, segments))
    assert scored.violations[0].kind == kind
    assert not scored.feasible


def test_a_plan_for_another_model_or_machine_is_refused() -> None:
    here = Problem((chain_model("m", [10]),), two_cores(fingerprint="here"), objective="latency")
    there = Problem((chain_model("m", [10, 20]),), two_cores(), objective="latency")
    plan = plan_of(here, [(0, 1, CPU1, (0,))], platform_fingerprint="here")
    assert evaluate(here, plan).feasible
    with pytest.raises(StalePlanError, match="model changed"):
        evaluate(there, plan)
    with pytest.raises(StalePlanError, match="this machine"):
        evaluate(here, plan.model_copy(update={"platform_fingerprint": "there"}))
    with pytest.raises(PlanError, match="'n'"):
        evaluate(Problem((chain_model("n", [10]),), two_cores(), objective="latency"), plan)


def test_problems_whose_parts_do_not_fit_are_refused() -> None:
    model = chain_model("m", [10])
    with pytest.raises(WorkloadError, match="none for m"):
        Problem((model,), two_cores())
    with pytest.raises(WorkloadError, match="got q"):
        Problem((model,), two_cores(), (periodic("q", 1),))
    with pytest.raises(WorkloadError, match="each once"):
        Problem((model, model), two_cores(), (periodic("m", 1),))
    with pytest.raises(WorkloadError, match="one model"):
        Problem((model, chain_model("n", [1])), two_cores(), objective="front")
    with pytest.raises(PlatformError, match="memories named host"):
        Problem((model,), two_cores(), (periodic("m", 1),), limits=Limits(memory_bytes={"vram": 1}))
    with pytest.raises(CostError, match="1 layers"):
        Model("m", model.graph, chain_model("n", [1, 2]).costs)
    gpu_only = Model("g", model.graph, CostTable.create([GPU], [[1.0]]))
    with pytest.raises(CostError, match="cuda"):
        Problem((gpu_only,), two_cores(), (periodic("g", 1),))


def test_platforms_that_make_no_sense_are_refused() -> None:
    host = Memory(name="host", capacity_bytes=1)
    with pytest.raises(PlatformError, match="at least one core"):
        Platform(name="p", processors=(Processor(name="cpu", cores=(), memory="host"),), memories=(host,))
    with pytest.raises(PlatformError, match="got vram"):
        Platform(name="p", processors=(Processor(name="cpu", cores=(0,), memory="vram"),), memories=(host,))
    two = tuple(Processor(name=n, cores=(0,), memory="host") for n in "ab")
    with pytest.raises(PlatformError, match="each once"):
        Platform(name="p", processors=two, memories=(host,))
    with pytest.raises(PlatformError, match="a link from memory 'host' to memory 'vram'"):
        cpu_and_gpu().model_copy(update={"links": ()}).transfer_us("cpu", "gpu", 1)


def ganged(problem: Problem, gang: Gang) -> Plan:
    """The first model whole on one thread of two cores, with a gang."""
    model = problem.models[0]
    segment = PlannedSegment(start=0, stop=model.graph.n_layers, configuration=CPU1, cores=(0, 1), gangs=(gang,))
    part = ModelPlan(model=model.name, sha256=model.sha256, segments=(segment,))
    return Plan(models=(part,), solver=SolverStamp(method="hand", status="feasible"))


def test_a_gang_costs_memory_and_leaves_response_as_it_was() -> None:
    problem = Problem((chain_model("a", [100.0, 60.0]),), two_cores(), (periodic("a", 1000.0),))
    plain = evaluate(problem, plan_of(problem, [(0, 2, CPU1, (0, 1))]))
    widened = evaluate(problem, ganged(problem, Gang(configuration=CPU2, cores=(0, 1))))
    assert widened.feasible
    assert widened.models["a"].response_us == plain.models["a"].response_us
    assert widened.models["a"].segments[0].gang_us == (81.0,)
    assert widened.memory_bytes["host"] == plain.memory_bytes["host"] + 200


@pytest.mark.parametrize(
    ("gang", "kind"),
    [
        (Gang(configuration=CPU2, cores=(0, 7)), "cores"),
        (Gang(configuration=CPU2, cores=(0, 0)), "cores"),
        (Gang(configuration=CPU1, cores=(0, 1)), "cores"),
        (Gang(configuration=CPU2.model_copy(update={"threads": 3}), cores=(0, 1)), "cost"),
    ],
)
def test_a_gang_that_cannot_run_is_a_violation(gang: Gang, kind: str) -> None:
    problem = Problem((chain_model("a", [100.0, 60.0]),), two_cores(), (periodic("a", 1000.0),))
    assert kind in {violation.kind for violation in evaluate(problem, ganged(problem, gang)).violations}


def test_a_gang_that_is_not_faster_is_a_violation() -> None:
    model = chain_model("a", [100.0])
    slow = CostTable.create([CPU1, CPU2], [[100.0, 100.0]])
    problem = Problem((Model("a", model.graph, slow),), two_cores(), (periodic("a", 1000.0),))
    broken = evaluate(problem, ganged(problem, Gang(configuration=CPU2, cores=(0, 1)))).violations
    assert [violation.kind for violation in broken] == ["cost"]
    assert "not less than" in str(broken[0])
