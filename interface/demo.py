"""The demonstration: from model files to a plan that serves, re-plans, and is compared with what people run today."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from ..formulation import Plan, PlanError, Problem, Scenario
from ..profiles import Profile, ProfileSettings, local_platform, profile_models, resolve_model
from ..runtime_bridge import (
    DEFAULT_SESSIONS,
    ONE_THREAD_SESSIONS,
    Comparison,
    Phase,
    RunReport,
    SetUp,
    compare,
    prepare_plan,
    run_scenario,
)
from ..solvers import Solution
from .case import Case
from .commands.run import record_data
from .facade import candidates
from .facade import plan as solve
from .fronts import front_problem, front_table, solve_front
from .outcome import evaluation_data, exit_without_plan, solution_data
from .output import Output
from .profile_summary import profile_table
from .recording import predictions_of, setup_of_run, setups_of_comparison
from .report import write_report
from .reporting import contents_of
from .run_record import RunRecord
from .summaries import (
    comparison_table,
    decisions_table,
    drift_table,
    plan_table,
    policies_table,
    prediction_lines,
    score_table,
    setups_table,
)
from .units import percent

FILES = ("scenario.yaml", "profile.json", "plan.json", "run.json", "report.html")
PLAN_LIMIT_S = 15.0
ROUNDS, ROUND_S = 3, 4.0
CALM_S, DRIFT_S = 4.0, 16.0
QUIET, RUSH = 0.25, 1.15
"""Rates before and after the drift, times the scenario's."""
NOISY = 0.05
"""Share of the machine taken by others above which the comparison says so."""


def run_demo(folder: Path, output: Output, seed: int = 0) -> None:
    """Run the demonstration and leave scenario, profile, plan, run record and report in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {
        name: folder / name for name in ("scenario.yaml", "profile.json", "plan.json", "run.json", "report.html")
    }
    written["scenario.yaml"].write_text((files(__package__ or "") / "demo.yaml").read_text(encoding="utf-8"))
    scenario = Scenario.load(written["scenario.yaml"])

    output.show("", f"1. Profile: {len(scenario.models)} models measured on this machine")
    profile = _profile(scenario, written["profile.json"], output, seed)
    output.show(profile_table(profile))

    case = Case.of(scenario, profile, folder)
    output.show("", "2. Fronts: what each model could do alone, latency against memory")
    for model in case.problem.models:
        front = solve_front(front_problem(model, case.problem.platform, case.problem.limits), "auto", 5.0, seed)
        output.show(front_table(model.name, front, max_rows=6))

    output.show("", "3. Plan: all of them together, under their deadlines")
    judged = candidates(case, time_limit_s=PLAN_LIMIT_S, seed=seed)
    solution = judged[0].solution
    exit_without_plan(output, solution)
    assert solution.plan is not None
    assert solution.evaluation is not None
    solution.plan.save(written["plan.json"])
    output.show(
        policies_table(judged),
        plan_table(solution.plan, solution.evaluation),
        score_table(case.problem, solution.evaluation),
    )

    output.show("", "4. Comparison: the same requests for every set-up, in turns")
    comparison = _compare(case, solution.plan, output, seed)
    output.show("", f"5. Drift: a quiet hour ends after {CALM_S:.0f} s")
    drift = _drift(case, output, seed)
    record = _record(case, comparison, drift, seed)
    record.save(written["run.json"])
    write_report(contents_of(case, solution.plan, solution.evaluation, run=record), written["report.html"])
    _show_result(output, case, solution, record, written)


def _profile(scenario: Scenario, path: Path, output: Output, seed: int) -> Profile:
    models = {model.name: resolve_model(model.path or model.name) for model in scenario.models}
    with output.progress("profile") as progress:
        return profile_models(models, local_platform(), ProfileSettings(quick=True, seed=seed), path, progress)


def _compare(case: Case, plan: Plan, output: Output, seed: int) -> Comparison:
    ours = SetUp("the plan", "segments by the plan, one worker thread a core, earliest deadline first", plan)
    with output.progress("serve") as progress:
        return compare(
            (DEFAULT_SESSIONS, ONE_THREAD_SESSIONS, ours),
            case.problem,
            case.files,
            rounds=ROUNDS,
            round_s=ROUND_S,
            seed=seed,
            progress=progress,
        )


def _drift(case: Case, output: Output, seed: int) -> RunReport:
    """Serve a quiet hour by a plan made for it, until every rate rises at once."""
    quiet, rush = (_at_rates(case.problem, factor) for factor in (QUIET, RUSH))
    plan = solve(quiet, time_limit_s=PLAN_LIMIT_S, seed=seed).plan
    if plan is None:
        raise PlanError("quiet hour", expected="a plan", got="none", remedy="Use a machine with more cores.")
    output.show(f"   planned for the quiet hour: policy {plan.solver.policy}")
    prepare_plan(quiet, plan, case.files)
    return run_scenario(
        quiet,
        plan,
        case.files,
        (Phase(quiet.streams, CALM_S), Phase(rush.streams, DRIFT_S)),
        seed=seed,
        on_decision=lambda d: output.note(
            f"   {d.action}: {'; '.join(map(str, d.drifts))}; {d.reason}; solved in {d.solve_s:.1f} s, "
            f"sessions opened in {d.swap_s:.1f} s"
        ),
    )


def _at_rates(problem: Problem, factor: float) -> Problem:
    """The problem with every rate multiplied."""
    return problem.replace(streams=tuple(stream.at_rate(stream.rate_hz * factor) for stream in problem.streams))


def _record(case: Case, comparison: Comparison, drift: RunReport, seed: int) -> RunRecord:
    notes = []
    if comparison.foreign_share > NOISY:
        notes.append(
            f"Other processes took up to {percent(comparison.foreign_share)} of the machine while the set-ups were "
            "compared: repeat on a quiet machine before trusting the figures."
        )
    drifting = setup_of_run(
        drift,
        "from a quiet hour to the rush",
        f"a plan for {QUIET:g} times the rates, re-planned live; from {CALM_S:.0f} s on {RUSH:g} times the rates",
        "drift",
    )
    return RunRecord(
        scenario=case.scenario.name,
        seed=seed,
        setups=(*setups_of_comparison(comparison, case.problem.streams), drifting),
        predictions=predictions_of(drift, case.problem),
        notes=tuple(notes),
    )


def _show_result(output: Output, case: Case, solution: Solution, record: RunRecord, written: dict[str, Path]) -> None:
    assert solution.evaluation is not None
    drifting = record.setups[-1]
    output.result(
        {
            "status": "done",
            "plan": {**solution_data(solution), "evaluation": evaluation_data(solution.evaluation)},
            "run": record_data(record),
            "output": {name: os.fspath(path) for name, path in written.items()},
        },
        comparison_table(record),
        setups_table(record),
        drift_table(drifting, CALM_S),
        decisions_table(drifting),
        *prediction_lines(record),
        *record.notes,
        f"Written to {written['report.html'].parent}: {', '.join(written)}",
    )
