"""What makes an infeasible problem feasible, held against brute force on both sides of each threshold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from edgeplan.formulation import EdgePlanError, Problem, evaluate
from edgeplan.interface.whatif import (
    Asker,
    Knob,
    Reply,
    Rescue,
    clash_needs_table,
    rescues,
    rescues_data,
    rescues_table,
    turned,
    value_of,
)
from edgeplan.interface.whatif.rescues import MOST, PRECISION, helpful
from edgeplan.solvers import Solution, solve
from edgeplan.solvers.brute_force import every_plan
from edgeplan.solvers.testing import ProblemKind, random_problem

TOO_LITTLE = ProblemKind(layers=2, memory_slack=0.2)
TOO_LITTLE_FOR_TWO = ProblemKind(models=2, layers=2, memory_slack=0.2)
TOO_LATE = ProblemKind(objective="response", models=2, layers=2, streams=True, deadline_slack=0.1)
TOO_LATE_ALONE = replace(TOO_LATE, models=1)


def has_plan(problem: Problem, knob: Knob, value: float) -> bool:
    try:
        return solve(turned(problem, knob, value), "brute_force").plan is not None
    except EdgePlanError:
        return False


@pytest.mark.parametrize("kind", [TOO_LITTLE, TOO_LITTLE_FOR_TWO])
@pytest.mark.parametrize("seed", [1, 7])
def test_memory_is_relaxed_to_the_least_that_any_plan_needs(kind: ProblemKind, seed: int) -> None:
    problem = random_problem(kind, seed)
    solution = solve(problem)
    assert solution.status == solve(problem, "brute_force").status == "infeasible"
    rescue = next(r for r in rescues(problem, solution) if r.knob.kind == "memory")
    least = min(
        scored.memory_bytes[rescue.knob.subject]
        for plan in every_plan(problem, "oracle")
        if (scored := evaluate(problem, plan)).models
    )
    assert rescue.needs is not None
    assert least <= rescue.needs <= least + 1
    assert rescue.is_proven


@pytest.mark.parametrize("kind", [TOO_LATE_ALONE, TOO_LATE])
@pytest.mark.parametrize("seed", [2, 7])
def test_thresholds_have_a_plan_on_one_side_only(kind: ProblemKind, seed: int) -> None:
    problem = random_problem(kind, seed)
    solution = solve(problem)
    assert solution.status == "infeasible"
    # More cores are many more plans for brute force.
    knobs = [knob for knob in helpful(problem, solution.clashes) if knob.kind != "cores"]
    found = rescues(problem, solution, knobs=knobs)
    assert [r.change for r in found] == sorted(r.change for r in found)
    for rescue in found:
        if rescue.needs is None:
            continue
        assert has_plan(problem, rescue.knob, rescue.needs)
        assert rescue.after.plan is not None
        assert evaluate(turned(problem, rescue.knob, rescue.needs), rescue.after.plan).feasible
        if rescue.is_proven and not rescue.reorders and rescue.refused != rescue.needs:
            assert not has_plan(problem, rescue.knob, rescue.refused)
        if not rescue.knob.is_whole and not rescue.reorders:
            between = sorted((rescue.needs, rescue.refused))
            assert between[1] / between[0] <= 1 + PRECISION + 1e-9 or between[1] - between[0] <= 1


def test_a_limit_outside_the_clash_is_not_tried() -> None:
    problem = random_problem(TOO_LATE, 7)
    clashes = solve(problem).clashes
    assert not any(clash.limit.kind == "memory" for clash in clashes)
    assert not any(knob.kind == "memory" for knob in helpful(problem, clashes))


def test_tables_say_what_is_needed(problem: Problem) -> None:
    cramped = turned(problem, Knob("memory", "ram"), 2**23)
    solution = solve(cramped)
    assert solution.status == "infeasible"
    found = rescues(cramped, solution, time_limit_s=5)
    assert found[0].needs is not None
    assert len(clash_needs_table(solution).rows) == len(solution.clashes)
    assert len(rescues_table(found).rows) == len(found) == len(rescues_data(found))


def test_what_is_no_number_is_no_factor() -> None:
    words = Rescue(Knob("core_sets"), 0.0, 1.0, 0.0, True, Reply("optimal", 1000.0, 1000.0))
    number = Rescue(Knob("cores", "cpu"), 2.0, 3.0, 2.0, True, Reply("optimal", 1000.0, 1000.0))
    assert rescues_table([number, words]).rows[0][3] == "× 1.5"
    assert rescues_table([number, words]).rows[1][3] == "–"


def test_what_helps_comes_before_what_does_not(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that helps goes before numbers that do not, though neither has a factor."""
    bound = problem.replace(limits=problem.limits.model_copy(update={"core_sets": "all"}))

    def ask(self: Asker, asked: Problem, known: object = None) -> Reply:
        some = Reply("feasible", 1.0, None, solve(problem).plan)
        return some if asked.limits.core_sets == "any" else Reply("infeasible")

    monkeypatch.setattr(Asker, "ask", ask)
    none = Solution("infeasible", "auto")
    found = rescues(bound, none, knobs=[Knob("cores", "cpu"), Knob("core_sets"), Knob("rate", "small")])
    assert [rescue.needs is not None for rescue in found] == [True, False, False]


@pytest.mark.parametrize("knob", [Knob("deadline", "small"), Knob("rate", "small"), Knob("memory", "ram")])
def test_limits_are_tried_as_far_as_is_said(problem: Problem, monkeypatch: pytest.MonkeyPatch, knob: Knob) -> None:
    tried: list[float] = []

    def ask(self: Asker, asked: Problem, known: object = None) -> Reply:
        tried.append(value_of(asked, knob))
        return Reply("infeasible")

    monkeypatch.setattr(Asker, "ask", ask)
    rescues(problem, Solution("infeasible", "auto"), knobs=[knob])
    value = value_of(problem, knob)
    assert max(max(tried) / value, value / min(tried)) == pytest.approx(MOST)
