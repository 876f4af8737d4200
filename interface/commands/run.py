"""``edgeplan run``: a plan on the live runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...formulation import Plan
from ..exits import ExitCode
from ..output import Format, FormatOption, current_output
from ..run_record import RunRecord, mean_absolute_percentage_error
from ..signals import stop_on_signals
from ..summaries import comparison_table, decisions_table, prediction_lines
from .options import ProfileOption, ScenarioArgument, SeedOption, output_option, writable

_NO_DRIFT = "Rates, times and free cores were watched; none drifted so far that another plan was looked for."


def run(
    context: typer.Context,
    scenario: ScenarioArgument,
    plan_path: Annotated[Path, typer.Option("--plan", help="Plan file (JSON).")],
    duration_s: Annotated[float, typer.Option("--duration", min=0.1, help="Seconds of requests.")] = 10.0,
    profile: ProfileOption = None,
    adapt: Annotated[bool, typer.Option("--adapt/--no-adapt", help="Re-plan when the load changes.")] = True,
    output_path: Annotated[
        Path | None,
        output_option("Where to write the run record, for `edgeplan report`."),
    ] = None,
    trace_path: Annotated[
        Path | None,
        typer.Option("--trace", callback=writable, help="Where to write what each core ran, for ui.perfetto.dev."),
    ] = None,
    seed: SeedOption = 0,
    format: FormatOption = Format.TEXT,
) -> None:
    """Serve a scenario by a plan on this machine. SIGINT and SIGTERM end it early; requests in flight are answered."""
    from ..facade import load
    from ..facade import run as serve
    from ..recording import record_of_run
    from ..trace import chunks, trace_of_run

    output = current_output(context)
    case = load(scenario, profile)
    plan = Plan.load(plan_path)
    with stop_on_signals() as stop:
        report = serve(case, plan, duration_s, seed=seed, adapt=adapt, stop=stop)
    record = record_of_run(report, case.problem, case.scenario.name, seed)
    if output_path is not None:
        record.save(output_path)
    if trace_path is not None:
        trace_path.write_text("".join(chunks(trace_of_run(report))), encoding="utf-8")
    setup = record.setups[0]
    output.result(
        {
            "status": "stopped" if stop.is_set() else "done",
            "drained": report.drained,
            **record_data(record),
            "output": output_path,
            "trace": trace_path,
        },
        comparison_table(record),
        *([decisions_table(setup)] if setup.decisions else [_NO_DRIFT] if adapt else []),
        *prediction_lines(record),
        *record.notes,
        *([f"Run record written to {output_path}"] if output_path else []),
        *([f"Trace written to {trace_path}; open it at https://ui.perfetto.dev"] if trace_path else []),
    )
    if not report.drained:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def record_data(record: RunRecord) -> dict[str, object]:
    """Figures of a run record as plain data, without its requests."""
    return {
        "scenario": record.scenario,
        "seed": record.seed,
        "setups": [
            {
                "name": setup.name,
                "role": setup.role,
                "duration_s": setup.duration_s,
                "peak_memory_bytes": setup.peak_memory_bytes,
                "models": {
                    model or "all": {
                        "requests": len(setup.of(model)),
                        "throughput_hz": setup.throughput_hz(model),
                        "p50_us": setup.percentile_us(0.5, model),
                        "p99_us": setup.percentile_us(0.99, model),
                        "miss_ratio": setup.miss_ratio(model),
                    }
                    for model in (*setup.models, None)
                },
                "decisions": [decision.model_dump() for decision in setup.decisions],
            }
            for setup in record.setups
        ],
        "prediction_error": mean_absolute_percentage_error(record.predictions),
        "prediction_error_outside_fit": mean_absolute_percentage_error([p for p in record.predictions if p.held_out]),
        "notes": record.notes,
    }
