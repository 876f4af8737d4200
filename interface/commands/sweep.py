"""``edgeplan sweep``: a scenario solved over a grid of limits, rates and cores."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...formulation import ScenarioError
from ..exits import ExitCode
from ..output import Format, FormatOption, OutputError, current_output
from ..tenancy_files import has_accelerator
from ..units import jsonable
from ..writing import held, writing
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
            "deadline.camera=20ms,30ms, max_threads=1..4, max_utilisation=0.5..1:6. A kind alone or * turns all of "
            "that kind together; x is a multiple of the present value; :8log spaces by equal factors.",
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
    terminal: Annotated[bool, typer.Option("--terminal", help="Print the whole report, not only its table.")] = False,
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
    from ..report import TerminalReport, write_report
    from ..whatif import Asker, parse_axes, sweep_data, sweep_table
    from ..whatif import sweep as solve_all
    from ..whatif.document import sweep_document

    output = current_output(context)
    case = load(scenario, profile)
    axes = parse_axes(case.problem, vary)
    asker = Asker(method, time_limit_s, seed, requests)
    folder = None if page_only else output_path
    with nullcontext() if folder is None else held(folder, output.note):
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
        document = sweep_document(done, case.scenario.name)
        with writing(output_path):
            page = write_report(document, output_path if folder is None else folder / "sweep.html")
            if folder is not None:
                _write_files(done, folder)
    code, status = _verdict(done)
    output.result(
        {"status": status, **sweep_data(done), "output": page},
        TerminalReport(document) if terminal else sweep_table(done),
        f"Page written to {page}",
        *(
            []
            if folder is None
            else [f"Also in {folder}: sweep.csv, sweep.json, points/ (answers, kept for the next run)"]
        ),
    )
    if code is not ExitCode.DONE:
        raise typer.Exit(code)


def _verdict(done: Sweep) -> tuple[ExitCode, str]:
    """Exit code and status: points without a plan are a result, but for when there are no others."""
    if any(point.reply.plan is not None for point in done.points):
        return ExitCode.DONE, "done"
    if all(point.reply.status == "infeasible" for point in done.points):
        return ExitCode.INFEASIBLE, "infeasible"
    return ExitCode.OUT_OF_TIME, "timeout"


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
    from ...profiles.cache import written_whole
    from ..whatif import sweep_csv, sweep_data

    text = json.dumps(jsonable(sweep_data(done)), indent=1, allow_nan=False)
    for name, said in (("sweep.csv", sweep_csv(done)), ("sweep.json", text + "\n")):
        with written_whole(folder / name) as temporary:
            temporary.write_text(said, encoding="utf-8")
