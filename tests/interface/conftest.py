"""A small problem, a plan for it, and a run record, all synthetic and seeded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from edgeplan.formulation import (
    Configuration,
    CostTable,
    LayerGraph,
    Limits,
    Memory,
    Model,
    ModelPlan,
    Periodic,
    Plan,
    PlannedSegment,
    Platform,
    Poisson,
    Problem,
    Processor,
    SolverStamp,
    Stream,
    evaluate,
    simulate,
)
from edgeplan.interface.run_record import Decision, Request, RunRecord, SegmentPrediction, SegmentRun, Setup
from edgeplan.profiles import ModelProfile, PredictionError, Profile, ProfileSettings, machine_fingerprint
from edgeplan.profiles.profile import CostData

from . import browsing

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ORT = Configuration(backend="onnxruntime-cpu", threads=1, form="mapped")
VINO = Configuration(backend="openvino-cpu", threads=1)
MIB = 2**20


def _model(name: str, n_layers: int, layer_us: float) -> Model:
    graph = LayerGraph.chain(name, [(f"conv{i}", "Conv", MIB, MIB // 4) for i in range(n_layers)], MIB // 4)
    costs = CostTable.create(
        (ORT, VINO),
        np.column_stack([np.full(n_layers, layer_us), np.full(n_layers, 1.1 * layer_us)]),
        fixed_us=[100.0, 120.0],
        session_bytes=2 * MIB,
    )
    return Model(name, graph, costs)


@pytest.fixture(scope="session")
def problem() -> Problem:
    return Problem(
        (_model("small", 4, 2000.0), _model("large", 8, 5000.0)),
        Platform(
            name="two cores",
            processors=(Processor(name="cpu", cores=(0, 1), memory="ram"),),
            memories=(Memory(name="ram", capacity_bytes=512 * MIB),),
        ),
        (
            Stream(model="small", arrival=Periodic(period_us=50_000), deadline_us=40_000),
            Stream(model="large", arrival=Poisson(rate_hz=8), deadline_us=120_000),
        ),
        Limits(memory_bytes={"ram": 128 * MIB}),
    )


@pytest.fixture(scope="session")
def plan(problem: Problem) -> Plan:
    def cut(model: Model, *positions: int) -> ModelPlan:
        segments = tuple(
            PlannedSegment(start=a, stop=b, configuration=ORT, cores=(0, 1)) for a, b in pairwise(positions)
        )
        return ModelPlan(model=model.name, sha256=model.sha256, segments=segments)

    small, large = problem.models
    stamp = SolverStamp(method="hand", status="feasible", gap=0.05)
    made = Plan(models=(cut(small, 0, 4), cut(large, 0, 3, 6, 8)), solver=stamp)
    assert evaluate(problem, made).feasible
    return made


@pytest.fixture(scope="session")
def run_record(problem: Problem, plan: Plan) -> RunRecord:
    rng = np.random.default_rng(7)
    return RunRecord(
        scenario="two models",
        seed=7,
        setups=(
            _setup(problem, plan, "default sessions", "baseline", 2.5, rng),
            _setup(problem, plan, "one thread a model", "baseline", 1.3, rng),
            _setup(problem, plan, "the plan", "plan", 1.0, rng),
            _setup(problem, plan, "the rate of small doubles", "drift", 1.8, rng),
        ),
        predictions=tuple(
            SegmentPrediction(
                model=name,
                start=s.planned.start,
                stop=s.planned.stop,
                configuration=s.planned.configuration.name,
                predicted_us=s.latency_us,
                observed_us=s.latency_us * float(rng.normal(1, 0.05)),
                runs=50,
                held_out=s.planned.start > 0,
            )
            for name, scored in evaluate(problem, plan).models.items()
            for s in scored.segments
        ),
    )


def _setup(problem: Problem, plan: Plan, name: str, role, slowdown: float, rng: np.random.Generator) -> Setup:
    requests = []
    for model, simulated in simulate(problem, plan, 20e6, seed=7).items():
        for arrival_us, response_us in zip(simulated.arrival_us, simulated.response_us, strict=True):
            response_us = float(response_us * slowdown * rng.lognormal(0, 0.15))
            finish_us = float(arrival_us + response_us)
            requests.append(
                Request(
                    model=model,
                    arrival_us=float(arrival_us),
                    deadline_us=float(simulated.deadline_us),
                    response_us=response_us,
                    segments=(SegmentRun(0, (int(rng.integers(2)),), float(arrival_us), finish_us),),
                )
            )
    drifts = (
        Decision(at_us=6e6, action="drift", reason="small is asked 40 times a second, planned for 20"),
        Decision(at_us=6.3e6, action="swapped", reason="objective 112 ms to 74 ms; no request lost"),
    )
    return Setup(
        name=name,
        description=f"settings of {name}",
        role=role,
        duration_s=20,
        requests=tuple(requests),
        peak_memory_bytes=int(150 * MIB * slowdown),
        decisions=drifts if role == "drift" else (),
    )


@pytest.fixture(scope="session")
def profile(problem: Problem) -> Profile:
    """A profile file's contents for the problem's models, as if it had been measured on its platform."""
    return Profile(
        models=tuple(
            ModelProfile(
                name=model.name,
                file=f"{model.name}.onnx",
                sha256=model.sha256,
                graph=model.graph.to_dict(),
                cuts=model.cuts.positions,
                costs=CostData.of(model.costs),
                errors=tuple(
                    PredictionError(fit_mape=0.01, held_out_mape=0.03, fit_segments=9, held_out_segments=4)
                    for _ in model.costs.configurations
                ),
            )
            for model in problem.models
        ),
        platform=problem.platform,
        fingerprint=machine_fingerprint(),
        settings=ProfileSettings(),
        created="2026-01-01T12:00:00Z",
        absent={"openvino-cpu": "not installed"},
    )


@dataclass(frozen=True)
class Files:
    """Files of a small project; `scenario` writes variants beside them."""

    folder: Path
    profile: Path
    plan: Path
    run: Path

    def scenario(self, **changes: object) -> Path:
        data = {
            "schema_version": 1,
            "name": "two models",
            "profile": "profile.json",
            "models": [{"name": "small"}, {"name": "large"}],
            "streams": [
                {"model": "small", "arrival": {"kind": "periodic", "period_us": 50000}, "deadline_us": 40000},
                {"model": "large", "arrival": {"kind": "poisson", "rate_hz": 8}, "deadline_us": 120000},
            ],
            "limits": {"memory_bytes": {"ram": "128 MiB"}},
        }
        path = self.folder / "scenario.yaml"
        path.write_text(yaml.safe_dump(data | changes))
        return path


@pytest.fixture
def files(tmp_path: Path, profile: Profile, plan: Plan, run_record: RunRecord) -> Files:
    made = Files(tmp_path, tmp_path / "profile.json", tmp_path / "plan.json", tmp_path / "run.json")
    profile.save(made.profile)
    plan.save(made.plan)
    run_record.save(made.run)
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for all tests of a module."""
    pytest.importorskip("playwright", reason="a browser is driven through playwright")
    with browsing.opened() as browser:
        yield browser
