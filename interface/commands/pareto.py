"""``edgeplan pareto``: what one model can reach, latency against memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...formulation import Limits, ProfileError, capped
from ..outcome import exit_without_plan, solution_data
from ..output import Format, FormatOption, current_output
from .options import SeedOption, TimeLimitOption


def pareto(
    context: typer.Context,
    profile: Annotated[Path, typer.Argument(help="Profile file (JSON).")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="Which model, where there are several.")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="Solver: dp, nsga2, …; several to compare them. Default: auto.")
    ] = None,
    time_limit_s: TimeLimitOption = 10.0,
    seed: SeedOption = 0,
    format: FormatOption = Format.TEXT,
) -> None:
    """Show the latency/memory front of one model on the machine it was profiled on."""
    from ...profiles import Profile
    from ..fronts import front_problem, front_table, solve_front

    output = current_output(context)
    loaded = Profile.load(profile)
    models = {m.name: m for m in loaded.to_models()}
    wanted = model or (next(iter(models)) if len(models) == 1 else "")
    if wanted not in models:
        raise ProfileError(
            f"profile {profile}",
            expected=f"one of its models: {capped(models)}",
            got=model or "none named",
            remedy="Name it with --model.",
        )
    problem = front_problem(models[wanted], loaded.platform, Limits())
    solutions = [solve_front(problem, name, time_limit_s, seed) for name in dict.fromkeys(method or ["auto"])]
    for solution in solutions:
        exit_without_plan(output, solution)
    output.result(
        {
            "model": wanted,
            "fronts": [
                {
                    **solution_data(solution),
                    "points": [
                        {
                            "latency_us": point.latency_us,
                            "memory_bytes": point.memory_bytes,
                            "segments": [s.model_dump(mode="json") for s in point.plan.models[0].segments],
                        }
                        for point in solution.front
                    ],
                }
                for solution in solutions
            ],
        },
        *(front_table(wanted, solution) for solution in solutions),
    )
