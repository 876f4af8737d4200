"""``edgeplan report``: what a plan promises and, where there is a run record, what became of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ...formulation import evaluate
from ..given_plans import load_plan, unproven
from ..output import Format, FormatOption, current_output
from ..run_record import RunRecord
from .options import ProfileOption, ScenarioArgument, TimeLimitOption, output_option


def report(
    context: typer.Context,
    scenario: ScenarioArgument,
    plan_path: Annotated[Path, typer.Option("--plan", help="Plan file (JSON).")],
    profile: ProfileOption = None,
    run_path: Annotated[Path | None, typer.Option("--run", help="Run record, from `edgeplan run --output`.")] = None,
    output_path: Annotated[Path | None, output_option("HTML file to write, instead of printing the report.")] = None,
    terminal: Annotated[bool, typer.Option("--terminal", help="Print the report although a file is written.")] = False,
    fronts: Annotated[bool, typer.Option("--fronts/--no-fronts", help="Draw every model's front.")] = True,
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity", help="Solve again with each limit relaxed and tightened, and say what that buys."
        ),
    ] = False,
    simulated_requests: Annotated[
        int, typer.Option("--requests", min=0, help="Requests to simulate for predicted responses; 0 for none.")
    ] = 20_000,
    time_limit_s: TimeLimitOption = 5.0,
    format: FormatOption = Format.TEXT,
) -> None:
    """Report on a plan, here in the terminal or as a self-contained HTML file.

    Both have the same sections, tables and captions: outcome and responses of a run, schedule, predicted responses,
    memory, fronts, sensitivity, profile, provenance.
    """
    from ..facade import load
    from ..report import TerminalReport, document_data, document_of, write_report
    from ..reporting import contents_of, sensitivity_of

    output = current_output(context)
    case = load(scenario, profile)
    plan = load_plan(plan_path)
    run = RunRecord.load(run_path) if run_path is not None else None
    evaluation = evaluate(case.problem, plan)
    contents = contents_of(
        case,
        plan,
        evaluation,
        run=run,
        fronts=fronts,
        time_limit_s=time_limit_s,
        simulated_requests=simulated_requests,
        sensitivity=sensitivity_of(case, unproven(plan), evaluation, time_limit_s) if sensitivity else None,
        command=_command(context, scenario, plan_path, profile, run_path),
    )
    document = document_of(contents)
    if output_path is not None:
        write_report(document, output_path)
    output.result(
        {"status": "done", "output": output_path, "report": document_data(document)},
        *([TerminalReport(document)] if terminal or output_path is None else []),
        *([f"Report written to {output_path}"] if output_path is not None else []),
    )


def _command(context: typer.Context, scenario: Path, plan: Path, profile: Path | None, run: Path | None) -> str:
    """The command line that makes this report again."""
    asked = context.params
    words = ["edgeplan", "report", str(scenario), "--plan", str(plan)]
    words += [] if profile is None else ["--profile", str(profile)]
    words += [] if run is None else ["--run", str(run)]
    words += [] if asked["fronts"] else ["--no-fronts"]
    words += ["--sensitivity"] if asked["sensitivity"] else []
    if asked["fronts"] or asked["sensitivity"]:
        words += ["--time-limit", f"{asked['time_limit_s']:g}"]
    return shlex.join([*words, "--requests", str(asked["simulated_requests"])])
