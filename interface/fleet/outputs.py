"""What a fleet's run leaves in its folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...profiles.cache import written_whole
from ..report import Document, write_report
from ..units import jsonable
from ..writing import writing
from .clusters import WorkloadClusters
from .run import FleetRun
from .tables import assignment_rows, clusters_data, csv_text, job_rows

_PLAN_FILE = re.compile(r".+-P\d+\.json")


@contextlib.contextmanager
def held(folder: Path, wait: Callable[[], object]) -> Iterator[None]:
    """Make the folder and hold it against other runs, which would solve the same and mix their results with these.

    A run that is killed holds it no longer.

    Parameters
    ----------
    folder : Path
    wait : callable
        Called once where another run has it, before that one is waited for.

    Raises
    ------
    OutputError
        It cannot be made or written to.
    """
    with contextlib.ExitStack() as stack:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            handle = stack.enter_context((folder / ".lock").open("w"))
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run_data(
    run: FleetRun, found: Sequence[WorkloadClusters], status: str, engine: str, folder: Path
) -> dict[str, Any]:
    """All that a run found, as plain data."""
    return {
        "status": status,
        "fleet": run.fleet.spec.name,
        "engine": engine,
        "solved": run.solved,
        "reused": run.reused,
        "statuses": dict(run.statuses),
        "jobs": list(job_rows(run)),
        "workloads": clusters_data(found),
        "output": folder,
    }


def write_files(
    folder: Path, run: FleetRun, found: Sequence[WorkloadClusters], data: Mapping[str, Any], report: Document
) -> None:
    """Write ``plans/``, ``assignment.csv``, ``jobs.csv``, ``fleet.json``, ``report.html``; remove plans kept no more.

    Raises
    ------
    OutputError
        Something cannot be written.
    """
    with writing(folder):
        plans = folder / "plans"
        plans.mkdir(exist_ok=True)
        kept = {f"{plan.name}.json": plan.plan for clusters in found for plan in clusters.chosen}
        for file in plans.iterdir():
            if _PLAN_FILE.fullmatch(file.name) and file.name not in kept:
                file.unlink()
        for name, plan in kept.items():
            with written_whole(plans / name) as temporary:
                plan.save(temporary)
        _write(folder / "assignment.csv", csv_text(assignment_rows(found)))
        _write(folder / "jobs.csv", csv_text(job_rows(run)))
        _write(folder / "fleet.json", json.dumps(jsonable(data), indent=1, allow_nan=False) + "\n")
        write_report(report, folder / "report.html")


def _write(path: Path, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
