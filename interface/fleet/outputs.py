"""What a fleet's run leaves in its folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
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
