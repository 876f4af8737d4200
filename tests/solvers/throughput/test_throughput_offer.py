"""What the search chooses from: nothing that could be best is left out, and models that nothing runs are refused."""

import numpy as np
import pytest
from edgeplan.formulation import (
    Activity,
    Configuration,
    ContentionModel,
    CostError,
    CostTable,
    LayerGraph,
    Model,
    Poisson,
    Provenance,
    Stream,
)
from edgeplan.formulation.throughput import ServiceSettings, ThroughputProblem
from edgeplan.solvers import available_methods, solve
from edgeplan.solvers.throughput.testing import platform_of


def one_model(
    configurations: list[Configuration], layer_us: list[list[float]], contention: ContentionModel | None = None
) -> ThroughputProblem:
    """A chain with a row of times for each layer, on four cores and a device."""
    graph = LayerGraph.chain("m", [(f"layer{k}", "Conv", 2**20, 1000) for k in range(len(layer_us))], 1000)
    table = CostTable.create(
        configurations, np.array(layer_us), session_bytes=1e6, provenance=Provenance(kind="synthetic")
    )
    return ThroughputProblem(
        (Model("m", graph, table),),
        platform_of({"cpu": 4, "gpu": 1}),
        (Stream(model="m", arrival=Poisson(rate_hz=1)),),
        contention=contention or ContentionModel(),
    )


def on(processor: str, backend: str = "any") -> Configuration:
    return Configuration(processor=processor, backend=backend)


def test_what_is_slower_alone_is_kept_where_it_is_faster_in_company() -> None:
    quick, quiet = on("cpu", "quick"), on("cpu", "quiet")
    noisy = Activity(model="m", configuration=quick.name, sensitivity=1, pressure=1)
    problem = one_model([quick, quiet], [[10_000, 10_100]], ContentionModel(activities=(noisy,)))
    for method in ("cp_sat", "greedy", "brute_force"):
        found = solve(problem, method, time_limit_s=10)
        assert found.evaluation is not None
        assert found.evaluation.value == pytest.approx(4 * 0.9 / 10.1e-3, rel=1e-3)


def test_of_cuts_that_are_equally_good_one_is_kept() -> None:
    # The layer in the middle takes no time, so that a cut before it is as good as one after it.
    problem = one_model([on("cpu"), on("gpu")], [[1000, np.nan], [0, 0], [np.nan, 1000]])
    found = solve(problem, time_limit_s=10)
    assert found.evaluation is not None
    assert found.evaluation.value == pytest.approx(0.9 / 1e-3, rel=1e-3)


@pytest.mark.parametrize("method", available_methods(ThroughputProblem))
def test_a_model_that_no_instance_can_run_is_refused(method: str) -> None:
    problem = one_model([on("cpu"), on("gpu")], [[1000, np.nan], [np.nan, 1000]])
    whole = problem.replace(service=ServiceSettings(max_stages=1))
    with pytest.raises(CostError, match=r"'m'.*max_stages: 2"):
        solve(whole, method)
