"""``edgeplan demo``: the whole chain on real models, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..output import Format, FormatOption, current_output
from .options import SeedOption


def demo(
    context: typer.Context,
    output_folder: Annotated[Path, typer.Option("--output", "-o", help="Folder for what it leaves.")] = Path(
        "demo-output"
    ),
    seed: SeedOption = 0,
    format: FormatOption = Format.TEXT,
) -> None:
    """Profile four models, plan them, serve them beside the default set-up, then re-plan as the load drifts."""
    from ..demo import run_demo

    run_demo(output_folder, current_output(context), seed)
