"""``edgeplan check``: a plan held against a scenario, whoever made it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from ...formulation import SimulatedResponses, evaluate, simulate
from ..condition_tables import conditions_data, conditions_table
from ..conditions import any_failed, outcomes, parsed_conditions
from ..exits import ExitCode
from ..figures import AssessedPlan
from ..given_plans import left_out, left_out_sentence, load_plan
from ..outcome import evaluation_data
from ..output import Format, FormatOption, current_output
from ..summaries import score_table, violations_table
from ..table import Cell, Table
from ..units import milliseconds, percent
from .condition_options import FailOnOption, RequestsOption, simulation
from .options import ProfileOption, ScenarioArgument, SeedOption


def check(
    context: typer.Context,
    scenario: ScenarioArgument,
    plan_path: Annotated[Path, typer.Argument(metavar="PLAN", help="Plan file (JSON).")],
    profile: ProfileOption = None,
    replay_s: Annotated[
        float, typer.Option("--replay", min=0, help="Seconds of requests to simulate beside the check; 0 for none.")
    ] = 60.0,
    fail_on: FailOnOption = None,
    requests: RequestsOption = None,
    seed: SeedOption = 0,
    format: FormatOption = Format.TEXT,
) -> None:
    """Check a plan by the evaluator: exit 1 with the violations where it breaks a limit, or where --fail-on holds."""
    from ..facade import load

    output = current_output(context)
    problem = load(scenario, profile).problem
    conditions = parsed_conditions(fail_on or (), problem)
    plan = load_plan(plan_path)
    evaluation = evaluate(problem, plan)
    runs = evaluation.models and problem.streams and replay_s > 0
    replayed = simulate(problem, plan, replay_s * 1e6, seed) if runs else {}
    played = simulation(requests, seed)
    held = outcomes(conditions, AssessedPlan.of(problem, plan, played)) if conditions else ()
    absent = left_out_sentence(problem, plan)
    output.result(
        {
            "status": "ok" if evaluation.feasible else "violated",
            "left_out": left_out(problem, plan),
            "evaluation": evaluation_data(evaluation),
            "replay": {
                model: {
                    "requests": len(responses.response_us),
                    "p50_us": responses.percentile_us(0.5),
                    "p99_us": responses.percentile_us(0.99),
                    "miss_ratio": responses.miss_ratio,
                }
                for model, responses in replayed.items()
            },
            "conditions": conditions_data(held, played) if conditions else None,
        },
        *([violations_table(evaluation.violations)] if evaluation.violations else []),
        *([score_table(problem, evaluation)] if evaluation.models else []),
        *([_replay_table(replayed, replay_s)] if replayed else []),
        *([conditions_table(held, played)] if conditions else []),
        *([absent] if absent else []),
        _verdict(evaluation.feasible, any_failed(held)),
    )
    if not evaluation.feasible or any_failed(held):
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _verdict(kept: bool, failed: bool) -> str:
    limits = "The plan keeps every limit" if kept else "The plan does not keep every limit"
    return f"{limits}{', but' if kept else ', and'} not every condition of --fail-on." if failed else f"{limits}."


def _replay_table(replayed: Mapping[str, SimulatedResponses], replay_s: float) -> Table:
    return Table(
        f"Simulated for {replay_s:g} s at the scenario's load",
        ("model", ">requests", ">p50 ms", ">p99 ms", ">missed deadline"),
        tuple(
            (
                Cell(model, "strong"),
                f"{len(responses.response_us):,}",
                milliseconds(responses.percentile_us(0.5)),
                milliseconds(responses.percentile_us(0.99)),
                percent(responses.miss_ratio),
            )
            for model, responses in replayed.items()
        ),
        note="By the dispatch rule with predicted times; for information, it decides nothing.",
    )
