"""Rates of a structure: least rates that ask for another mix than the streams', rates far below those of core time."""

import pytest
from edgeplan.formulation import Poisson, Stream
from edgeplan.formulation.throughput import ServiceSettings, ThroughputProblem
from edgeplan.solvers import solve
from edgeplan.solvers.throughput.brute_force import structures
from edgeplan.solvers.throughput.offer import Offer
from edgeplan.solvers.throughput.outcome import RESOLUTION
from edgeplan.solvers.throughput.rates import Rates
from edgeplan.solvers.throughput.testing import model_of, platform_of


def stream(model: str, rate_hz: float, **more: float) -> Stream:
    return Stream.model_validate({"model": model, "arrival": Poisson(rate_hz=rate_hz), **more})


@pytest.mark.parametrize("method", ["cp_sat", "greedy", "brute_force"])
@pytest.mark.parametrize("objective", ["capacity", "fair", "cost"])
def test_a_least_rate_may_need_more_processors_than_the_mix_does(method: str, objective: str) -> None:
    # Of a, 90 requests a second fit on the core and as many on the device, less what b takes there.
    a, b = model_of("a", {("cpu", 1, 1): 10_000, ("gpu", 1, 1): 10_000}), model_of("b", {("gpu", 1, 1): 10_000})
    rates = (1, 30) if objective == "cost" else (1, 100)
    streams = tuple(stream(name, hz, weight=hz) for name, hz in zip("ab", rates, strict=True))
    settings = {"objective": objective, "max_stages": 1, "min_rate_hz": {"a": 149}}
    settings["core_price"] = {"cpu": 1, "gpu": 1}
    problem = ThroughputProblem(
        (a, b), platform_of({"cpu": 1, "gpu": 1}), streams, service=ServiceSettings.model_validate(settings)
    )
    found = solve(problem, method, time_limit_s=10)
    assert found.evaluation is not None
    served = [model.rate_hz for model in found.evaluation.models]
    assert served == pytest.approx([149, 30 if objective == "cost" else 31], rel=1e-3)


@pytest.mark.parametrize("worse", [1.01, 10.0, 1e4])
def test_rates_far_below_core_time_are_found_as_exactly_whatever_is_to_be_beaten(worse: float) -> None:
    # Hardly any request may meet another one: one in a million is late.
    problem = ThroughputProblem(
        (model_of("a", {("cpu", 1, 1): 10_000}),),
        platform_of({"cpu": 1}),
        (stream("a", 1, deadline_us=11_000, percentile=1 - 1e-6),),
    )
    offer = Offer.of(problem)
    (structure,) = structures(offer)
    alone = Rates(offer).best(structure)
    assert alone is not None
    beaten = Rates(offer).best(structure, alone.objective / worse)
    assert beaten is not None
    assert beaten.objective == pytest.approx(alone.objective, rel=RESOLUTION)


def test_batches_that_must_fill_in_time_hold_at_high_rates_only() -> None:
    # A batch that waits out its window is late; with many requests it never does.
    service = ServiceSettings(windows=(0.9,), batches={"a": (8,)})
    problem = ThroughputProblem(
        (model_of("a", {("gpu", 1, 1): 8_000, ("gpu", 1, 8): 10_000}),),
        platform_of({"gpu": 1}),
        (stream("a", 1, deadline_us=50_000),),
        service=service,
    )
    offer = Offer.of(problem)
    batched = next(s for s in structures(offer) if offer.batchings[0][s.batching[0]].max_batch == 8)
    alone = Rates(offer).best(batched)
    assert alone is not None
    beaten = Rates(offer).best(batched, alone.objective / 5)
    assert beaten is not None
    assert beaten.objective == pytest.approx(alone.objective, rel=RESOLUTION)


@pytest.mark.parametrize("method", ["cp_sat", "greedy", "brute_force"])
def test_throughput_does_not_go_to_what_is_then_late(method: str) -> None:
    # By core time b is worth a little more, but hardly any of its requests can be in time while another one runs.
    a, b = model_of("a", {("cpu", 1, 1): 1_000}), model_of("b", {("cpu", 1, 1): 100_000})
    streams = (stream("a", 1), stream("b", 1, weight=101, deadline_us=110_000))
    service = ServiceSettings(objective="throughput", max_stages=1)
    found = solve(ThroughputProblem((a, b), platform_of({"cpu": 1}), streams, service=service), method, time_limit_s=10)
    assert found.evaluation is not None
    assert found.evaluation.value > 0.8 * 900
