"""How instances are dealt to lanes: every deal once up to renaming, and none that matters is missed."""

from __future__ import annotations

from itertools import combinations, permutations, product

import pytest
from edgeplan.formulation import Poisson, ServiceSettings, Stream, ThroughputProblem
from edgeplan.formulation.throughput import ServicePlan, evaluate_service
from edgeplan.solvers import solve
from edgeplan.solvers.throughput.deals import subsets_of
from edgeplan.solvers.throughput.testing import model_of, platform_of


@pytest.mark.parametrize(("n_lanes", "sizes"), [(1, [1]), (2, [1, 1, 1]), (3, [1, 2, 1]), (4, [2, 2, 3]), (3, [3, 0])])
def test_every_deal_comes_once_up_to_the_names_of_lanes(n_lanes: int, sizes: list[int]) -> None:
    def canonical(deal: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        return min(
            tuple(tuple(sorted(names[lane] for lane in own)) for own in deal) for names in permutations(range(n_lanes))
        )

    found = [canonical(deal) for deal in subsets_of(n_lanes, sizes)]
    assert len(set(found)) == len(found)
    assert set(found) == {canonical(deal) for deal in product(*(combinations(range(n_lanes), n) for n in sizes))}


SERVICE_US = {"a": 7000.0, "b": 5000.0, "c": 47000.0}
WANTED = {"a": (10.0, 80e3, 0.99), "b": (8.0, 100e3, 0.9), "c": (2.0, 500e3, 0.95)}


def one_instance_each(cores: int) -> ThroughputProblem:
    models = tuple(model_of(name, {("cpu", 1, 1): us}) for name, us in SERVICE_US.items())
    streams = tuple(
        Stream(model=name, arrival=Poisson(rate_hz=hz), deadline_us=due, percentile=level)
        for name, (hz, due, level) in WANTED.items()
    )
    settings = ServiceSettings(max_instances=dict.fromkeys(SERVICE_US, 1))
    return ThroughputProblem(models, platform_of({"cpu": cores}), streams, service=settings)


@pytest.mark.parametrize("method", ["cp_sat", "brute_force", "greedy"])
def test_no_assignment_to_cores_does_better_than_what_is_called_optimal(method: str) -> None:
    """A slow model beside two quick ones: which of them share a core decides by how much the mix can grow."""
    problem = one_instance_each(2)
    solution = solve(problem, method, time_limit_s=10)
    assert solution.plan is not None
    assert solution.objective is not None
    data = solution.plan.model_dump(mode="json")
    for cores in product((0, 1), repeat=3):
        for factor in (0.98 * -solution.objective, 1.02 * -solution.objective):
            for service, core in zip(data["services"], cores, strict=True):
                (instance,) = service["instances"]
                instance["segments"][0]["cores"] = [core]
                instance["rate_hz"] = service["rate_hz"] = factor * WANTED[service["model"]][0]
            feasible = evaluate_service(problem, ServicePlan.model_validate(data)).feasible
            if factor > -solution.objective:
                assert not feasible
