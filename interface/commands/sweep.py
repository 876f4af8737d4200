"""``edgeplan sweep``: a scenario solved over a grid of limits, rates and cores."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...formulation import ScenarioError
from ..exits import ExitCode
from ..output import Format, FormatOption, OutputError, current_output
from ..tenancy_files import has_accelerator
from ..units import jsonable
from .options import MethodOption, ProfileOption, ScenarioArgument, SeedOption

if TYPE_CHECKING:
    from ..whatif import Sweep


def sweep(
    context: typer.Context,
    scenario: ScenarioArgument,
    vary: Annotated[
        list[str],
        typer.Option(
            "--vary",
            help="NAME=VALUES, once for each axis: memory.ram=64MiB..512MiB:8, cores=1,2, rate.*=0.5x..3x:6, "
            "deadline.camera=20ms,30ms, max_threads=1..4, max_utilisation=0.5..1:6. A kind alone or * turns all of it "
            "kind together; x is a multiple of the present value; :8log spaces by equal factors.",
        ),
    ],
    output_path: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the page, sweep.csv, sweep.json and the answers, from which a second run goes on; or an "
            "HTML file for the page alone.",
        ),
    ] = Path("sweep"),
    profile: ProfileOption = None,
    method: MethodOption = "auto",
    time_limit_s: Annotated[float, typer.Option("--time-limit", min=0.001, help="Seconds for each point.")] = 5.0,
    seed: SeedOption = 0,
    requests: Annotated[
        int, typer.Option(min=0, help="Simulated requests for each plan, all models together; 0 for none.")
    ] = 4000,
    policies: Annotated[
        bool,
        typer.Option(
            "--policies/--no-policies",
            help="Plan each point under every policy of sharing cores, judged by simulation, as `edgeplan plan` does; "
            "otherwise the objective is minimised as it stands.",
        ),
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Points solved side by side, a process each.")] = 1,
    format: FormatOption = Format.TEXT,
) -> None:
    """Solve a scenario over a grid of memory limits, cores, rates or deadlines, and draw what each is worth.

    Finished points are kept in the folder: an interrupted sweep, or a larger one, solves only what is new.
    """
    if has_accelerator(scenario):
        raise ScenarioError(
            f"scenario {scenario}",
            expected="one without an accelerator",
            got="an accelerator",
            remedy="Allocations of tenants are compared by `edgeplan plan` and `edgeplan simulate`.",
        )
    page_only = output_path.suffix in (".html", ".htm")
    _refuse_unwritable(output_path, page_only)
    from ..facade import load
    from ..whatif import Asker, parse_axes, sweep_data, sweep_table
    from ..whatif import sweep as solve_all
    from ..whatif.page import write_page

    output = current_output(context)
    case = load(scenario, profile)
    axes = parse_axes(case.problem, vary)
    asker = Asker(method, time_limit_s, seed, requests)
    folder = None if page_only else output_path
    with output.progress("Sweep") as progress:
        done = solve_all(
            case.problem,
            axes,
            asker=asker,
            policies=policies,
            jobs=jobs,
            folder=None if folder is None else folder / "points",
            progress=progress,
        )
    page = write_page(done, case.scenario.name, output_path if folder is None else folder / "sweep.html")
    if folder is not None:
        _write_files(done, folder)
    planned = any(point.reply.plan is not None for point in done.points)
    output.result(
        {"status": "done" if planned else "infeasible", **sweep_data(done), "output": page},
        sweep_table(done),
        f"Page written to {page}",
        *(
            []
            if folder is None
            else [f"Also in {folder}: sweep.csv, sweep.json, points/ (answers, kept for the next run)"]
        ),
    )
    if not planned:
        infeasible = all(point.reply.status == "infeasible" for point in done.points)
        raise typer.Exit(ExitCode.INFEASIBLE if infeasible else ExitCode.OUT_OF_TIME)


def _refuse_unwritable(path: Path, page_only: bool) -> None:
    """Refuse a place that nothing can be written to before the work begins."""
    place = path.absolute().parent if page_only or not path.exists() else path.absolute()
    if (page_only and path.is_dir()) or (not page_only and path.is_file()) or not os.access(place, os.W_OK):
        raise OutputError(
            f"output {path}",
            expected="a folder, or an .html file, in a folder that exists and can be written to",
            got="something else of that name" if path.exists() else "no such folder, or one without permission",
            remedy="Make the folder, or choose another place.",
        )


def _write_files(done: Sweep, folder: Path) -> None:
    from ..whatif import sweep_csv, sweep_data

    (folder / "sweep.csv").write_text(sweep_csv(done), encoding="utf-8")
    text = json.dumps(jsonable(sweep_data(done)), indent=1, allow_nan=False)
    (folder / "sweep.json").write_text(text + "\n", encoding="utf-8")
