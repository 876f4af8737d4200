"""What a fleet's report says, whether on a page or in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from ..identity import planned_with
from ..report.colours import BAD_COLOUR, GOOD_COLOUR, MODEL_COLOURS, QUIET_COLOUR, Look
from ..report.document import Block, Card, Document, Facts, Gallery, laid_out
from ..report.grid import Grid, GridMark
from ..report.plots import Axis, BarsPlot, Mark, Picture, Series, XYPlot
from ..units import count
from .clusters import WorkloadClusters
from .jobs import JobStatus
from .run import FleetRun
from .tables import assignment_table, curve_table, jobs_table, plans_table, share

MOST_ROWS = 200
"""Rows of a table in a report; files have all of them."""

_LOOKS: dict[JobStatus, Look] = {
    "optimal": Look(GOOD_COLOUR),
    "feasible": Look(MODEL_COLOURS[0]),
    "infeasible": Look(BAD_COLOUR),
    "timeout": Look(MODEL_COLOURS[1]),
    "failed": Look(QUIET_COLOUR),
}


def fleet_document(run: FleetRun, found: Sequence[WorkloadClusters], engine: str) -> Document:
    """Lay out what came of a fleet.

    Parameters
    ----------
    run : FleetRun
    found : sequence of WorkloadClusters
    engine : str
        What ran the jobs.
    """
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return laid_out(f"Fleet: {run.fleet.spec.name}", created, _cards(run, found), _sections(run, found, engine))


def _sections(run: FleetRun, found: Sequence[WorkloadClusters], engine: str) -> Iterator[tuple[str, Iterable[Block]]]:
    if found:
        yield "Plans", [plans_table(found)]
        curves = (curve_picture(clusters) for clusters in found)
        yield "Loss by number of plans", [Gallery(tuple(c for c in curves if c is not None)), curve_table(found)]
        grids = (loss_grid(clusters) for clusters in found)
        yield "Who shares a plan", [Gallery(tuple(grid for grid in grids if grid is not None))]
        yield "Assignment", [assignment_table(found, MOST_ROWS)]
    yield "Jobs", [jobs_picture(run), jobs_table(run, MOST_ROWS)]
    spec = run.fleet.spec
    facts = {
        "fleet": spec.name,
        "solver": f"{spec.method}, {spec.time_limit_s:g} s a plan, seed {spec.seed}",
        "engine": engine,
        **{f"version of {name}": number for name, number in planned_with().items()},
    }
    yield "Provenance", [Facts(tuple(facts.items()))]


def _cards(run: FleetRun, found: Sequence[WorkloadClusters]) -> Iterator[Card]:
    devices = sum(device.count for device in run.fleet.devices)
    yield Card("devices", f"{devices:,}", count(len(run.fleet.devices), "type"))
    planned = sum(result.plan is not None for result in run.results)
    said = ", ".join(f"{number} {status}" for status, number in sorted(run.statuses.items()))
    yield Card("jobs with a plan", f"{planned:,} of {len(run.results):,}", said)
    plans = [plan for clusters in found for plan in clusters.chosen]
    if plans:
        distinct = sum(clusters.distinct_plans for clusters in found)
        yield Card("plans kept", f"{len(plans):,}", f"of {distinct:,} distinct ones")
        worst = max(plans, key=lambda plan: plan.worst_loss)
        yield Card("worst loss", share(worst.worst_loss), f"{worst.worst_device} by {worst.name}")


def jobs_picture(run: FleetRun) -> Picture:
    """How the jobs of each workload ended."""
    workloads = tuple(dict.fromkeys(job.workload.name for job in run.fleet.jobs))
    ended: dict[str, list[float]] = {status: [0.0] * len(workloads) for status in _LOOKS}
    for job, result in zip(run.fleet.jobs, run.results, strict=True):
        ended[result.status][workloads.index(job.workload.name)] += 1
    kept = {status: numbers for status, numbers in ended.items() if any(numbers)}
    devices = len({job.device.name for job in run.fleet.jobs})
    said = ", ".join(f"{number:,} {status}" for status, number in sorted(run.statuses.items()))
    caption = f"Jobs of {count(devices, 'device type')} by workload and by how they ended: {said}."
    looks: dict[str, Look] = {status: look for status, look in _LOOKS.items() if status in kept}
    return Picture(BarsPlot(Axis("jobs"), workloads, dict(kept), looks), caption)


def curve_picture(clusters: WorkloadClusters) -> Picture | None:
    """Worst and mean loss by number of plans, and the number that was chosen; None where there is nothing to choose."""
    steps = [step for step in clusters.curve if step.mean_loss is not None and step.worst_loss is not None]
    if len(clusters.candidates) == 1 or not steps:
        return None
    numbers = [step.plans for step in steps]
    worst = [100 * (step.worst_loss or 0.0) for step in steps]
    mean = [100 * (step.mean_loss or 0.0) for step in steps]
    unproven = [step.status != "optimal" for step in steps]
    series = (
        Series("worst device", numbers, worst, Look(MODEL_COLOURS[1], "dash"), hollow=unproven),
        Series("mean", numbers, mean, Look(MODEL_COLOURS[0]), hollow=unproven),
    )
    chosen = len(clusters.chosen)
    marks = (Mark("x", chosen, "kept", GOOD_COLOUR),) if chosen else ()
    caption = f"Least mean loss with so many plans{'; hollow: not proven' if any(unproven) else ''}."
    if chosen:
        caption += f" {count(chosen, 'plan')} {'is' if chosen == 1 else 'are'} kept."
    too_few = sum(step.status == "infeasible" for step in clusters.curve)
    if too_few:
        caption += f" With fewer than {too_few + 1} some device has none that keeps its limits."
    y = Axis("loss (%)", span=(0.0, 1.05 * max([*worst, 1e-3])))
    return Picture(XYPlot(Axis("plans"), y, series, marks), caption, clusters.workload.name)


def loss_grid(clusters: WorkloadClusters) -> Grid | None:
    """What every device would lose by each of the plans kept, those that share one together; None without a choice."""
    if not clusters.chosen or len(clusters.candidates) == 1:
        return None
    columns = [clusters.candidates.index(plan.name) for plan in clusters.chosen]
    loss = clusters.loss[:, columns]
    lost = loss[np.arange(len(loss)), clusters.chosen_of]
    order = np.lexsort((lost, clusters.chosen_of))
    shown = np.where(np.isfinite(loss), 100 * loss, np.nan)[order]
    taken = tuple((row, int(clusters.chosen_of[i])) for row, i in enumerate(order))
    broken = tuple((int(row), int(column)) for row, column in np.argwhere(~np.isfinite(shown)))
    marks = [GridMark("the plan that they take", "frame", MODEL_COLOURS[1], taken)]
    marks += [GridMark("breaks a limit", "cross", BAD_COLOUR, broken)] if broken else []
    caption = (
        f"{count(clusters.devices, 'device')} (one row for those that are alike, those that share a plan together) by "
        f"the plans kept: what each would lose. Most by a plan that is taken: {share(float(lost.max()))}."
    )
    return Grid(
        "loss (%)",
        tuple(plan.name.removeprefix(f"{clusters.workload.file_name}-") for plan in clusters.chosen),
        tuple(_row_name(clusters, int(i)) for i in order),
        shown,
        caption,
        clusters.workload.name,
        column_title="plan",
        marks=tuple(marks),
        span=(0.0, max(1.0, float(np.nanmax(shown)))),
    )


def _row_name(clusters: WorkloadClusters, i: int) -> str:
    row = clusters.rows[i]
    first = row.jobs[0].device.name
    return first if len(row.jobs) == 1 else f"{first} and {len(row.jobs) - 1} more"
