"""Comparing plans: every change is named and nothing else, and the effect is that of the same requests."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from edgeplan.formulation import (
    Configuration,
    Gang,
    ModelPlan,
    Plan,
    PlannedSegment,
    Problem,
    SolverStamp,
    evaluate,
    simulate,
)
from edgeplan.interface.exits import ExitCode
from edgeplan.interface.explanations.words import limits_use
from edgeplan.interface.figures import Simulation
from edgeplan.interface.identity import plan_digest
from edgeplan.interface.lock import Lock, LockedInputs
from edgeplan.interface.plan_changes import plan_changes
from edgeplan.interface.plan_diff import PlanDiff, Prediction
from edgeplan.interface.plan_diff_tables import diff_items, limits_table
from edgeplan.interface.table import Cell
from hypothesis import given
from hypothesis import strategies as st

from .. import report_cases as cases
from ..conftest import Files
from ..test_cli import answer, edgeplan

ORT = Configuration(backend="onnxruntime-cpu", form="mapped")
VINO = Configuration(backend="openvino-cpu")
WIDE = Configuration(backend="onnxruntime-cpu", form="mapped", threads=2)
STAMP = SolverStamp(method="hand", status="feasible")
N_LAYERS = 5


@st.composite
def parts(draw: st.DrawFn, name: str) -> ModelPlan:
    cuts = sorted(draw(st.sets(st.integers(1, N_LAYERS - 1))))
    segments = tuple(
        PlannedSegment(
            start=start,
            stop=stop,
            configuration=draw(st.sampled_from([ORT, VINO])),
            cores=draw(st.sampled_from([(0,), (0, 1), (1, 0)])),
            gangs=draw(st.sampled_from([(), (Gang(configuration=WIDE, cores=(0, 1)),)])),
        )
        for start, stop in pairwise([0, *cuts, N_LAYERS])
    )
    return ModelPlan(
        model=name, sha256=draw(st.sampled_from(["a" * 64, "b" * 64])), segments=tuple(draw(st.permutations(segments)))
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    names = draw(st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, unique=True))
    return Plan(
        models=tuple(draw(parts(name)) for name in names),
        order=draw(st.sampled_from(["earliest_deadline", "least_slack"])),
        platform_fingerprint=draw(st.sampled_from(["", "c" * 64])),
        solver=STAMP.model_copy(update={"seed": draw(st.integers(0, 9))}),
    )


@given(plans(), plans())
def test_changes_are_named_exactly_where_plans_differ(old: Plan, new: Plan) -> None:
    assert (plan_changes(old, new) == ()) == (plan_digest(old) == plan_digest(new))
    assert plan_changes(old, old) == ()


@given(plans(), plans())
def test_comparing_backwards_says_the_same_backwards(old: Plan, new: Plan) -> None:
    def facts(changes: Any, backwards: bool) -> list[tuple[Any, ...]]:
        turned = {"added": "removed", "removed": "added"} if backwards else {}
        return sorted(
            (
                turned.get(c.kind, c.kind),
                c.model,
                str(c.layers),
                *((c.new, c.old) if backwards else (c.old, c.new)),
            )
            for c in changes
        )

    assert facts(plan_changes(old, new), False) == facts(plan_changes(new, old), True)


def changed(part: ModelPlan, **changes: object) -> ModelPlan:
    """The part with its first segment changed."""
    first = part.segments[0].model_copy(update=changes)
    return part.model_copy(update={"segments": (first, *part.segments[1:])})


def test_each_kind_of_change(plan: Plan) -> None:
    def changes(small: ModelPlan) -> list[tuple[Any, ...]]:
        other = plan.model_copy(update={"models": (small, plan.models[1])})
        return [(c.kind, c.model, c.layers, c.old, c.new) for c in plan_changes(plan, other)]

    small = plan.models[0]
    ours, theirs = (f"cpu {c.name}" for c in (ORT, VINO))
    assert changes(changed(small, configuration=VINO)) == [("configuration", "small", (0, 4), ours, theirs)]
    assert changes(changed(small, cores=(1,))) == [("cores", "small", (0, 4), "0, 1", "1")]
    gang = (Gang(configuration=WIDE, cores=(0, 1)),)
    assert changes(changed(small, gangs=gang)) == [("gangs", "small", (0, 4), "none", f"cpu {WIDE.name} on 0, 1")]
    halves = (small.segments[0].model_copy(update={"stop": 2}), small.segments[0].model_copy(update={"start": 2}))
    assert changes(small.model_copy(update={"segments": halves})) == [("cuts", "small", None, "none", "2")]
    lean = (halves[0], halves[1].model_copy(update={"cores": (1,)}))
    assert changes(small.model_copy(update={"segments": lean})) == [
        ("cuts", "small", None, "none", "2"),
        ("cores", "small", (2, 4), "0, 1", "1"),
    ]
    assert changes(small.model_copy(update={"sha256": "f" * 64}))[0][0] == "file"


@pytest.fixture
def other(files: Files, plan: Plan) -> Path:
    """A plan that runs `large` whole and `small` on one core."""
    small, large = plan.models
    whole = large.model_copy(update={"segments": (large.segments[0].model_copy(update={"stop": 8}),)})
    path = files.folder / "other.json"
    plan.model_copy(update={"models": (changed(small, cores=(1,)), whole)}).save(path)
    return path


def test_the_same_plan_made_by_somebody_else_is_the_same(files: Files, plan: Plan) -> None:
    path = files.folder / "other.json"
    plan.model_copy(update={"solver": SolverStamp(method="greedy", status="feasible", seed=4)}).save(path)
    said = answer("diff", files.plan, path, "--exit-code")
    assert (said["status"], said["changes"]) == ("same", [])
    assert "say to do the same" in edgeplan("diff", files.plan, path).stdout


def test_plans_that_differ(files: Files, other: Path) -> None:
    said = answer("diff", files.plan, other)
    assert said["status"] == "changed"
    assert {(c["kind"], c["model"]) for c in said["changes"]} == {("cores", "small"), ("cuts", "large")}
    assert said["prediction"] is None
    assert answer("diff", files.plan, other, "--exit-code", code=ExitCode.CHECK_FAILED)["changes"] == said["changes"]


def test_the_effect_is_that_of_the_same_requests(files: Files, problem: Problem, plan: Plan, other: Path) -> None:
    said = answer("diff", files.plan, other, "--scenario", files.scenario(), "--requests", 1500, "--seed", 7)
    effects = {(e["figure"], e["of"]): e for e in said["prediction"]["effects"]}
    assert said["prediction"]["simulation"]["requests"] == 1500
    duration_us = 1500 / sum(stream.rate_hz for stream in problem.streams) * 1e6
    new = Plan.load(other)
    before, after = (simulate(problem, each, duration_us, 7) for each in (plan, new))
    for model in ("small", "large"):
        effect = effects["p99_us", model]
        assert (effect["old"], effect["new"]) == (before[model].percentile_us(0.99), after[model].percentile_us(0.99))
        assert effect["change"] == pytest.approx(effect["new"] - effect["old"])
        assert effect["low"] <= effect["change"] <= effect["high"]
    for name, of in (("latency_us", "large"), ("response_us", "small")):
        scored = [getattr(evaluate(problem, each).models[of], name) for each in (plan, new)]
        assert [effects[name, of][which] for which in ("old", "new")] == scored
    limits = {(limit["kind"], limit["of"]): limit for limit in said["prediction"]["limits"]}
    assert limits["memory", "ram"]["old_used"] == pytest.approx(
        evaluate(problem, plan).memory_bytes["ram"] / problem.memory_limit["ram"]
    )


def test_text_has_what_changed_who_made_it_the_effect_and_the_limits(files: Files, other: Path) -> None:
    result = edgeplan("diff", files.plan, other, "--scenario", files.scenario(), "--requests", 200)
    assert result.exit_code == ExitCode.DONE, result.output
    for title in ("Changes", "Made by", "Why:", "Predicted effect", "Limits"):
        assert title in result.stdout
    assert "Both plans got the same requests" in " ".join(result.stdout.split())


def test_conditions_on_the_change(files: Files, other: Path) -> None:
    arguments = ("diff", files.plan, other, "--scenario", files.scenario(), "--requests", 1500)
    # Whole instead of in three, `large` saves two fixed costs of 100 µs, and holds `small` up for longer.
    passed = answer(*arguments, "--fail-on", "delta.large.latency_us>0", "--fail-on", "large.latency_us>1s")
    assert passed["conditions"]["failed"] == 0
    failed = answer(*arguments, "--fail-on", "delta.small.response_us>5%", code=ExitCode.CHECK_FAILED)
    (outcome,) = failed["conditions"]["outcomes"]
    effects = {(e["figure"], e["of"]): e for e in failed["prediction"]["effects"]}
    response = effects["response_us", "small"]
    assert outcome["value"] == pytest.approx(response["new"] / response["old"] - 1)
    assert outcome["decided"]


def test_a_plan_for_another_model_file_is_compared_without_an_effect(files: Files, plan: Plan) -> None:
    path = files.folder / "other.json"
    small = plan.models[0].model_copy(update={"sha256": "f" * 64})
    plan.model_copy(update={"models": (small, plan.models[1])}).save(path)
    arguments = ("diff", path, files.plan, "--scenario", files.scenario())
    said = answer(*arguments)
    assert [c["kind"] for c in said["changes"]] == ["file"]
    assert "model small: another file" in said["reasons"]
    assert "SHA-256" in said["prediction"]["misfits"]["old"]
    assert said["prediction"]["effects"] == []
    # The new plan fits, so what is asked of it alone is known; a change from what cannot run is not.
    assert answer(*arguments, "--fail-on", "small.latency_us>1s")["conditions"]["failed"] == 0
    unknown = answer(*arguments, "--fail-on", "delta.latency_us>1s", code=ExitCode.CHECK_FAILED)
    assert {o["verdict"] for o in unknown["conditions"]["outcomes"]} == {"unknown"}
    assert "does not fit the scenario" in edgeplan(*arguments).stdout


def test_locks_tell_why(files: Files) -> None:
    made = {}
    for name, deadline_us in (("old", 120_000), ("new", 110_000)):
        streams = [
            {"model": "small", "arrival": {"kind": "periodic", "period_us": 50000}, "deadline_us": 40000},
            {"model": "large", "arrival": {"kind": "poisson", "rate_hz": 8}, "deadline_us": deadline_us},
        ]
        made[name] = files.folder / f"{name}.json"
        lock = files.folder / f"{name}.lock.json"
        answer("plan", files.scenario(streams=streams), "-o", made[name], "--lock", lock, "--time-limit", 3000)
    locks = [option for name in made for option in (f"--{name}-lock", files.folder / f"{name}.lock.json")]
    reasons = answer("diff", made["old"], made["new"], *locks)["reasons"]
    assert [reason for reason in reasons if reason.startswith("scenario: ")]
    assert not [reason for reason in reasons if reason.startswith(("profile: ", "seed: ", "numpy: "))]
    one = answer("diff", made["old"], made["new"], *locks[:2], code=ExitCode.BAD_INPUT)
    assert one["error"]["got"] == "that of one"
    foreign = answer("diff", files.plan, made["new"], *locks, code=ExitCode.BAD_INPUT)
    assert foreign["error"]["subject"] == "lock of the old plan"


@pytest.mark.parametrize("options", [("--fail-on", "p99_us>1"), ("--profile", "profile.json")])
def test_a_prediction_needs_a_scenario(files: Files, other: Path, options: tuple[str, str]) -> None:
    error = answer("diff", files.plan, other, *options, code=ExitCode.BAD_INPUT)["error"]
    assert options[0] in error["got"]


def test_what_is_no_plan_is_refused(files: Files) -> None:
    assert "plan" in answer("diff", files.plan, files.run, code=ExitCode.BAD_INPUT)["error"]["subject"]


def test_models_that_the_scenario_does_not_have_are_left_out_and_named(files: Files, other: Path) -> None:
    scenario = files.scenario(models=[{"name": "small"}], streams=[], objective="latency")
    said = answer("diff", files.plan, other, "--scenario", scenario)
    assert said["prediction"]["left_out"] == ["large"]
    assert {effect["of"] for effect in said["prediction"]["effects"]} == {"small", "ram", ""}
    assert "left out of what is predicted: large" in edgeplan("diff", files.plan, other, "--scenario", scenario).stdout


def test_locks_of_the_same_inputs_say_so(plan: Plan, other: Path) -> None:
    inputs = LockedInputs(
        scenario="0" * 64,
        profile="1" * 64,
        models={},
        platform_fingerprint="",
        method="auto",
        time_limit_s=10.0,
        seed=0,
        versions={},
    )
    new = Plan.load(other)
    compared = PlanDiff.of(plan, new, locks=(Lock.of(inputs, plan, ""), Lock.of(inputs, new, "")))
    assert compared.reasons[0].startswith("inputs and versions are the same by both locks")
    (why,) = (item for item in diff_items(compared) if isinstance(item, str) and item.startswith("Why:"))
    assert "Locks would tell" not in why


def test_a_limit_that_is_full_is_not_broken(files: Files, problem: Problem, plan: Plan) -> None:
    """What the evaluator lets pass for a sum of floats is not shown as broken."""
    used = evaluate(problem, plan).models["small"].response_us
    streams = (problem.streams[0].model_copy(update={"deadline_us": used * (1 - 1e-9)}), problem.streams[1])
    full = problem.replace(streams=streams)
    assert evaluate(full, plan).feasible
    table = limits_table(Prediction.of(full, plan, plan, Simulation(200, 0)))
    (row,) = (row for row in table.rows if row[0] == Cell("deadline", "strong") and row[1] == "small")
    assert [cell.tone for cell in row[3:5] if isinstance(cell, Cell)] == ["strong", "strong"]


def test_a_model_under_another_name_is_known_by_its_file(files: Files, plan: Plan) -> None:
    path = files.folder / "other.json"
    renamed = plan.models[0].model_copy(update={"model": "tiny"})
    plan.model_copy(update={"models": (renamed, plan.models[1])}).save(path)
    said = answer("diff", files.plan, path)
    assert {(c["kind"], c["model"]) for c in said["changes"]} == {("removed", "small"), ("added", "tiny")}
    assert "model tiny: the same file as small, under another name" in said["reasons"]
    assert not [reason for reason in answer("diff", files.plan, files.plan)["reasons"] if "name" in reason]


def test_a_memory_that_nothing_may_use_is_kept_by_what_does_not() -> None:
    of = cases.problem(["a", "b"], 2, memory_bytes={"npu memory": 0})
    uses = cases.plan(of)
    first = uses.models[0].segments[0].model_copy(update={"configuration": cases.ONE, "cores": (0, 1)})
    part = uses.models[0].model_copy(update={"segments": (first, *uses.models[0].segments[1:])})
    keeps = uses.model_copy(update={"models": (part, *uses.models[1:])})
    found = Prediction.of(of, uses, keeps, Simulation(200, 0)).pressures
    (pressure,) = (each for each in found if each.subject == "npu memory")
    assert (pressure.old, pressure.new) == (math.inf, 0.0)
    for plan, share in ((uses, math.inf), (keeps, 0.0)):
        (use,) = (use for use in limits_use(of, evaluate(of, plan)) if use.limit.subject == "npu memory")
        assert use.share == share
