"""Conditions on plans: the grammar reads back what it writes, and verdicts are those of the figures themselves."""

from __future__ import annotations

import math

import pytest
from edgeplan.formulation import Plan, Problem, evaluate, simulate
from edgeplan.interface.conditions import (
    ANY,
    Condition,
    ConditionError,
    any_failed,
    outcomes,
    parse_condition,
    parsed_conditions,
)
from edgeplan.interface.figures import FIGURES, AssessedPlan, Simulation
from hypothesis import given
from hypothesis import strategies as st

MIB = 2**20
PLAYED = Simulation(requests=2000, seed=3)
UNITS = {
    "time": ["", "us", "µs", "ms", "s"],
    "bytes": ["", "B", "KiB", "MiB", "GB"],
    "share": ["", "%"],
}

# Names of models and memories as people choose them: dots, dashes, slashes and spaces within, but no operator.
NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.\-/ ]{0,12}[A-Za-z0-9_]", fullmatch=True).filter(
    lambda name: not name.startswith(("delta.", "memory")) and name.rpartition(".")[2] not in FIGURES
)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    figure = draw(st.sampled_from(list(FIGURES.values())))
    delta = draw(st.booleans())
    number = draw(st.floats(0, 1e12))
    return Condition(
        figure,
        "" if figure.whose == "plan" else draw(st.one_of(st.just(ANY), NAMES)),
        draw(st.sampled_from([">", ">=", "<", "<="])),
        -number if delta and draw(st.booleans()) else number,
        draw(st.sampled_from([*UNITS[figure.unit], *(["%"] if delta else [])])),
        delta,
    )


@given(conditions())
def test_what_is_written_reads_back(condition: Condition) -> None:
    assert parse_condition(str(condition)) == condition


@pytest.mark.parametrize(
    ("text", "figure", "subject", "limit"),
    [
        ("p99_us>20000", "p99_us", ANY, 20_000),
        ("*.p99_us > 20ms", "p99_us", ANY, 20_000),
        ("camera.latency_us>=1.5 s", "latency_us", "camera", 1_500_000),
        ("net-v1.2/a.response_us<3e2µs", "response_us", "net-v1.2/a", 300),
        ("memory.p99_us>1", "p99_us", "memory", 1),
        ("miss_ratio>0.01", "miss_ratio", ANY, 0.01),
        ("camera.miss_ratio>1%", "miss_ratio", "camera", 0.01),
        ("memory>1GiB", "memory", ANY, 2**30),
        ("memory.ram>200MiB", "memory", "ram", 200 * MIB),
        ("memory.on.chip<=8 mb", "memory", "on.chip", 8e6),
        ("gap>5%", "gap", "", 0.05),
        ("objective>.5", "objective", "", 0.5),
        ("utilisation>0.8", "utilisation", "", 0.8),
    ],
)
def test_meaning(text: str, figure: str, subject: str, limit: float) -> None:
    condition = parse_condition(text)
    assert (condition.figure.name, condition.subject, condition.delta) == (figure, subject, False)
    assert condition.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("text", "relative", "limit"),
    [
        ("delta.p99_us>5%", True, 0.05),
        ("delta.camera.p99_us>-2ms", False, -2000),
        ("delta.miss_ratio>1%", True, 0.01),
        ("delta.miss_ratio>0.01", False, 0.01),
        ("delta.memory.ram>10%", True, 0.1),
    ],
)
def test_per_cent_of_a_difference_are_of_the_old_figure(text: str, relative: bool, limit: float) -> None:
    condition = parse_condition(text)
    assert condition.delta
    assert condition.is_relative == relative
    assert condition.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p99_us",
        "p99_us>",
        ">20ms",
        "p99_us=20ms",
        "p99_us==20ms",
        "p99_us>>20ms",
        "p99_us>20ms>30ms",
        "p99_us>twenty",
        "p99_us>nan",
        "p99_us>inf",
        "p99_us>1e999",
        "p99_us>-1",
        "p99_us>20MiB",
        "p99_us>20%",
        "memory.ram>20ms",
        "memory.ram>20 parsecs",
        "miss_ratio>20ms",
        "p98_us>20ms",
        "camera.gap>1%",
        "camera.memory>1",
        "nobody.p99_us>20ms",
        "memory.rom>1",
        "__import__('os')>1",
        "delta.p99_us>5%",
    ],
)
def test_what_is_no_condition_is_refused_with_the_figures_there_are(text: str, problem: Problem) -> None:
    with pytest.raises(ConditionError) as caught:
        parsed_conditions([text], problem)
    message = str(caught.value)
    assert repr(text) in message
    assert caught.value.remedy


def test_a_bad_expression_is_answered_with_figures_and_models(problem: Problem) -> None:
    with pytest.raises(ConditionError, match=r"p99_us.*gap.*small, large"):
        parsed_conditions(["p98_us>1"], problem)
    with pytest.raises(ConditionError, match=r"small, large.*p99_us"):
        parsed_conditions(["nobody.p99_us>1"], problem)


def test_a_model_without_a_stream_has_nothing_simulated(problem: Problem) -> None:
    silent = problem.replace(streams=problem.streams[:1], objective="latency")
    assert parsed_conditions(["large.latency_us>1", "p99_us>1"], silent)
    with pytest.raises(ConditionError, match="with a stream"):
        parsed_conditions(["large.p99_us>1"], silent)
    with pytest.raises(ConditionError, match="has none"):
        parsed_conditions(["p99_us>1"], problem.replace(streams=(), objective="latency"))


def test_figures_are_those_of_evaluator_and_simulator(problem: Problem, plan: Plan) -> None:
    assessed = AssessedPlan.of(problem, plan, PLAYED)
    evaluation = evaluate(problem, plan)
    played = simulate(problem, plan, PLAYED.duration_us(problem), PLAYED.seed)
    for name, model in evaluation.models.items():
        for figure in ("latency_us", "blocking_us", "interference_us", "response_us"):
            assert assessed.estimate(FIGURES[figure], name).value == getattr(model, figure)
        for figure, share in (("p50_us", 0.5), ("p90_us", 0.9), ("p95_us", 0.95), ("p99_us", 0.99)):
            assert assessed.estimate(FIGURES[figure], name).value == played[name].percentile_us(share)
        assert assessed.estimate(FIGURES["miss_ratio"], name).value == played[name].miss_ratio
        assert assessed.estimate(FIGURES["mean_us"], name).value == pytest.approx(played[name].response_us.mean())
    assert assessed.estimate(FIGURES["memory"], "ram").value == evaluation.memory_bytes["ram"]
    assert assessed.estimate(FIGURES["objective"], "").value == evaluation.objective
    assert assessed.estimate(FIGURES["utilisation"], "").value == max(evaluation.utilisation.values())


@given(threshold=st.floats(0, 200_000), operator=st.sampled_from([">", ">=", "<", "<="]))
def test_a_condition_fails_exactly_where_it_holds(
    problem: Problem, plan: Plan, threshold: float, operator: str
) -> None:
    latency_us = {name: model.latency_us for name, model in evaluate(problem, plan).models.items()}
    (condition,) = parsed_conditions([f"latency_us{operator}{threshold!r}"], problem)
    found = outcomes([condition], AssessedPlan.of(problem, plan, Simulation(20, 0)))
    assert {outcome.subject: outcome.verdict == "failed" for outcome in found} == {
        name: eval(f"{value!r} {operator} {threshold!r}") for name, value in latency_us.items()
    }


def test_a_gap_counts_only_for_the_problem_it_was_proven_of(problem: Problem, plan: Plan) -> None:
    objective = evaluate(problem, plan).objective
    conditions = parsed_conditions(["gap>10%"], problem)

    def verdict(**stamp: float | None) -> str:
        stamped = plan.model_copy(update={"solver": plan.solver.model_copy(update=stamp)})
        (outcome,) = outcomes(conditions, AssessedPlan.of(problem, stamped, PLAYED))
        return outcome.verdict

    assert verdict(objective=objective, gap=0.05) == "passed"
    assert verdict(objective=objective, gap=0.2) == "failed"
    assert verdict(objective=objective, gap=None) == "failed"
    assert verdict(objective=2 * objective, gap=0.05) == "failed"


def test_what_is_not_known_does_not_pass(problem: Problem, plan: Plan) -> None:
    broken = plan.models[1].model_copy(update={"segments": plan.models[1].segments[1:]})
    assessed = AssessedPlan.of(problem, plan.model_copy(update={"models": (plan.models[0], broken)}), PLAYED)
    conditions = parsed_conditions(["p99_us>1000s", "memory>1EB", "gap>100%"], problem)
    for plans in (assessed, None):
        found = outcomes(conditions, plans)
        assert {outcome.verdict for outcome in found} == {"unknown"}
        assert any_failed(found)


def test_a_limit_within_the_interval_is_undecided(problem: Problem, plan: Plan) -> None:
    assessed = AssessedPlan.of(problem, plan, PLAYED)
    p99 = assessed.estimate(FIGURES["p99_us"], "large")
    assert p99.half_width > 0

    def decided(limit_us: float) -> bool:
        (condition,) = parsed_conditions([f"large.p99_us>{limit_us!r}"], problem)
        (outcome,) = outcomes([condition], assessed)
        return outcome.is_decided

    assert not decided(p99.value)
    assert not decided(p99.value + 0.9 * p99.half_width)
    assert decided(p99.value + 1.1 * p99.half_width)
    assert not math.isnan(p99.low)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("memory.ram>128MiB", 128.02 * MIB),
        ("memory.ram>128MiB", 128.0001 * MIB),
        ("p99_us>20ms", 20_004.0),
        ("p99_us>123s", 123_000_010.0),
        ("miss_ratio>1%", 0.0100004),
        ("delta.p99_us>5%", 0.050001),
        ("delta.miss_ratio>0.01", 0.0100004),
    ],
)
def test_a_figure_is_shown_apart_from_its_limit(text: str, value: float) -> None:
    condition = parse_condition(text)
    assert condition.holds(value)
    assert condition.text_of(value) != condition.text_of(condition.limit)
    assert len(condition.text_of(2 * value)) <= len(condition.text_of(value)), "no more digits than it takes"


def test_a_unit_that_is_none_is_answered_with_those_of_the_figure() -> None:
    for text, units in (("memory.ram>5 bushels", "MiB"), ("p99_us>5 bushels", "ms"), ("miss_ratio>5ms", "%")):
        with pytest.raises(ConditionError) as caught:
            parse_condition(text)
        assert units in caught.value.expected
        assert "bit" not in caught.value.expected
    with pytest.raises(ConditionError, match="% of the old one's"):
        parse_condition("delta.p99_us>5 bushels")
