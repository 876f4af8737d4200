"""Solvers of throughput problems against the oracle, the evaluator and each other."""

import numpy as np
import pytest
from edgeplan.formulation import Limits, Poisson, Stream, UnsupportedError
from edgeplan.formulation.throughput import ServiceSettings, ThroughputProblem, evaluate_service
from edgeplan.solvers import available_methods, solve
from edgeplan.solvers.claims import SolverBugError
from edgeplan.solvers.throughput.bounds import core_time_bound
from edgeplan.solvers.throughput.brute_force import structures
from edgeplan.solvers.throughput.deals import dealt_evenly
from edgeplan.solvers.throughput.limiting import relaxed_limits
from edgeplan.solvers.throughput.moves import neighbours
from edgeplan.solvers.throughput.offer import Offer
from edgeplan.solvers.throughput.outcome import RESOLUTION
from edgeplan.solvers.throughput.rates import Rates
from edgeplan.solvers.throughput.solution import ThroughputSolution
from edgeplan.solvers.throughput.structure import fits, layout
from edgeplan.solvers.throughput.testing import model_of, platform_of, random_throughput
from edgeplan.solvers.throughput.verify import verified

OBJECTIVES = ("capacity", "throughput", "fair", "cost")
RULES = ("single_instance", "largest_batch", "equal_cores", "each_alone")


def small(seed: int, objective: str, **changes: object) -> ThroughputProblem:
    """Two models on one core and a device that batches: every structure can be looked at."""
    settings = ServiceSettings.model_validate(
        {
            "objective": objective,
            "max_stages": 1,
            "windows": (0.2,),
            "core_price": {"cpu": 1, "gpu": 0.5},
            "processor_price": {"gpu": 2},
            **changes,
        }
    )
    return random_throughput(seed, cores={"cpu": 1, "gpu": 1}, deadlines=seed % 2 == 0, settings=settings)


@pytest.mark.parametrize(("objective", "seed"), [("capacity", 2), ("capacity", 1), ("throughput", 1), ("cost", 0)])
def test_exact_search_finds_what_the_oracle_finds(objective: str, seed: int) -> None:
    problem = small(seed, objective)
    best, found = solve(problem, "brute_force"), solve(problem, "cp_sat", time_limit_s=30)
    assert best.objective is not None
    assert found.status == "optimal"
    assert found.objective == pytest.approx(best.objective, rel=2 * RESOLUTION)
    assert found.bound is not None
    assert found.bound <= best.objective + 1e-9 * abs(best.objective)


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(6))
def test_exact_search_finds_what_the_oracle_finds_on_larger_problems(objective: str, seed: int) -> None:
    settings = ServiceSettings.model_validate(
        {
            "objective": objective,
            "max_stages": 1,
            "windows": (0.2,),
            "core_price": {"cpu": 1},
            "processor_price": {"gpu": 3},
        }
    )
    problem = random_throughput(seed, deadlines=seed % 2 == 0, settings=settings)
    best, found = solve(problem, "brute_force", time_limit_s=120), solve(problem, "cp_sat", time_limit_s=60)
    assert best.objective is not None
    assert found.objective is not None
    assert found.bound is not None
    assert found.bound <= best.objective + 1e-9 * abs(best.objective)
    if found.status == "optimal":
        assert found.objective == pytest.approx(best.objective, rel=2 * RESOLUTION)


@pytest.mark.parametrize("objective", ["fair", "cost"])
def test_no_method_beats_the_bounds_and_every_plan_keeps_the_limits(objective: str) -> None:
    problem = small(3, objective)
    bound = core_time_bound(Offer.of(problem))
    best = solve(problem, "brute_force").objective
    assert best is not None
    for method in ("greedy", *RULES):
        found = solve(problem, method, time_limit_s=10)
        assert found.plan is not None
        assert found.objective is not None
        assert evaluate_service(problem, found.plan).feasible
        assert found.plan.solver.method == method
        assert found.objective >= bound
        assert found.objective >= best - RESOLUTION * abs(best)


def test_local_search_is_near_the_optimum_on_small_problems() -> None:
    for seed in (1, 3):
        problem = small(seed, "capacity")
        best, found = solve(problem, "brute_force").objective, solve(problem, "greedy").objective
        assert best is not None
        assert found is not None
        assert found <= 0.95 * best


def test_local_search_finds_lanes_apart_where_models_may_not_wait_for_each_other() -> None:
    # One in a million requests of b may be late, and any that meets one of a is.
    a, b = model_of("a", {("cpu", 1, 1): 20_000.0}), model_of("b", {("cpu", 1, 1): 20_000.0})
    streams = (
        Stream(model="a", arrival=Poisson(rate_hz=20)),
        Stream(model="b", arrival=Poisson(rate_hz=1e-4), deadline_us=30_000, percentile=1 - 1e-5),
    )
    service = ServiceSettings(objective="cost", core_price={"cpu": 1})
    problem = ThroughputProblem((a, b), platform_of({"cpu": 2}), streams, service=service)
    found = solve(problem, "greedy")
    assert found.evaluation is not None
    assert found.evaluation.cost == 2


def test_pipelines_serve_what_fits_no_single_memory() -> None:
    times = {("npu0", 1, 1): 4000.0, ("npu1", 1, 1): 4000.0}
    platform = platform_of({"npu0": 1, "npu1": 1}, {"npu0": 8, "npu1": 8})
    stream = Stream(model="big", arrival=Poisson(rate_hz=1))
    problem = ThroughputProblem((model_of("big", times, weight_mib=12),), platform, (stream,))
    found = solve(problem, time_limit_s=10)
    assert found.plan is not None
    assert found.evaluation is not None
    assert all(len(instance.segments) == 2 for instance in found.plan.services[0].instances)
    # Two equal stages of 2 ms each.
    assert found.evaluation.value == pytest.approx(0.9 / 2e-3, rel=0.01)
    whole = problem.replace(service=ServiceSettings(max_stages=1))
    refused = solve(whole, time_limit_s=10)
    assert refused.status == "infeasible"


def test_an_equal_stream_is_served_by_every_accelerator_of_a_cluster() -> None:
    times = {(f"npu{k}", 1, 1): 5000.0 for k in range(3)}
    stream = Stream(model="a", arrival=Poisson(rate_hz=1))
    problem = ThroughputProblem((model_of("a", times),), platform_of({f"npu{k}": 1 for k in range(3)}), (stream,))
    found = solve(problem, time_limit_s=10)
    assert found.evaluation is not None
    assert found.evaluation.value == pytest.approx(3 * 0.9 / 5e-3, rel=1e-3)
    assert found.status == "optimal"


def test_batching_is_chosen_only_where_it_pays() -> None:
    flat = model_of("flat", {("cpu", 1, b): 5000.0 * b for b in (1, 8)})
    steep = model_of("steep", {("gpu", 1, b): 4000.0 + 500.0 * b for b in (1, 8)})
    streams = tuple(Stream(model=n, arrival=Poisson(rate_hz=100), deadline_us=100_000) for n in ("flat", "steep"))
    problem = ThroughputProblem((flat, steep), platform_of({"cpu": 2, "gpu": 1}), streams)
    found = solve(problem.replace(service=ServiceSettings(objective="throughput")), time_limit_s=5)
    assert found.plan is not None
    assert found.plan.service("flat").max_batch == 1
    assert found.plan.service("steep").max_batch == 8


@pytest.mark.parametrize(
    ("limits", "service", "deadline_us", "named"),
    [
        ({"memory_bytes": {"cpu memory": 2**20, "gpu memory": 2**20}}, {}, None, "memory"),
        ({}, {}, 100.0, "response"),
        ({}, {"min_rate_hz": {"model0": 1e6}}, None, "rate"),
    ],
)
def test_infeasible_is_a_status_that_names_what_clashes(
    limits: dict[str, object], service: dict[str, object], deadline_us: float | None, named: str
) -> None:
    problem = random_throughput(1, deadlines=False, settings=ServiceSettings.model_validate(service))
    streams = tuple(s.model_copy(update={"deadline_us": deadline_us}) for s in problem.streams)
    problem = problem.replace(limits=Limits.model_validate(limits), streams=streams)
    found = solve(problem, time_limit_s=20)
    assert found.status == "infeasible"
    assert {clash.limit.kind for clash in found.clashes} == {named}
    # Without the limits that are named, there is a plan.
    kinds = {clash.limit.kind for clash in found.clashes}
    free = problem.replace(
        limits=Limits() if "memory" in kinds else problem.limits,
        service=ServiceSettings() if "rate" in kinds else problem.service,
        streams=tuple(s.model_copy(update={"deadline_us": None}) for s in streams) if "response" in kinds else streams,
    )
    assert solve(free, "greedy").plan is not None


def test_what_limits_is_named() -> None:
    slow = model_of("slow", {("cpu", 1, 1): 20_000.0})
    quick = model_of("quick", {("gpu", 1, b): 3000.0 + 200.0 * b for b in (1, 8)})
    streams = (
        Stream(model="slow", arrival=Poisson(rate_hz=10)),
        Stream(model="quick", arrival=Poisson(rate_hz=10)),
    )
    problem = ThroughputProblem((slow, quick), platform_of({"cpu": 2, "gpu": 1}), streams)
    found = solve(problem, time_limit_s=5)
    relaxed = relaxed_limits(problem, found, time_limit_s=5)
    assert (relaxed[0].kind, relaxed[0].subject) == ("cores", "cpu")
    assert relaxed[0].gain == pytest.approx(1.0, abs=0.01)
    assert [r.subject for r in relaxed if r.binds] == ["cpu"]


def test_a_better_plan_that_keeps_a_limit_does_not_make_it_bind() -> None:
    model = model_of("m", {("cpu", 1, 1): 10_000.0})
    stream = Stream(model="m", arrival=Poisson(rate_hz=10))
    problem = ThroughputProblem((model,), platform_of({"cpu": 4}), (stream,))
    poor = solve(problem, "single_instance")
    kinds = {r.kind: r for r in relaxed_limits(problem, poor, time_limit_s=5)}
    assert kinds["memory"].gain == 0
    assert not kinds["memory"].binds


@pytest.mark.parametrize(
    ("service", "kind", "gain"),
    [({"max_instances": {"m": 1}}, "instances", 3.0), ({"batches": {"m": (1,)}}, "sizes", 16 * 4200 / 7200 - 1)],
)
def test_what_the_scenario_itself_allows_may_be_what_limits(service: dict[str, object], kind: str, gain: float) -> None:
    model = model_of("m", {("npu", 1, b): 4000.0 + 200.0 * b for b in ((1, 16) if kind == "sizes" else (1,))})
    stream = Stream(model="m", arrival=Poisson(rate_hz=10))
    settings = ServiceSettings.model_validate(service)
    problem = ThroughputProblem((model,), platform_of({"npu": 4}), (stream,), service=settings)
    relaxed = relaxed_limits(problem, solve(problem, time_limit_s=5), time_limit_s=5)
    assert {r.kind: r.gain for r in relaxed if r.binds}[kind] == pytest.approx(gain, rel=0.05)
    assert relaxed[0].kind in (kind, "cores")


def test_a_fixed_batch_dimension_is_what_limits() -> None:
    model = model_of("m", {("gpu", 1, b): 4000.0 + 200.0 * b for b in (1, 16)})
    stream = Stream(model="m", arrival=Poisson(rate_hz=10))
    service = ServiceSettings(fixed_batch={"m": 1})
    problem = ThroughputProblem((model,), platform_of({"gpu": 1}), (stream,), service=service)
    relaxed = relaxed_limits(problem, solve(problem, time_limit_s=5), time_limit_s=5)
    assert relaxed[0].name == "fixed batch dimension of model m"
    assert relaxed[0].gain == pytest.approx(16 * 4200 / 7200 - 1, rel=0.05)


@pytest.mark.slow
def test_every_structure_and_every_neighbour_can_run() -> None:
    problem = random_throughput(3, models=2, cores={"cpu": 2, "npu": 1}, batches=(1,))
    offer = Offer.of(problem)
    rates, rng = Rates(offer), np.random.default_rng(0)
    everything = list(structures(small_offer := Offer.of(small(0, "capacity"))))
    assert all(fits(small_offer, structure) for structure in everything)
    place = next(iter(structures(offer)))
    for _ in range(25):
        layout(offer, place, dealt_evenly(offer, place))
        scored = rates.best(place)
        if scored is not None:
            assert evaluate_service(problem, scored.plan(offer)).value == pytest.approx(scored.evaluation.value)
        around = list(neighbours(offer, place))
        assert all(fits(offer, structure) for structure in around)
        place = around[int(rng.integers(len(around)))]


@pytest.mark.slow
def test_rules_of_today_are_never_better_than_the_search() -> None:
    problem = random_throughput(4, models=3, cores={"cpu": 4, "gpu": 1})
    ours = solve(problem, "greedy", time_limit_s=2).objective
    assert ours is not None
    for rule in RULES:
        theirs = solve(problem, rule, time_limit_s=0.5).objective
        assert theirs is None or ours <= theirs + 1e-9


@pytest.mark.slow
def test_the_same_seed_gives_the_same_plan() -> None:
    problem = small(0, "capacity")
    one, two = (solve(problem, "greedy", seed=7).plan for _ in range(2))
    assert one is not None
    assert two is not None
    assert one.services == two.services


def test_a_solver_that_disagrees_with_the_evaluator_is_a_bug() -> None:
    problem = small(1, "capacity")
    found = solve(problem, "greedy")
    assert found.objective is not None
    lie = ThroughputSolution("feasible", "liar", objective=2 * found.objective, plan=found.plan)
    with pytest.raises(SolverBugError, match="evaluator says"):
        verified(problem, lie)
    with pytest.raises(SolverBugError, match="no limits are named"):
        verified(problem, ThroughputSolution("infeasible", "liar"))


def test_methods_are_listed_and_too_large_problems_refused() -> None:
    assert available_methods(ThroughputProblem)[:2] == ("cp_sat", "greedy")
    with pytest.raises(UnsupportedError, match="conceivable structures"):
        solve(random_throughput(0, models=4, cores={"cpu": 8, "gpu": 1}), "brute_force")
