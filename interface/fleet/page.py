"""The fleet's report: one self-contained page in the style of the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from importlib.resources import files
from json import dumps
from pathlib import Path
from string import Template

from plotly.offline import get_plotlyjs

from ...profiles.cache import written_whole
from ..identity import planned_with
from ..report.chart import Chart
from ..units import count
from .charts import curve_chart, jobs_chart, map_chart
from .clusters import WorkloadClusters
from .run import FleetRun
from .tables import assignment_table, curve_table, jobs_table, plans_table, share

_REPORT = f"{__name__.rpartition('.')[0].rpartition('.')[0]}.report"
"""Where style and script of all reports lie."""

_ROWS = 200


def write_fleet_report(run: FleetRun, found: Sequence[WorkloadClusters], engine: str, path: Path) -> None:
    """Write the report, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(render_fleet(run, found, engine), encoding="utf-8")


def render_fleet(run: FleetRun, found: Sequence[WorkloadClusters], engine: str) -> str:
    """The report as one HTML document; `engine` says what ran the jobs."""
    resources = files(_REPORT)
    sections = list(_sections(run, found, engine))
    return Template((resources / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(run.fleet.spec.name),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=escape(version("edgeplan")),
        style=(resources / "style.css").read_text(encoding="utf-8"),
        cards="".join(_card(*card) for card in _cards(run, found)),
        navigation="".join(f'<a href="#{_anchor(heading)}">{escape(heading)}</a>' for heading, _ in sections),
        sections="".join(
            f'<section id="{_anchor(heading)}"><h2>{escape(heading)}</h2>{body}</section>' for heading, body in sections
        ),
        plotly=get_plotlyjs(),
        script=(resources / "page.js").read_text(encoding="utf-8"),
    )


def _sections(run: FleetRun, found: Sequence[WorkloadClusters], engine: str) -> Iterator[tuple[str, str]]:
    if found:
        yield "Plans", plans_table(found).to_html()
        curves = _grid(curve_chart(clusters) for clusters in found)
        yield "Loss by number of plans", curves + curve_table(found).to_html()
        maps = _grid(map_chart(clusters) for clusters in found)
        if maps:
            yield "Who shares a plan", maps
        yield "Assignment", assignment_table(found, _ROWS).to_html()
    yield "Jobs", _chart(jobs_chart(run)) + jobs_table(run, _ROWS).to_html()
    facts = {
        "fleet": run.fleet.spec.name,
        "solver": f"{run.fleet.spec.method}, {run.fleet.spec.time_limit_s:g} s a plan, seed {run.fleet.spec.seed}",
        "engine": engine,
        **{f"version of {name}": number for name, number in planned_with().items()},
    }
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    yield "Provenance", f"<dl>{rows}</dl>"


def _cards(run: FleetRun, found: Sequence[WorkloadClusters]) -> Iterator[tuple[str, str, str]]:
    devices = sum(device.count for device in run.fleet.devices)
    yield "devices", f"{devices:,}", count(len(run.fleet.devices), "type")
    planned = sum(result.plan is not None for result in run.results)
    said = ", ".join(f"{number} {status}" for status, number in sorted(run.statuses.items()))
    yield "jobs with a plan", f"{planned} of {len(run.results)}", said
    plans = [plan for clusters in found for plan in clusters.chosen]
    if plans:
        distinct = sum(clusters.distinct_plans for clusters in found)
        yield "plans kept", f"{len(plans):,}", f"of {distinct:,} distinct ones"
        worst = max(plans, key=lambda plan: plan.worst_loss)
        yield "worst loss", share(worst.worst_loss), f"{worst.worst_device} by {worst.name}"


def _card(label: str, value: str, detail: str) -> str:
    return (
        f'<div class="card"><div class="label">{escape(label)}</div><div class="value">{escape(value)}</div>'
        f'<div class="detail">{escape(detail)}</div></div>'
    )


def _grid(charts: Iterable[Chart | None]) -> str:
    """Charts side by side; a workload with a single plan has none."""
    drawn = "".join(_chart(chart) for chart in charts if chart is not None)
    # The empty note keeps the table below at a distance.
    return f'<div class="grid">{drawn}</div><p class="note"></p>' if drawn else ""


def _chart(chart: Chart) -> str:
    # "</" inside the data would end the script element.
    data = (chart.figure.to_json() or "").replace("</", "<\\/")
    heading = f"<h3>{escape(chart.heading)}</h3>" if chart.heading else ""
    height = chart.figure.layout["height"]
    return (
        f'<figure>{heading}<div class="plot" style="min-height:{height}px" role="img" '
        f'aria-label={dumps(escape(chart.caption))}></div><script type="application/json">{data}</script>'
        f"<figcaption>{escape(chart.caption)}</figcaption></figure>"
    )


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")
