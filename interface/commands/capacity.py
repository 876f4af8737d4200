"""``edgeplan capacity``: how many requests a second a device can serve, and what limits it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..exits import ExitCode
from ..output import Format, FormatOption, current_output
from ..throughput import capacity_table, limits_table, load_throughput, plan_data, resources_table, verdict
from .options import MethodOption, ProfileOption, ScenarioArgument, SeedOption, TimeLimitOption, output_option


class Goal(StrEnum):
    """What to aim for."""

    CAPACITY = "capacity"
    THROUGHPUT = "throughput"
    FAIR = "fair"
    COST = "cost"


def capacity(
    context: typer.Context,
    scenario: ScenarioArgument,
    profile: ProfileOption = None,
    contention: Annotated[
        Path | None,
        typer.Option(
            help="File of `edgeplan co-run`; configurations that it lacks take after the nearest ones that it holds. "
            "Without a file, co-runs cost nothing."
        ),
    ] = None,
    objective: Annotated[
        Goal | None,
        typer.Option(
            help="capacity: largest multiple of the mix; throughput: weighted sum of rates; fair: largest rate for all "
            "by weight; cost: cheapest for the rates. Default: the scenario's `service.objective`."
        ),
    ] = None,
    output_path: Annotated[Path | None, output_option("Where to write the service plan.")] = None,
    method: MethodOption = "auto",
    time_limit_s: TimeLimitOption = 20.0,
    explain: Annotated[
        bool, typer.Option("--limits/--no-limits", help="Whether to relax each limit and solve again, in as much time.")
    ] = True,
    seed: SeedOption = 0,
    format: FormatOption = Format.TEXT,
) -> None:
    """How many requests a second a device can serve for a mix of models, and what limits it.

    The plan says how each model is batched, how many instances it has, and on which processors and cores.
    """
    from ...solvers import solve
    from ...solvers.throughput.limiting import relaxed_limits

    output = current_output(context)
    problem = load_throughput(scenario, profile, contention, None if objective is None else objective.value)
    solution = solve(problem, method, time_limit_s=time_limit_s, seed=seed)
    if solution.plan is None or solution.evaluation is None:
        found = "; ".join(c.sentence for c in solution.clashes) or "nothing was found in time"
        output.result(plan_data(problem, solution, ()), f"{solution.status.capitalize()} ({solution.method}): {found}.")
        raise typer.Exit(ExitCode.INFEASIBLE if solution.status == "infeasible" else ExitCode.OUT_OF_TIME)
    relaxations = relaxed_limits(problem, solution, time_limit_s=time_limit_s, seed=seed) if explain else ()
    if output_path is not None:
        solution.plan.save(output_path)
    output.result(
        {**plan_data(problem, solution, relaxations), "output": output_path},
        capacity_table(problem, solution.plan, solution.evaluation),
        resources_table(problem, solution.evaluation),
        *([limits_table(problem, relaxations)] if relaxations else []),
        verdict(solution, relaxations),
        *([f"Plan written to {output_path}"] if output_path else []),
    )
