"""Problems and plans at the edges of what a report has to show: synthetic, but real to the evaluator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from edgeplan.formulation import (
    Configuration,
    CostTable,
    Evaluation,
    Gang,
    LayerGraph,
    Limits,
    Link,
    Memory,
    Model,
    ModelPlan,
    Plan,
    PlannedSegment,
    Platform,
    Poisson,
    Problem,
    Processor,
    SolverStamp,
    Stream,
    evaluate,
)
from edgeplan.interface.report import Contents, Front, FrontSeries, ScoredPlan
from edgeplan.interface.report.forecast import forecast, schedule

MIB = 2**20
ONE = Configuration(backend="onnxruntime-cpu", threads=1, form="mapped")
TWO = Configuration(backend="onnxruntime-cpu", threads=2, form="mapped")
FAST = Configuration(backend="accelerator", processor="npu")
LONG_NAME = "a_model_whose_name_nobody_should_ever_have_given_it_but_somebody_did_" + "w" * 60


def model(name: str, layer_us: float = 1500.0, n_layers: int = 6) -> Model:
    """A chain with weights, and tensors that are needed only while a segment runs."""
    layers = [(f"conv{i}", "Conv", 2 * MIB, 3 * MIB) for i in range(n_layers)]
    costs = CostTable.create(
        (ONE, TWO, FAST),
        np.column_stack([np.full(n_layers, layer_us * share) for share in (1.0, 0.6, 0.2)]),
        fixed_us=[50.0, 60.0, 200.0],
        session_bytes=MIB,
        holds_workspace=False,
    )
    return Model(name, LayerGraph.chain(name, layers, MIB), costs)


def platform(cores: int) -> Platform:
    """Cores of a CPU and an accelerator with a memory of its own."""
    return Platform(
        name="board",
        processors=(
            Processor(name="cpu", cores=tuple(range(cores)), memory="ram"),
            Processor(name="npu", kind="npu", cores=(100,), memory="npu memory"),
        ),
        memories=(Memory(name="ram", capacity_bytes=2048 * MIB), Memory(name="npu memory", capacity_bytes=64 * MIB)),
        links=(
            Link(source="ram", target="npu memory", fixed_us=50, bytes_per_us=4000),
            Link(source="npu memory", target="ram", fixed_us=50, bytes_per_us=4000),
        ),
    )


def problem(names: list[str], cores: int, rate_hz: float = 20.0, streams: bool = True, **limits: object) -> Problem:
    """Models with these names, all asked at random."""
    asked = tuple(Stream(model=name, arrival=Poisson(rate_hz=rate_hz), deadline_us=40_000) for name in names)
    return Problem(
        tuple(model(name, 800.0 + 150 * k) for k, name in enumerate(names)),
        platform(cores),
        asked if streams else (),
        Limits.model_validate(limits),
        "response" if streams else "latency",
    )


def plan(of: Problem) -> Plan:
    """The first model partly on the accelerator, every other cut in two; gangs where there are cores."""
    cpu = of.platform.processors[0].cores
    gangs = (Gang(configuration=TWO, cores=cpu[:2]),) if len(cpu) > 1 else ()
    parts = []
    for k, one in enumerate(of.models):
        n = one.graph.n_layers
        first = (
            PlannedSegment(start=0, stop=n // 2, configuration=FAST, cores=(100,))
            if k == 0
            else PlannedSegment(start=0, stop=n // 2, configuration=ONE, cores=cpu, gangs=gangs)
        )
        rest = PlannedSegment(start=n // 2, stop=n, configuration=ONE, cores=cpu)
        parts.append(ModelPlan(model=one.name, sha256=one.sha256, segments=(first, rest)))
    return Plan(models=tuple(parts), solver=SolverStamp(method="hand", status="feasible", gap=0.05, seed=3))


def contents(of: Problem, made: Plan, requests: int = 2000, **changes: object) -> Contents:
    """All that can be told of a plan without a run."""
    evaluation = evaluate(of, made)
    runs = bool(evaluation.models)
    return replace(
        Contents(
            title=f"{len(of.models)} models",
            created="2026-01-01 12:00",
            planned=ScoredPlan(of, made, evaluation),
            fronts=tuple(_front(one.name, evaluation) for one in of.models) if runs else (),
            forecast=forecast(of, made, requests) if runs else None,
            schedule=schedule(of, made, evaluation) if runs else None,
            provenance={"processor": "some </script> processor", "seed": "7"},
        ),
        **changes,
    )


def _front(name: str, evaluation: Evaluation) -> Front:
    chosen = (evaluation.models[name].latency_us, 30e6)
    exact = FrontSeries("dynamic_program", tuple((4000.0 + 400 * k, 64e6 / (1 + k)) for k in range(8)), is_exact=True)
    return Front(name, (exact, FrontSeries("nsga2", ((4300.0, 66e6), (6500.0, 20e6)))), chosen)


def broken(made: Plan) -> Plan:
    """A plan that leaves out layers of its last model."""
    last = made.models[-1]
    return made.model_copy(
        update={"models": (*made.models[:-1], last.model_copy(update={"segments": last.segments[1:]}))}
    )
