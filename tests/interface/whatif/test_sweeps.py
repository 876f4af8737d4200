"""Sweeps: every point is the problem it says, what is kept is not asked again, and no neighbour knows better."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from edgeplan.formulation import EdgePlanError, Problem, evaluate
from edgeplan.interface.whatif import Asker, Reply, Sweep, parse_axes, sweep, sweep_csv, sweep_data, sweep_table
from edgeplan.interface.whatif import sweeps as module
from edgeplan.solvers import solve
from edgeplan.solvers.policies import Candidate, Policy

MEMORY = "memory.ram=8MiB..40MiB:5"
ASKER = Asker(time_limit_s=10, requests=200)


@pytest.fixture(scope="module")
def line(problem: Problem) -> Sweep:
    return sweep(problem, parse_axes(problem, [MEMORY]), asker=ASKER)


@pytest.fixture(scope="module")
def grid(problem: Problem) -> Sweep:
    return sweep(problem, parse_axes(problem, [MEMORY, "cores=1,2"]), asker=ASKER)


def test_each_point_is_the_problem_with_the_axes_turned(problem: Problem, grid: Sweep) -> None:
    assert len(grid.points) == 10
    for point in grid.points:
        turned = problem
        for axis, setting in zip(grid.axes, point.settings, strict=True):
            turned = axis.at(turned, setting)
        alone = solve(turned, time_limit_s=10)
        assert point.reply.status == alone.status
        assert point.reply.objective_us == pytest.approx(alone.objective)
        if point.reply.plan is not None:
            scored = evaluate(turned, point.reply.plan)
            assert scored.feasible
            assert dict(scored.memory_bytes) == point.memory_bytes


def test_too_little_memory_is_infeasible_and_more_is_never_worse(line: Sweep) -> None:
    objectives = [point.reply.objective_us for point in line.points]
    assert line.points[0].reply.status == "infeasible"
    found = [objective for objective in objectives if objective is not None]
    assert len(found) > 1
    assert objectives[-len(found) :] == found, "once there is a plan, there is one for every larger memory"
    assert found == sorted(found, reverse=True)


def test_what_is_kept_is_not_asked_again(problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = module.answer

    def counting(asked_problem: Problem, asker: Asker, policies: bool = False) -> Reply:
        asked.append(asked_problem.memory_limit["ram"])
        return real(asked_problem, asker, policies)

    monkeypatch.setattr(module, "answer", counting)

    def run(values: str, asker: Asker = ASKER) -> Sweep:
        asked.clear()
        return sweep(problem, parse_axes(problem, [f"memory.ram={values}"]), asker=asker, folder=tmp_path / "points")

    first = run("24MiB,32MiB")
    assert len(asked) == 2
    again = run("24MiB,32MiB")
    assert asked == []
    assert [p.reply for p in again.points] == [p.reply for p in first.points]
    assert all(point.is_kept for point in again.points)
    run("24MiB,32MiB,40MiB")
    assert asked == [40 * 2**20]
    run("24MiB,32MiB", Asker(seed=1, time_limit_s=10, requests=200))
    assert len(asked) == 2, "another seed is another question"
    damaged = sorted((tmp_path / "points").glob("*.json"))[0]
    damaged.write_text(damaged.read_text()[:100])
    both = 0
    for asker in (ASKER, Asker(seed=1, time_limit_s=10, requests=200)):
        run("24MiB,32MiB,40MiB" if asker is ASKER else "24MiB,32MiB", asker)
        both += len(asked)
    assert both == 1, "only what was damaged"
    run("24MiB,32MiB,40MiB")
    assert asked == []


def test_an_interrupted_sweep_keeps_what_was_answered(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = module.answer, []

    def interrupted(asked_problem: Problem, asker: Asker, policies: bool = False) -> Reply:
        asked.append(asked_problem)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return real(asked_problem, asker, policies)

    monkeypatch.setattr(module, "answer", interrupted)
    axes = parse_axes(problem, ["memory.ram=24MiB,32MiB"])
    with pytest.raises(KeyboardInterrupt):
        sweep(problem, axes, asker=ASKER, folder=tmp_path)
    asked.clear()
    monkeypatch.setattr(module, "answer", lambda *a: asked.append(a) or real(*a))
    done = sweep(problem, axes, asker=ASKER, folder=tmp_path)
    assert len(asked) == 1
    assert [point.is_kept for point in done.points] == [True, False]


def test_a_neighbours_better_plan_is_taken(problem: Problem, line: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that finds nothing, or little, with more memory in its time."""
    good = {point.settings[0].values[0]: point.reply for point in line.points}
    least = min(size for size, reply in good.items() if reply.plan is not None)

    def cut_short(asked: Problem, asker: Asker, policies: bool = False) -> Reply:
        return good[least] if asked.memory_limit["ram"] == least else Reply("timeout")

    monkeypatch.setattr(module, "answer", cut_short)
    done = sweep(problem, parse_axes(problem, [MEMORY]), asker=ASKER)
    for point in done.points:
        size = point.settings[0].values[0]
        assert (point.reply.plan is not None) == (size >= least)
        assert bool(point.taken_from) == (size > least)
        if size >= least:
            assert point.reply.objective_us == pytest.approx(good[least].objective_us)
    assert "neighbour" in sweep_table(done).note


def test_nothing_is_taken_where_all_is_proven(grid: Sweep) -> None:
    proven = [point for point in grid.points if point.reply.status == "optimal"]
    assert proven
    assert not any(point.taken_from for point in proven)


@pytest.mark.slow
def test_processes_find_what_one_finds(problem: Problem, line: Sweep) -> None:
    side_by_side = sweep(problem, parse_axes(problem, [MEMORY]), asker=ASKER, jobs=2)
    assert [p.reply.objective_us for p in side_by_side.points] == [p.reply.objective_us for p in line.points]


@pytest.mark.slow
def test_points_can_be_planned_by_policies(problem: Problem) -> None:
    done = sweep(problem, parse_axes(problem, ["memory.ram=32MiB,64MiB"]), asker=ASKER, policies=True)
    assert all(point.reply.plan is not None and point.reply.plan.solver.policy for point in done.points)


@pytest.mark.parametrize("which", ["line", "grid"])
def test_table_csv_and_data_agree(which: str, request: pytest.FixtureRequest) -> None:
    done: Sweep = request.getfixturevalue(which)
    rows = list(csv.DictReader(io.StringIO(sweep_csv(done))))
    data = json.loads(json.dumps(sweep_data(done), default=str))
    assert len(rows) == len(done.points) == len(data["points"]) == len(sweep_table(done).rows)
    for row, point, plain in zip(rows, done.points, data["points"], strict=True):
        assert row["status"] == point.reply.status == plain["status"]
        assert row["objective_us"] == ("" if point.reply.objective_us is None else f"{point.reply.objective_us:.10g}")
        assert float(row[done.axes[0].title]) == pytest.approx(plain["at"][done.axes[0].name])


def test_what_is_proven_of_a_looser_point_holds_for_a_tighter_one(
    problem: Problem, grid: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the loosest point and one other are proven, bounds and infeasibility are handed on."""
    truth = {(p.settings[0].values[0], p.settings[1].values[0]): p.reply for p in grid.points}
    loosest = max(truth)

    def unproven(asked: Problem, asker: Asker, policies: bool = False) -> Reply:
        at = (asked.memory_limit["ram"], len(asked.platform.processors[0].cores))
        true = truth[at]
        if at == loosest:
            return true
        if true.plan is None:
            return Reply("timeout" if at != (8 * 2**20, 2) else "infeasible")
        return Reply("feasible", true.objective_us, None, true.plan)

    monkeypatch.setattr(module, "answer", unproven)
    done = sweep(problem, parse_axes(problem, [MEMORY, "cores=1,2"]), asker=ASKER)
    for point in done.points:
        true = truth[point.settings[0].values[0], point.settings[1].values[0]]
        assert point.reply.objective_us == pytest.approx(true.objective_us)
        if true.objective_us is not None:
            assert point.reply.bound_us is not None
            assert true.bound_us is not None
            assert point.reply.bound_us <= true.objective_us * (1 + 1e-9)
            assert point.reply.bound_us >= truth[loosest].objective_us * (1 - 1e-6)
    assert done.points[0].reply.status == "infeasible", "8 MiB are too little for two cores, so for one too"


def test_a_point_that_cannot_be_answered_is_named_whoever_asks(problem: Problem, tmp_path: Path) -> None:
    asker = Asker(method="no such solver", time_limit_s=10)
    axes = parse_axes(problem, ["memory.ram=24MiB,32MiB"])
    for jobs in (1, 2):
        with pytest.raises(EdgePlanError, match="no such solver"):
            sweep(problem, axes, asker=asker, jobs=jobs, folder=tmp_path)


@pytest.mark.parametrize(
    ("policy", "status"), [("open", "optimal"), ("open, gangs", "optimal"), ("pool", "feasible"), ("lean", "feasible")]
)
def test_what_is_proven_within_a_policy_is_not_proven_of_the_problem(
    problem: Problem, monkeypatch: pytest.MonkeyPatch, policy: str, status: str
) -> None:
    solution = solve(problem, time_limit_s=10)
    assert solution.status == "optimal"
    assert solution.plan is not None
    stamp = solution.plan.solver.model_copy(update={"policy": policy})
    chosen = replace(solution, plan=solution.plan.model_copy(update={"solver": stamp}))
    candidate = Candidate(Policy(policy, "", problem.limits), chosen, None)
    monkeypatch.setattr("edgeplan.solvers.by_simulation", lambda *asked, **settings: (candidate,))
    reply = module.answer(problem, Asker(requests=0), policies=True)
    assert (reply.status, reply.bound_us is None) == (status, status == "feasible")
    assert reply.objective_us == solution.objective
