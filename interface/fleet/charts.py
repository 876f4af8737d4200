"""Pictures of a fleet: jobs at a glance, loss by number of plans, and who shares a plan with whom."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from ..report.chart import BAD_COLOUR, GOOD_COLOUR, MODEL_COLOURS, QUIET_COLOUR, Chart, figure
from ..units import count, milliseconds, percent
from .clusters import WorkloadClusters
from .jobs import JobStatus
from .run import FleetRun
from .tables import share

_COLOURS: dict[JobStatus, str] = {
    "optimal": GOOD_COLOUR,
    "feasible": MODEL_COLOURS[0],
    "infeasible": BAD_COLOUR,
    "timeout": MODEL_COLOURS[1],
    "failed": QUIET_COLOUR,
}
_LABELLED = 40
"""Rows up to which every one has its name beside it and a height to be read at."""

_LOSSES = [[0.0, "#e8f1fa"], [0.25, "#9cc3e6"], [0.6, "#3b82c4"], [1.0, "#123a63"]]


def jobs_chart(run: FleetRun) -> Chart:
    """Devices by workloads, coloured by how the job ended."""
    devices = list(dict.fromkeys(job.device.name for job in run.fleet.jobs))
    workloads = list(dict.fromkeys(job.workload.name for job in run.fleet.jobs))
    statuses = list(_COLOURS)
    z = np.full((len(devices), len(workloads)), np.nan)
    text = np.full(z.shape, "", dtype=object)
    inside = np.full(z.shape, "", dtype=object)
    row_of = {name: i for i, name in enumerate(devices)}
    column_of = {name: i for i, name in enumerate(workloads)}
    for job, result in zip(run.fleet.jobs, run.results, strict=True):
        at = row_of[job.device.name], column_of[job.workload.name]
        z[at] = statuses.index(result.status)
        parts = [result.status]
        if result.objective is not None:
            inside[at] = f"{milliseconds(result.objective)} ms"
            parts.append(inside[at])
        parts += [] if result.gap is None else [f"gap {percent(result.gap)}"]
        text[at] = ", ".join(parts)
    steps = len(statuses)
    scale = [[edge, _COLOURS[status]] for k, status in enumerate(statuses) for edge in (k / steps, (k + 1) / steps)]
    labelled = len(devices) <= _LABELLED
    drawn = figure("", "", height=_height(len(devices)), showlegend=True)
    drawn.add_trace(
        go.Heatmap(
            z=z,
            x=workloads,
            y=devices,
            customdata=text,
            text=inside if labelled else None,
            texttemplate="%{text}" if labelled else None,
            textfont={"color": "white", "size": 11},
            colorscale=scale,
            zmin=-0.5,
            zmax=steps - 0.5,
            xgap=2,
            ygap=2 if labelled else 0,
            showscale=False,
            hovertemplate="%{y}, %{x}: %{customdata}<extra></extra>",
        )
    )
    for status in statuses:
        if run.statuses[status]:
            # A heat map has no legend of its own.
            drawn.add_trace(
                go.Scatter(
                    x=[None],
                    y=[None],
                    mode="markers",
                    name=f"{run.statuses[status]:,} {status}",
                    marker={"color": _COLOURS[status], "symbol": "square", "size": 11},
                )
            )
    drawn.update_yaxes(autorange="reversed", showticklabels=labelled, ticks="", showgrid=False)
    drawn.update_xaxes(ticks="", type="category", showgrid=False)
    unnamed = "" if labelled else " Point at a row for its name."
    return Chart(drawn, f"{count(len(devices), 'device type')} by {count(len(workloads), 'workload')}.{unnamed}")


def curve_chart(clusters: WorkloadClusters) -> Chart | None:
    """Worst and mean loss by number of plans, and the number that was chosen; None where there is nothing to choose."""
    steps = [step for step in clusters.curve if step.mean_loss is not None]
    if len(clusters.candidates) == 1:
        return None
    drawn = figure("plans", "loss (%)", height=300)
    for name, values, colour, dash in (
        ("worst device", [step.worst_loss for step in steps], MODEL_COLOURS[1], "dash"),
        ("mean", [step.mean_loss for step in steps], MODEL_COLOURS[0], "solid"),
    ):
        drawn.add_trace(
            go.Scatter(
                x=[step.plans for step in steps],
                y=[100 * value for value in values if value is not None],
                mode="lines+markers",
                name=name,
                line={"color": colour, "dash": dash, "width": 2},
                marker={"size": 7},
                hovertemplate=f"%{{x}} plans, {name}: %{{y:.2f}} %<extra></extra>",
            )
        )
    chosen = len(clusters.chosen)
    if chosen:
        drawn.add_vline(x=chosen, line={"color": GOOD_COLOUR, "width": 1.5, "dash": "dot"})
    drawn.update_xaxes(dtick=1)
    drawn.update_yaxes(rangemode="tozero")
    too_few = len(clusters.curve) - len(steps)
    caption = f"Least mean loss with so many plans. The dotted line is the choice, {count(chosen, 'plan')}."
    if too_few:
        caption += f" With fewer than {too_few + 1} some device has none that keeps its limits."
    return Chart(drawn, caption, clusters.workload.name)


def map_chart(clusters: WorkloadClusters) -> Chart | None:
    """What every device would lose by each of the plans kept, those that share one together; None without a choice."""
    if not clusters.chosen or len(clusters.candidates) == 1:
        return None
    columns = [clusters.candidates.index(plan.name) for plan in clusters.chosen]
    loss = clusters.loss[:, columns]
    own = np.array([row.result.objective for row in clusters.rows], dtype=np.float64)
    lost = loss[np.arange(len(own)), clusters.chosen_of]
    order = np.lexsort((own, lost, clusters.chosen_of))
    names = [_row_name(clusters, int(i)) for i in order]
    labels = [plan.name.removeprefix(f"{clusters.workload.file_name}-") for plan in clusters.chosen]
    shown = np.where(np.isfinite(loss), 100 * loss, np.nan)[order]
    text = [["breaks a limit" if not np.isfinite(x) else share(x) for x in row] for row in loss[order]]
    drawn = figure("", "", height=_height(len(names)))
    top = float(np.nanmax(shown)) if np.isfinite(shown).any() else 0.0
    drawn.add_trace(
        go.Heatmap(
            z=shown,
            x=labels,
            y=list(range(len(names))),
            customdata=[[name] * len(labels) for name in names],
            text=text,
            colorscale=_LOSSES,
            zmin=0,
            zmax=max(top, 1.0),
            xgap=2,
            colorbar={"title": {"text": "loss (%)"}, "thickness": 10, "outlinewidth": 0},
            hovertemplate="%{customdata} by %{x}: %{text}<extra></extra>",
        )
    )
    taken = clusters.chosen_of[order]
    for k in range(len(labels)):
        rows = np.flatnonzero(taken == k)
        drawn.add_shape(
            type="rect",
            x0=k - 0.5,
            x1=k + 0.5,
            y0=rows[0] - 0.5,
            y1=rows[-1] + 0.5,
            line={"color": MODEL_COLOURS[1], "width": 2},
        )
    labelled = len(names) <= _LABELLED
    drawn.update_yaxes(
        autorange="reversed",
        tickvals=list(range(len(names))) if labelled else [],
        ticktext=names if labelled else [],
        ticks="",
        showgrid=False,
    )
    drawn.update_xaxes(type="category", ticks="", showgrid=False)
    caption = (
        f"{count(clusters.devices, 'device')} (one row for those that are alike) by the plans kept. The frame is the "
        "plan that they take; nothing is drawn where a plan breaks a limit."
    )
    return Chart(drawn, caption, clusters.workload.name)


def _row_name(clusters: WorkloadClusters, i: int) -> str:
    row = clusters.rows[i]
    first = row.jobs[0].device.name
    return first if len(row.jobs) == 1 else f"{first} and {len(row.jobs) - 1} more"


def _height(rows: int) -> int:
    return 90 + 22 * rows if rows <= _LABELLED else 620
