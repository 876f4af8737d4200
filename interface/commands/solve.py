"""``edgeplan solve``: partition one model's graph over accelerators and CPU cores."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..exits import ExitCode
from ..output import Format, FormatOption, current_output
from ..partitions import partition_data, partition_table, partition_verdict
from .options import MethodOption, SeedOption, TimeLimitOption


class Objective(StrEnum):
    """What to minimise."""

    MAX_LOAD = "max-load"
    LATENCY = "latency"


def solve(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Instance in the format of dnn-partitioning (JSON).")],
    objective: Annotated[
        Objective, typer.Option(help="max-load: of a full pipeline's busiest device; latency: of one sample.")
    ] = Objective.MAX_LOAD,
    contiguous: Annotated[
        bool, typer.Option("--contiguous/--non-contiguous", help="max-load: whether samples move one way only.")
    ] = True,
    blocks: Annotated[int, typer.Option(min=1, help="latency: most blocks an accelerator runs a sample in.")] = 1,
    method: MethodOption = "auto",
    time_limit_s: TimeLimitOption = 60.0,
    seed: SeedOption = 0,
    format: FormatOption = Format.TEXT,
) -> None:
    """Partition the graph of a model: which accelerator or CPU core runs each operator, and how good that can be."""
    from ...profiles.dnn_partitioning import read_dnn_partitioning
    from ...solvers import solve as solve_problem

    output = current_output(context)
    problem = read_dnn_partitioning(file, objective=objective.value, contiguous=contiguous, blocks=blocks)
    solution = solve_problem(problem, method, time_limit_s=time_limit_s, seed=seed)
    items = [partition_table(problem, solution)] if solution.partition is not None else []
    output.result(partition_data(problem, solution), *items, partition_verdict(solution))
    if solution.partition is None:
        raise typer.Exit(ExitCode.INFEASIBLE if solution.status == "infeasible" else ExitCode.OUT_OF_TIME)
