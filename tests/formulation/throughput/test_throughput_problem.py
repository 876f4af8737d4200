"""Bad input is refused where the problem is built, with what is wrong and what to do."""

from typing import Any

import pytest
from edgeplan.formulation import CostError, PlatformError, Poisson, Scenario, ScenarioError, Stream, WorkloadError
from edgeplan.formulation.throughput import ServiceSettings, ThroughputProblem
from edgeplan.solvers.throughput.testing import model_of, platform_of
from pydantic import ValidationError

MODEL = model_of("a", {("cpu", 1, 1): 5000, ("cpu", 1, 8): 20000})
STREAM = Stream(model="a", arrival=Poisson(rate_hz=1))


def problem(stream: Stream = STREAM, **service: Any) -> ThroughputProblem:
    return ThroughputProblem((MODEL,), platform_of({"cpu": 2}), (stream,), service=ServiceSettings(**service))


@pytest.mark.parametrize(
    ("service", "kind", "says"),
    [
        ({"batches": {"a": (1, 4)}}, CostError, "sizes that its costs hold: 1, 8, got 4"),
        (
            {"fixed_batch": {"a": 1}, "batches": {"a": (1, 8)}},
            CostError,
            "1, the fixed batch dimension of its graph, got 8",
        ),
        ({"fixed_batch": {"a": 2}}, CostError, "sizes that its costs hold"),
        ({"max_instances": {"a": 3}}, PlatformError, "at most 2, one a core"),
        ({"min_rate_hz": {"z": 1}}, WorkloadError, "models named a"),
        ({"core_price": {"z": 1}}, PlatformError, "processors named cpu"),
    ],
)
def test_settings_that_do_not_fit(service: dict[str, Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        problem(**service)


def test_a_percentile_that_no_plan_can_hold() -> None:
    certain = Stream(model="a", arrival=Poisson(rate_hz=1), deadline_us=1e6, percentile=1.0)
    with pytest.raises(WorkloadError, match="which no plan can hold"):
        problem(certain)


def test_every_model_has_a_stream() -> None:
    with pytest.raises(WorkloadError, match="one for each of the models"):
        ThroughputProblem((MODEL,), platform_of({"cpu": 2}), ())


def test_costs_for_another_platform() -> None:
    with pytest.raises(CostError, match="Profile the model on this platform"):
        ThroughputProblem((MODEL,), platform_of({"gpu": 2}), (STREAM,))


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_zero_rates(rate: float, tmp_path: Any) -> None:
    with pytest.raises(ValidationError):
        Poisson(rate_hz=rate)
    with pytest.raises(ValidationError):
        ServiceSettings(min_rate_hz={"a": rate})
    file = tmp_path / "scenario.yaml"
    file.write_text(
        "{schema_version: 1, name: x, models: [{name: a}], "
        f"streams: [{{model: a, arrival: {{kind: poisson, rate_hz: {rate}}}}}]}}"
    )
    with pytest.raises(ScenarioError, match=r"streams\.0\.arrival"):
        Scenario.load(file)


def test_a_fixed_batch_dimension_leaves_that_batch_only() -> None:
    fixed = problem(fixed_batch={"a": 8})
    assert [MODEL.costs.configurations[k].batch for k in fixed.usable[0]] == [8]
