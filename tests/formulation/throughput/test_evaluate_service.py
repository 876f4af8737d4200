"""The evaluator of service plans against closed forms and against the simulation."""

import pytest
from edgeplan.formulation import Activity, Configuration, ContentionModel, PlanError, Poisson, SolverStamp, Stream
from edgeplan.formulation.plan import PlannedSegment
from edgeplan.formulation.queueing.multi_server import mdc_exact_wait_us
from edgeplan.formulation.throughput import (
    Instance,
    ModelService,
    ServicePlan,
    ServiceSettings,
    ThroughputProblem,
    evaluate_service,
    simulate_service,
)
from edgeplan.solvers.throughput.testing import MIB, model_of, platform_of

A = model_of("a", {("cpu", 1, 1): 5000, ("cpu", 1, 8): 20000, ("gpu", 1, 1): 2000, ("gpu", 1, 8): 4000})
B = model_of("b", {("cpu", 1, 1): 9000, ("cpu", 4, 1): 3000, ("gpu", 1, 1): 3000, ("gpu", 1, 8): 8000})
PLATFORM = platform_of({"cpu": 4, "gpu": 1})


def problem(contention: ContentionModel | None = None, **service: object) -> ThroughputProblem:
    streams = tuple(Stream(model=name, arrival=Poisson(rate_hz=1), deadline_us=60_000) for name in "ab")
    settings = ServiceSettings.model_validate(service)
    return ThroughputProblem((A, B), PLATFORM, streams, service=settings, contention=contention or ContentionModel())


def segment(processor: str, batch: int, *cores: int, layers: tuple[int, int] = (0, 4)) -> PlannedSegment:
    configuration = Configuration(processor=processor, backend="any", threads=len(cores), batch=batch)
    return PlannedSegment(start=layers[0], stop=layers[1], configuration=configuration, cores=cores)


def service(model: str, rate_hz: float, *instances: object, batch: int = 1, window_us: float = 0.0) -> ModelService:
    made = tuple(Instance(segments=i if isinstance(i, tuple) else (i,)) for i in instances)
    return ModelService(model=model, instances=made, max_batch=batch, window_us=window_us, rate_hz=rate_hz)


def plan(*services: ModelService) -> ServicePlan:
    return ServicePlan(services=services, solver=SolverStamp(method="hand", status="feasible"))


ON_GPU = service("b", 100, segment("gpu", 1, 4))
POOL = plan(service("a", 500, *(segment("cpu", 1, k) for k in range(4))), ON_GPU)


def test_a_pool_without_batches_is_m_d_c() -> None:
    found = evaluate_service(problem(), POOL)
    a, b = found.models
    assert found.busiest == pytest.approx({"cpu": 500 * 5e-3 / 4, "gpu": 0.3})
    assert a.paths[0].wait_us == pytest.approx(float(mdc_exact_wait_us(500, 5000, 4)), rel=0.02)
    assert b.paths[0].wait_us == pytest.approx(float(mdc_exact_wait_us(100, 3000, 1)), rel=1e-9)


SETTINGS = {
    "cores that one model has to itself": POOL,
    "a device that two models share, with batches": plan(
        service("a", 600, segment("gpu", 8, 4), batch=8, window_us=8000),
        service("b", 200, segment("gpu", 8, 4), batch=8, window_us=15000),
    ),
    "cores that two models share": plan(
        service("a", 250, *(segment("cpu", 1, k) for k in range(4))),
        service("b", 150, *(segment("cpu", 1, k) for k in range(4))),
    ),
    "pipelines with a stage in common": plan(
        service(
            "a", 300, *((segment("cpu", 1, k, layers=(0, 2)), segment("gpu", 1, 4, layers=(2, 4))) for k in range(4))
        ),
        ON_GPU,
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_predictions_are_near_the_simulation(name: str) -> None:
    found = evaluate_service(problem(), SETTINGS[name])
    played = simulate_service(problem(), SETTINGS[name], 60e6, seed=3)
    for prediction in found.models:
        seen = played.models[prediction.model]
        assert prediction.mean_batch == pytest.approx(seen.mean_batch, rel=0.03)
        assert prediction.mean_response_us == pytest.approx(seen.response_us.mean(), rel=0.15)
        assert prediction.percentile_us(0.95) == pytest.approx(seen.percentile_us(0.95), rel=0.25)
        assert prediction.late_share(prediction.percentile_us(0.95)) == pytest.approx(0.05, abs=1e-4)


def test_contention_is_felt_in_prediction_and_simulation_alike() -> None:
    name = A.costs.configurations[0].name
    model = ContentionModel(activities=(Activity(model="a", configuration=name, sensitivity=0.3, pressure=0.4),))
    crowded, lone = problem(model), problem()
    found = evaluate_service(crowded, POOL)
    played = simulate_service(crowded, POOL, 60e6, seed=3).models["a"].response_us.mean()
    assert found.slowdown > 1.1
    assert found.models[0].mean_response_us == pytest.approx(played, rel=0.15)
    assert found.busiest["cpu"] > evaluate_service(lone, POOL).busiest["cpu"]
    # What one instance alone does is not slowed down by itself.
    single = plan(service("a", 50, segment("cpu", 1, 0)), ON_GPU)
    assert evaluate_service(crowded, single).slowdown == 1.0


def test_more_requests_are_never_answered_sooner_without_batches() -> None:
    means = []
    for rate in (10, 200, 500, 700, 790, 900):
        services = (service("a", rate, *(segment("cpu", 1, k) for k in range(4))), ON_GPU)
        means.append(evaluate_service(problem(), plan(*services)).models[0].mean_response_us)
    assert means == sorted(means)
    assert means[-1] == float("inf")


def test_limits_that_break_are_named() -> None:
    busy = plan(service("a", 790, *(segment("cpu", 1, k) for k in range(4))), ON_GPU)
    found = evaluate_service(problem(min_rate_hz={"b": 200}), busy)
    assert {(x.limit.kind, x.limit.subject) for x in found.broken} >= {("cores", "cpu"), ("rate", "b")}


def test_weights_are_held_by_every_instance_or_once_a_processor() -> None:
    own = evaluate_service(problem(), POOL).memory_bytes["cpu memory"]
    shared = evaluate_service(problem(weights="processor"), POOL).memory_bytes["cpu memory"]
    assert own - shared == pytest.approx(3 * 10 * MIB)


def test_an_instance_with_smaller_batches_runs_in_turn() -> None:
    both = service("a", 100, segment("cpu", 1, 0), segment("gpu", 8, 4), batch=8, window_us=20_000)
    slow = evaluate_service(problem(), plan(both, service("b", 10, segment("cpu", 1, 1)))).models[0]
    by_place = sorted(float(path.service_us[-1]) for path in slow.paths)
    assert by_place == pytest.approx([4000, 8 * 5000])


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (plan(service("a", 1, segment("cpu", 1, 0), segment("cpu", 1, 0)), ON_GPU), "at most one on the same cores"),
        (plan(service("a", 1, segment("cpu", 1, 9)), ON_GPU), "of the cores"),
        (plan(service("a", 1, segment("cpu", 1, 0)), service("b", 1, segment("cpu", 1, 0, 1, 2, 3))), "configuration"),
        (plan(service("a", 1, segment("cpu", 1, 0)), service("b", 1, segment("cpu", 1, 0, 1))), "configuration"),
        (plan(service("a", 1, segment("cpu", 1, 0, layers=(0, 3))), ON_GPU), "cover"),
        (plan(service("a", 1, segment("cpu", 1, 0))), "each once"),
    ],
)
def test_plans_that_cannot_run_are_refused(broken: ServicePlan, says: str) -> None:
    at_most_two_threads = problem().replace(limits=problem().limits.model_copy(update={"max_threads": 2}))
    with pytest.raises(PlanError, match=says):
        evaluate_service(at_most_two_threads, broken)


def test_no_more_instances_than_are_allowed() -> None:
    assert evaluate_service(problem(max_instances={"a": 4}), POOL)
    with pytest.raises(PlanError, match="at most 3"):
        evaluate_service(problem(max_instances={"a": 3}), POOL)


def test_cores_may_not_be_shared_in_part() -> None:
    overlapping = plan(service("a", 1, segment("cpu", 1, 0)), service("b", 1, segment("cpu", 1, 0, 1, 2, 3)))
    with pytest.raises(PlanError, match="the same cores, or on others"):
        evaluate_service(problem(), overlapping)


def test_the_same_seed_plays_the_same() -> None:
    one, two = (simulate_service(problem(), POOL, 1e6, seed=5).models["a"].response_us for _ in range(2))
    assert (one == two).all()


def test_planned_routing_keeps_the_proportions_and_first_end_does_not() -> None:
    # Both models are quicker on the device, which cannot take both; a has the cores besides.
    a = ModelService(
        model="a",
        instances=(
            Instance(segments=(segment("cpu", 1, 0),), rate_hz=100),
            Instance(segments=(segment("cpu", 1, 1),), rate_hz=100),
            Instance(segments=(segment("gpu", 1, 4),), rate_hz=50),
        ),
        rate_hz=250,
    )
    made = plan(a, service("b", 230, segment("gpu", 1, 4)))
    found = evaluate_service(problem(), made)
    planned = simulate_service(problem(), made, 60e6, seed=3)
    greedy = simulate_service(problem(), made, 60e6, seed=3, routing="first_end")
    assert planned.busiest["gpu"] == pytest.approx(found.busiest["gpu"], rel=0.03)
    assert greedy.busiest["gpu"] > found.busiest["gpu"] + 0.05
    assert found.models[1].mean_response_us == pytest.approx(planned.models["b"].response_us.mean(), rel=0.2)
