"""What a fleet's run says: jobs, plans kept, losses by number of plans, and who takes which plan."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..table import Cell, Table, Tone
from ..units import count, mebibytes, milliseconds, percent
from .clusters import Step, WorkloadClusters
from .jobs import Job, JobResult
from .run import FleetRun

MOST_ROWS = 40
"""Rows of a table for people; files have all of them."""

_TONES: dict[str, Tone] = {"optimal": "good", "feasible": "good"}


def jobs_table(run: FleetRun, most_rows: int = MOST_ROWS) -> Table:
    """Jobs with their outcome; where there are many, those without a plan go first."""
    order = range(len(run.results))
    if len(order) > most_rows:
        order = sorted(order, key=lambda i: run.results[i].plan is not None)[:most_rows]
    left_out = len(run.results) - len(order)
    said = ", ".join(f"{number} {status}" for status, number in sorted(run.statuses.items()))
    more = f" {count(left_out, 'job')} not shown; jobs.csv has all." if left_out else ""
    return Table(
        "Jobs",
        ("device", "differs", ">devices", "workload", "status", ">objective ms", ">gap", ">memory MiB", "why"),
        tuple(_job_row(run.fleet.jobs[i], run.results[i]) for i in order),
        note=f"{count(len(run.results), 'job')}: {said}; {run.solved} solved now, {run.reused} had answers.{more}",
    )


def _job_row(job: Job, result: JobResult) -> tuple[str | Cell, ...]:
    return (
        job.device.name,
        job.device.variant.text,
        f"{job.device.count:,}",
        job.workload.name,
        Cell(result.status, _TONES.get(result.status, "bad")),
        "–" if result.objective is None else milliseconds(result.objective),
        "–" if result.gap is None else percent(result.gap),
        mebibytes(sum(result.memory_bytes.values())) if result.memory_bytes else "–",
        result.reason,
    )


def plans_table(found: Sequence[WorkloadClusters]) -> Table:
    """Plans that are kept, with what their devices lose."""
    rows: list[tuple[str | Cell, ...]] = []
    groups = []
    for clusters in found:
        groups.append(len(rows))
        if not clusters.chosen:
            rows.append((clusters.workload.name, Cell(clusters.status, "bad"), "", "", "", "", "", ""))
        for plan in clusters.chosen:
            rows.append(
                (
                    clusters.workload.name if plan is clusters.chosen[0] else "",
                    Cell(plan.name, "strong"),
                    f"{plan.devices:,}",
                    share(plan.mean_loss),
                    share(plan.worst_loss),
                    plan.worst_device,
                    "–" if plan.miss_ratio is None else percent(plan.miss_ratio),
                    "–" if plan.own_miss_ratio is None else percent(plan.own_miss_ratio),
                )
            )
    return Table(
        "Plans",
        (
            "workload",
            "plan",
            ">devices",
            ">mean loss",
            ">worst loss",
            "on device",
            ">simulated misses there",
            ">with its own plan",
        ),
        tuple(rows),
        note=" ".join(_proof(clusters) for clusters in found),
        groups=tuple(groups[1:]),
    )


def _proof(clusters: WorkloadClusters) -> str:
    tried = len(clusters.candidates)
    among = f"{count(clusters.devices, 'device')} with {count(clusters.distinct_plans, 'distinct plan')}"
    among += "" if tried == clusters.distinct_plans else f", {tried} of them tried on all"
    proof = clusters.status
    if clusters.least_plans is not None:
        proof += f", fewer than {count(clusters.least_plans, 'plan')} cannot do"
    if clusters.gap:
        proof += f", gap of the mean loss {percent(clusters.gap)}"
    return f"{clusters.workload.name}: {among}; the choice is {proof}."


def curve_table(found: Sequence[WorkloadClusters]) -> Table:
    """What each number of plans loses, and which plans they are."""
    rows: list[tuple[str | Cell, ...]] = []
    groups = []
    for clusters in found:
        groups.append(len(rows))
        rows += [_step_row(clusters, step) for step in clusters.curve]
    return Table(
        "Loss by number of plans",
        ("workload", ">plans", ">mean loss", ">at least", ">worst loss", "which"),
        tuple(rows),
        note="Loss: share by which a device's objective is above that of its best known plan. Each row: the least "
        "mean loss with at most so many plans, whatever a single device loses; with a limit on that, other plans may "
        "be kept. At least: proven.",
        groups=tuple(groups[1:]),
    )


def _step_row(clusters: WorkloadClusters, step: Step) -> tuple[str | Cell, ...]:
    is_first = step is clusters.curve[0]
    return (
        clusters.workload.name if is_first else "",
        Cell(str(step.plans), "strong" if step.plans == len(clusters.chosen) else ""),
        "–" if step.mean_loss is None else share(step.mean_loss),
        "–" if step.bound is None else share(step.bound),
        "–" if step.worst_loss is None else share(step.worst_loss),
        ", ".join(name.removeprefix(f"{clusters.workload.file_name}-") for name in step.names) or _without(step),
    )


def _without(step: Step) -> str:
    return "too few for some device" if step.status == "infeasible" else "none found in time"


def share(loss: float) -> str:
    """A loss in per cent, fine enough for small ones."""
    return f"{100 * loss:.2f} %"


def assignment_rows(found: Sequence[WorkloadClusters]) -> Iterator[dict[str, Any]]:
    """Which device takes which plan, and what it loses by that."""
    for clusters in found:
        for i, row in enumerate(clusters.rows):
            if not clusters.chosen:
                continue
            for job in row.jobs:
                yield {
                    "device": job.device.name,
                    "devices": job.device.count,
                    "workload": clusters.workload.name,
                    "plan": clusters.chosen[clusters.chosen_of[i]].name,
                    "loss": clusters.loss_of(i),
                    "own_objective_us": row.result.objective,
                }


def assignment_table(found: Sequence[WorkloadClusters], most_rows: int) -> Table:
    """The assignment for people; of many devices those that lose most."""
    rows = list(assignment_rows(found))
    shown = rows if len(rows) <= most_rows else sorted(rows, key=lambda row: -row["loss"])[:most_rows]
    more = ""
    if len(shown) < len(rows):
        more = f"{len(shown)} of {len(rows):,}, those that lose most; assignment.csv has all."
    return Table(
        "Assignment",
        ("device", ">devices", "workload", "plan", ">loss", ">own objective ms"),
        tuple(
            (
                row["device"],
                f"{row['devices']:,}",
                row["workload"],
                row["plan"],
                share(row["loss"]),
                milliseconds(row["own_objective_us"]),
            )
            for row in shown
        ),
        note=more,
    )


def job_rows(run: FleetRun) -> Iterator[dict[str, Any]]:
    """All jobs as plain data."""
    for job, result in zip(run.fleet.jobs, run.results, strict=True):
        yield {
            "device": job.device.name,
            "differs": job.device.variant.text,
            "devices": job.device.count,
            "workload": job.workload.name,
            "status": result.status,
            "objective_us": result.objective,
            "bound_us": result.bound,
            "gap": result.gap,
            "memory_bytes": sum(result.memory_bytes.values()) if result.memory_bytes else None,
            "method": result.method,
            "runtime_s": result.runtime_s,
            "reason": result.reason,
            "digest": result.digest,
        }


def clusters_data(found: Sequence[WorkloadClusters]) -> list[dict[str, Any]]:
    """Plans kept and losses as plain data."""
    return [
        {
            "workload": clusters.workload.name,
            "status": clusters.status,
            "gap": clusters.gap,
            "least_plans": clusters.least_plans,
            "devices": clusters.devices,
            "distinct_plans": clusters.distinct_plans,
            "candidates": len(clusters.candidates),
            "plans": [
                {
                    "plan": plan.name,
                    "devices": plan.devices,
                    "mean_loss": plan.mean_loss,
                    "worst_loss": plan.worst_loss,
                    "worst_device": plan.worst_device,
                    "miss_ratio": plan.miss_ratio,
                    "own_miss_ratio": plan.own_miss_ratio,
                }
                for plan in clusters.chosen
            ],
            "curve": [
                {
                    "plans": step.plans,
                    "mean_loss": step.mean_loss,
                    "bound": step.bound,
                    "worst_loss": step.worst_loss,
                    "names": list(step.names),
                }
                for step in clusters.curve
            ],
        }
        for clusters in found
    ]


def csv_text(rows: Iterable[dict[str, Any]]) -> str:
    """Rows as CSV with a line of names; empty where there are none."""
    listed = list(rows)
    if not listed:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(listed[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return text.getvalue()
