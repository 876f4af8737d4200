"""A small problem, a plan for it, and a run record, all synthetic and seeded."""

from itertools import pairwise

import numpy as np
import pytest
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
