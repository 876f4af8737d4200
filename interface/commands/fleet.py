"""``edgeplan fleet``: many devices and workloads, and few plans for all of them."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...formulation import UnsupportedError
from ..exits import ExitCode
from ..output import Format, FormatOption, Output, current_output
from ..table import Cell, Table
from ..writing import held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..fleet.clusters import WorkloadClusters
    from ..fleet.engine import Engine
    from ..fleet.jobs import Fleet
    from ..fleet.run import FleetRun
    from ..fleet.store import Store


class EngineName(StrEnum):
    """What can run the jobs."""

    PROCESSES = "processes"
    RAY = "ray"


def fleet(
    context: typer.Context,
    spec: Annotated[Path, typer.Argument(help="Fleet file (YAML); see `edgeplan schema fleet`.")],
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder for results, plans and report.")],
    most_plans: Annotated[
        int | None, typer.Option("--plans", min=1, help="Most plans for each workload; the mean loss is then least.")
    ] = None,
    max_loss: Annotated[
        str | None, typer.Option(help="Most that a device may lose, for instance 2%. Alone: by the fewest plans.")
    ] = None,
    engine_name: Annotated[EngineName, typer.Option("--engine", help="What runs the jobs.")] = EngineName.PROCESSES,
    workers: Annotated[int | None, typer.Option(min=1, help="Jobs at a time; as many as cores.")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster, for --engine ray; left out: one here.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List jobs and which have answers; do nothing.")] = False,
    choice_s: Annotated[
        float, typer.Option("--choice-time-limit", min=0.1, help="Seconds for choosing plans, each workload.")
    ] = 10.0,
    terminal: Annotated[bool, typer.Option("--terminal", help="Print the whole report, not only its tables.")] = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Plan every workload for every device of a fleet, then choose few plans for all. What has an answer is kept."""
    from ..fleet.clusters import cluster
    from ..fleet.document import fleet_document
    from ..fleet.jobs import load_fleet
    from ..fleet.outputs import run_data, write_files
    from ..fleet.run import run_fleet
    from ..fleet.store import Store
    from ..report import TerminalReport

    output = current_output(context)
    tolerated = _share(max_loss)
    if tolerated is None and most_plans is None:
        tolerated = 0.02
    loaded, store = load_fleet(spec), Store(folder)
    if dry_run:
        _show_jobs(output, loaded, store)
        return
    with held(folder, output.note), _engine(engine_name, workers, address) as engine:
        with output.progress("jobs") as progress:
            run = run_fleet(loaded, store, engine, progress)
        found = cluster(loaded, run.results, engine, most_plans=most_plans, max_loss=tolerated, time_limit_s=choice_s)
        ran_by = f"{engine.name}, {engine.workers} at a time"
        code, status = _verdict(run, found)
        data = run_data(run, found, status, ran_by, folder)
        document = fleet_document(run, found, ran_by)
        write_files(folder, run, found, data, document)
    shown = [TerminalReport(document)] if terminal else _tables(run, found)
    output.result(data, *shown, f"Plans, assignment.csv, jobs.csv, fleet.json and report.html written to {folder}")
    if code is not ExitCode.DONE:
        raise typer.Exit(code)


def _share(text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text)
    if match is None:
        raise UnsupportedError(
            "option --max-loss", expected="a percentage such as 2%", got=repr(text), remedy="Write it with its sign."
        )
    return float(match[1]) / 100


def _engine(name: EngineName, workers: int | None, address: str | None) -> Engine:
    if name is EngineName.RAY:
        from ..fleet.ray_cluster import RayCluster

        return RayCluster(workers, address)
    if address is not None:
        raise UnsupportedError(
            "option --address",
            expected="--engine ray with it",
            got=f"--engine {name}",
            remedy="Add --engine ray, or leave out --address.",
        )
    from ..fleet.processes import Processes

    return Processes(workers)


def _show_jobs(output: Output, fleet: Fleet, store: Store) -> None:
    from ..fleet.run import waiting
    from ..fleet.tables import MOST_ROWS

    missing, known = waiting(fleet, store)

    def state(digest: str) -> str:
        return "refused" if not digest else "has an answer" if digest in known else "to solve"

    rows = [(job, state(job.digest)) for job in fleet.jobs]
    more = "" if len(rows) <= MOST_ROWS else f" The first {MOST_ROWS} are shown; --format json lists all."
    output.result(
        {
            "status": "dry_run",
            "to_solve": len(missing),
            "answered": len(known),
            "jobs": [
                {
                    "device": job.device.name,
                    "workload": job.workload.name,
                    "state": said,
                    "digest": job.digest,
                    "reason": job.refusal,
                }
                for job, said in rows
            ],
        },
        Table(
            "Jobs",
            ("device", "differs", "workload", "state", "digest", "why"),
            tuple(
                (
                    job.device.name,
                    job.device.variant.text,
                    job.workload.name,
                    Cell(said, "bad" if said == "refused" else ""),
                    job.digest[:12],
                    job.refusal,
                )
                for job, said in rows[:MOST_ROWS]
            ),
            note=f"{len(rows):,} jobs with {len(missing) + len(known):,} different questions: "
            f"{len(missing):,} to solve, {len(known):,} with an answer.{more}",
        ),
    )


def _verdict(run: FleetRun, found: Sequence[WorkloadClusters]) -> tuple[ExitCode, str]:
    """Exit code and status: what failed goes before what has no plan, and that before what ran out of time."""
    statuses = run.statuses
    if statuses["failed"]:
        return ExitCode.CHECK_FAILED, "some_failed"
    if statuses["infeasible"] or any(clusters.status == "infeasible" for clusters in found):
        return ExitCode.INFEASIBLE, "some_infeasible"
    if statuses["timeout"] or any(not clusters.chosen for clusters in found):
        return ExitCode.OUT_OF_TIME, "some_out_of_time"
    return ExitCode.DONE, "done"


def _tables(run: FleetRun, found: Sequence[WorkloadClusters]) -> list[Table]:
    from ..fleet.tables import curve_table, jobs_table, plans_table

    return [jobs_table(run), *([curve_table(found), plans_table(found)] if found else [])]
