"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ..output import OutputError


def writable(path: Path | None) -> Path | None:
    """Refuse a place that nothing can be written to before the work begins, not after.

    Raises
    ------
    OutputError
        Its folder does not exist or is not writable, or it is a folder itself.
    """
    if path is not None and (path.is_dir() or not os.access(path.absolute().parent, os.W_OK)):
        raise OutputError(
            f"output {path}",
            expected="a file in a folder that exists and can be written to",
            got="a folder" if path.is_dir() else "no such folder, or one without permission",
            remedy="Make the folder, or choose another place.",
        )
    return path


ScenarioArgument = Annotated[Path, typer.Argument(help="Scenario file (YAML); see `edgeplan schema scenario`.")]
ProfileOption = Annotated[
    Path | None, typer.Option("--profile", "-p", help="Profile to plan with, instead of the scenario's own.")
]
MethodOption = Annotated[str, typer.Option(help="Solver; auto takes the strongest that supports the problem.")]
TimeLimitOption = Annotated[float, typer.Option("--time-limit", min=0.001, help="Seconds for the solver.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]


def output_option(help: str) -> Any:
    """The option for a file to write."""
    return typer.Option("--output", "-o", callback=writable, help=help)
