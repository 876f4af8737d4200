"""``edgeplan report``: one HTML file from a plan and, where there is one, a run record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...formulation import Plan, evaluate
from ..output import Format, FormatOption, current_output
from ..run_record import RunRecord
from .options import ProfileOption, ScenarioArgument, TimeLimitOption, output_option


def report(
    context: typer.Context,
    scenario: ScenarioArgument,
    plan_path: Annotated[Path, typer.Option("--plan", help="Plan file (JSON).")],
    profile: ProfileOption = None,
    run_path: Annotated[Path | None, typer.Option("--run", help="Run record, from `edgeplan run --output`.")] = None,
    output_path: Annotated[Path, output_option("Where to write it.")] = Path("report.html"),
    fronts: Annotated[bool, typer.Option("--fronts/--no-fronts", help="Draw every model's front.")] = True,
    time_limit_s: TimeLimitOption = 5.0,
    format: FormatOption = Format.TEXT,
) -> None:
    """Write a self-contained HTML report: outcome, responses, core timeline, predictions, plan, memory, fronts."""
    from ..facade import load
    from ..report import write_report
    from ..reporting import contents_of

    output = current_output(context)
    case = load(scenario, profile)
    plan = Plan.load(plan_path)
    run = RunRecord.load(run_path) if run_path is not None else None
    evaluation = evaluate(case.problem, plan)
    written = write_report(
        contents_of(case, plan, evaluation, run=run, fronts=fronts, time_limit_s=time_limit_s), output_path
    )
    output.result({"status": "done", "output": written}, f"Report written to {written}")
