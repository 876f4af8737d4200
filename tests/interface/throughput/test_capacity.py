"""`edgeplan capacity`: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from edgeplan.formulation import Activity, ContentionModel, ServicePlan
from edgeplan.interface.cli import app
from edgeplan.interface.exits import ExitCode
from edgeplan.interface.throughput import covering, load_throughput
from edgeplan.profiles import ModelProfile, Profile, ProfileSettings, machine_fingerprint
from edgeplan.profiles.profile import CostData
from edgeplan.solvers.throughput.testing import model_of, platform_of
from typer.testing import CliRunner

MODELS = (
    model_of("detector", {("cpu", 1, 1): 40_000, ("gpu", 1, 1): 6_000, ("gpu", 1, 8): 18_000}, weight_mib=30),
    model_of("classifier", {("cpu", 1, 1): 9_000, ("gpu", 1, 1): 2_500}, weight_mib=12),
)
STREAMS = [
    {"model": "detector", "arrival": {"kind": "poisson", "rate_hz": 20}, "deadline_us": 200_000},
    {"model": "classifier", "arrival": {"kind": "periodic", "period_us": 20_000}, "deadline_us": 100_000},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Profile(
        models=tuple(
            ModelProfile(
                name=m.name,
                file=f"{m.name}.onnx",
                sha256=m.sha256,
                graph=m.graph.to_dict(),
                cuts=m.cuts.positions,
                costs=CostData.of(m.costs),
            )
            for m in MODELS
        ),
        platform=platform_of({"cpu": 2, "gpu": 1}, {"cpu": 400, "gpu": 100}),
        fingerprint=machine_fingerprint(),
        settings=ProfileSettings(),
        created="2026-01-01T12:00:00Z",
    ).save(tmp_path / "profile.json")
    return tmp_path


def scenario(folder: Path, **changes: object) -> Path:
    data = {
        "schema_version": 1,
        "name": "two cameras",
        "models": [{"name": m.name} for m in MODELS],
        "streams": STREAMS,
    }
    # A small search that ends by itself.
    service = {"max_stages": 1, "windows": [0.2], **changes.pop("service", {})}
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(data | {"service": service} | changes))
    return path


def capacity(path: Path, *options: object) -> Any:
    arguments = ["capacity", path, "--profile", path.parent / "profile.json", "--time-limit", 30, *options]
    return CliRunner().invoke(app, [str(a) for a in arguments])


def answer(path: Path, *options: object, code: int = 0) -> dict[str, Any]:
    result = capacity(path, *options, "--format", "json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_the_answer_names_rates_and_what_limits_them(folder: Path) -> None:
    output = folder / "service.json"
    found = answer(scenario(folder), "-o", output, "--method", "greedy")
    assert found["value"] > 1
    rates = {name: m["rate_hz"] for name, m in found["models"].items()}
    assert rates["classifier"] == pytest.approx(50 / 20 * rates["detector"])
    assert found["total_rate_hz"] == pytest.approx(sum(rates.values()))
    for m in found["models"].values():
        assert m["percentile_us"] <= m["deadline_us"] * (1 + 1e-6)
    assert found["models"]["classifier"]["percentile"] == 0.99
    gains = [limit["gain"] for limit in found["limits"]]
    assert gains == sorted(gains, reverse=True)
    assert found["limits"][0]["binds"]
    assert {limit["kind"] for limit in found["limits"]} == {"cores", "memory", "response"}
    plan = ServicePlan.load(output)
    assert {s.model for s in plan.services} == {"detector", "classifier"}
    assert plan.solver.gap == pytest.approx(found["gap"])


def test_people_read_tables_and_a_verdict(folder: Path) -> None:
    result = capacity(scenario(folder), "--method", "greedy")
    assert result.exit_code == ExitCode.DONE
    for words in ("Capacity", "What is used", "What limits it", "times the mix", "Limited by"):
        assert words in result.stdout


@pytest.mark.parametrize("objective", ["throughput", "fair", "cost"])
def test_other_objectives(folder: Path, objective: str) -> None:
    path = scenario(folder, service={"core_price": {"cpu": 1, "gpu": 5}})
    found = answer(path, "--objective", objective, "--no-limits", "--method", "greedy")
    assert found["goal"] == objective
    assert found["limits"] == []
    assert found["value"] > 0


def test_contention_costs_capacity(folder: Path) -> None:
    activities = [
        Activity(model=m.name, configuration=c.name, processor="cpu", sensitivity=1, pressure=0.5)
        for m in MODELS
        for c in m.costs.configurations
        if c.processor == "cpu"
    ]
    file = folder / "contention.json"
    file.write_text(ContentionModel(activities=tuple(activities)).model_dump_json())
    path = scenario(folder)
    alone = answer(path, "--no-limits", "--method", "greedy")
    beside = answer(path, "--no-limits", "--method", "greedy", "--contention", file)
    assert beside["value"] < alone["value"]
    assert beside["largest_slowdown"] >= 1.0
    file.write_text("{")
    assert answer(path, "--contention", file, code=2)["error"]["kind"] == "CostError"


def test_what_contention_was_not_measured_for_takes_after_what_it_was_measured_for(folder: Path) -> None:
    path, file = scenario(folder), folder / "contention.json"
    batched = model_of("detector", {("gpu", 1, 1): 6_000, ("gpu", 1, 4): 12_000, ("gpu", 1, 8): 18_000})
    names = [c.name for c in batched.costs.configurations]
    gentle, rough = (
        Activity(model="detector", configuration=names[k], processor="gpu", sensitivity=k, pressure=k) for k in (0, 1)
    )
    whole = covering(ContentionModel(activities=(gentle, rough)), (batched,), "file")
    assert whole.activity("detector", names[2], "gpu").pressure == 1  # a batch of 8 is nearer to 4 than to 1
    # Nothing is known of the classifier: its name there may be another.
    file.write_text(ContentionModel(activities=(gentle,)).model_dump_json())
    result = capacity(path, "--contention", file)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "contention.json" in result.stderr
    assert "'classifier'" in result.stderr


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"limits": {"memory_bytes": {"cpu memory": "1 MiB", "gpu memory": "1 MiB"}}}, "memory"),
        ({"streams": [STREAMS[0] | {"deadline_us": 1000}, STREAMS[1]]}, "response"),
    ],
)
def test_limits_that_clash_end_with_their_exit_code(folder: Path, changes: dict[str, Any], named: str) -> None:
    path = scenario(folder, **changes)
    found = answer(path, code=ExitCode.INFEASIBLE)
    assert found["status"] == "infeasible"
    assert {clash["kind"] for clash in found["clashes"]} == {named}
    assert "Infeasible" in capacity(path).stdout


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"service": {"batches": {"classifier": [4]}}}, "sizes that its costs hold"),
        ({"service": {"fixed_batch": {"detector": 1}, "batches": {"detector": [8]}}}, "fixed batch dimension"),
        ({"service": {"max_instances": {"detector": 4}}}, "at most 3, one a core"),
        ({"streams": [STREAMS[0] | {"arrival": {"kind": "poisson", "rate_hz": 0}}, STREAMS[1]]}, "rate_hz"),
        ({"streams": [STREAMS[0] | {"percentile": 1}, STREAMS[1]]}, "no plan can hold"),
        ({"service": {"windows": []}}, "windows"),
        ({"service": {"colour": "red"}}, "colour"),
    ],
)
def test_bad_input_is_refused(folder: Path, changes: dict[str, Any], says: str) -> None:
    result = capacity(scenario(folder, **changes))
    assert result.exit_code == ExitCode.BAD_INPUT
    assert says in result.stderr


def test_a_file_with_a_fixed_batch_dimension_is_noticed(folder: Path) -> None:
    from onnx import TensorProto, helper, save

    value = helper.make_tensor_value_info
    shapes = [1, 3]
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph(
        [node], "g", [value("x", TensorProto.FLOAT, shapes)], [value("y", TensorProto.FLOAT, shapes)]
    )
    save(helper.make_model(graph), str(folder / "detector.onnx"))
    path = scenario(folder, models=[{"name": "detector", "path": "detector.onnx"}, {"name": "classifier"}])
    problem = load_throughput(path, folder / "profile.json", None)
    assert problem.service.fixed_batch == {"detector": 1}
    found = answer(path, "--method", "greedy")
    assert "batch" in {limit["kind"] for limit in found["limits"]}
