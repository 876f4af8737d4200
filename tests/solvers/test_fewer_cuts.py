"""Cuts that hardly pay are given up, those that pay stay, and nothing is ever broken by it."""

from __future__ import annotations

import pytest
from edgeplan.formulation import (
    Configuration,
    CostTable,
    LayerGraph,
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
from edgeplan.solvers.fewer_cuts import SLACK, with_fewer_cuts
from hypothesis import given, settings
from hypothesis import strategies as st

ONE, OTHER = Configuration(backend="a"), Configuration(backend="b")


def model(name: str, times: list[list[float]], fixed_us: float = 0.0) -> Model:
    graph = LayerGraph.chain(name, [(f"{name}{i}", "Op", 10, 10) for i in range(len(times))], 10)
    return Model(name, graph, CostTable.create([ONE, OTHER], times, fixed_us=fixed_us))


def problem(*models: Model, deadlines_us: tuple[float, ...]) -> Problem:
    platform = Platform(
        name="p",
        processors=(Processor(name="cpu", cores=(0, 1), memory="host"),),
        memories=(Memory(name="host", capacity_bytes=10**6),),
    )
    streams = tuple(
        Stream(model=m.name, arrival=Poisson(rate_hz=1.0), deadline_us=d)
        for m, d in zip(models, deadlines_us, strict=True)
    )
    return Problem(models, platform, streams)


def cut_everywhere(asked: Problem) -> Plan:
    """Every layer by itself under its faster configuration."""
    parts = []
    for m in asked.models:
        best = m.costs.layer_us.argmin(axis=1)
        segments = tuple(
            PlannedSegment(start=i, stop=i + 1, configuration=m.costs.configurations[c], cores=(0, 1))
            for i, c in enumerate(best)
        )
        parts.append(ModelPlan(model=m.name, sha256=m.sha256, segments=segments))
    return Plan(models=tuple(parts), solver=SolverStamp(method="hand", status="feasible"))


def joined(asked: Problem) -> Plan:
    plan = cut_everywhere(asked)
    return with_fewer_cuts(asked, plan, evaluate(asked, plan))[0]


def test_cuts_that_gain_microseconds_are_given_up() -> None:
    asked = problem(model("m", [[1000.0, 1001.0], [1001.0, 1000.0], [1000.0, 1001.0]]), deadlines_us=(1e6,))
    (segment,) = joined(asked).models[0].segments
    assert (segment.start, segment.stop, segment.configuration) == (0, 3, ONE)


def test_a_cut_to_a_faster_backend_stays() -> None:
    asked = problem(model("m", [[1000.0, 2000.0], [2000.0, 1000.0]]), deadlines_us=(1e6,))
    assert [s.configuration for s in joined(asked).models[0].segments] == [ONE, OTHER]


def test_a_cut_that_lets_the_urgent_pass_stays() -> None:
    urgent, long = model("urgent", [[100.0, 100.0]]), model("long", [[5000.0, 5000.0]] * 3)
    parts = joined(problem(urgent, long, deadlines_us=(1e4, 1e6))).models
    assert [len(part.segments) for part in parts] == [1, 3]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=5),
    st.integers(0, 20),
)
def test_the_slack_is_kept_and_no_layer_is_lost(
    first: list[tuple[int, int]], second: list[tuple[int, int]], fixed_us: int
) -> None:
    models = [
        model(name, [[float(us) for us in row] for row in rows], float(fixed_us))
        for name, rows in (("a", first), ("b", second))
    ]
    asked = problem(*models, deadlines_us=(100.0, 1000.0))
    before = evaluate(asked, cut_everywhere(asked))
    plan = joined(asked)
    after = evaluate(asked, plan)
    assert after.objective <= before.objective * (1 + SLACK) * (1 + 1e-12)
    assert len(after.violations) <= len(before.violations)
    for part, m in zip(plan.models, models, strict=True):
        assert [i for s in part.segments for i in range(s.start, s.stop)] == list(range(m.graph.n_layers))


def test_nothing_to_join_leaves_the_plan_itself() -> None:
    asked = problem(model("m", [[10.0, 20.0]]), deadlines_us=(1e6,))
    plan = cut_everywhere(asked)
    assert with_fewer_cuts(asked, plan, evaluate(asked, plan))[0] is plan
    assert evaluate(asked, plan).objective == pytest.approx(10.0)
