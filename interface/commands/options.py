"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ScenarioArgument = Annotated[Path, typer.Argument(help="Scenario file (YAML); see `edgeplan schema scenario`.")]
ProfileOption = Annotated[
    Path | None, typer.Option("--profile", "-p", help="Profile to plan with, instead of the scenario's own.")
]
MethodOption = Annotated[str, typer.Option(help="Solver; auto takes the strongest that supports the problem.")]
TimeLimitOption = Annotated[float, typer.Option("--time-limit", min=0.001, help="Seconds for the solver.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
