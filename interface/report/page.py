"""The page: sections in reading order, charts as data with one script that draws them, nothing from the network."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from plotly.offline import get_plotlyjs

from ..run_record import RunRecord, Setup, mean_absolute_percentage_error
from ..summaries import comparison_table, decisions_table, plan_table, score_table, setups_table, violations_table
from ..units import mebibytes, milliseconds, percent
from .chart import Chart
from .contents import Contents, ScoredPlan
from .front import front_chart
from .memory import memory_chart
from .predictions import prediction_chart
from .responses import drift_chart, response_chart
from .timeline import timeline_chart


def write_report(contents: Contents, path: str | Path) -> Path:
    """Write the report and return its path. The file appears whole or not at all."""
    target = Path(path)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}.", delete=False
    ) as file:
        file.write(render(contents))
    os.chmod(file.name, 0o644)
    os.replace(file.name, target)
    return target


def render(contents: Contents) -> str:
    """The report as one HTML document."""
    resources = files(__name__.rpartition(".")[0])
    sections = [section for section in _sections(contents) if section]
    return Template((resources / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(contents.title),
        created=escape(contents.created),
        version=escape(version("edgeplan")),
        style=(resources / "style.css").read_text(encoding="utf-8"),
        cards=_cards(contents),
        navigation="".join(f'<a href="#{_anchor(h)}">{escape(h)}</a>' for h, _ in sections),
        sections="".join(
            f'<section id="{_anchor(heading)}"><h2>{escape(heading)}</h2>{body}</section>' for heading, body in sections
        ),
        plotly=get_plotlyjs(),
        script=(resources / "page.js").read_text(encoding="utf-8"),
    )


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def _chart(chart: Chart) -> str:
    # "</" inside the data would end the script element.
    data = (chart.figure.to_json() or "").replace("</", "<\\/")
    heading = f"<h3>{escape(chart.heading)}</h3>" if chart.heading else ""
    height = chart.figure.layout["height"]
    return (
        f'<figure>{heading}<div class="plot" style="min-height:{height}px" role="img" '
        f'aria-label={json.dumps(escape(chart.caption))}></div><script type="application/json">{data}</script>'
        f"<figcaption>{escape(chart.caption)}</figcaption></figure>"
    )


def _grid(charts: Iterable[Chart]) -> str:
    return f'<div class="grid">{"".join(_chart(chart) for chart in charts)}</div>'


def _sections(contents: Contents) -> Iterator[tuple[str, str]]:
    yield from _run_sections(contents.run, _models(contents))
    yield from _plan_sections(contents.planned, contents.run)
    if contents.fronts:
        yield "Fronts", _grid(front_chart(front) for front in contents.fronts)
    if contents.profile is not None:
        yield "Profile", contents.profile.to_html()
    if contents.provenance:
        rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in contents.provenance.items())
        yield "Provenance", f"<dl>{rows}</dl>"


def _run_sections(run: RunRecord | None, models: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if run is None:
        return
    yield "Outcome", comparison_table(run).to_html() + setups_table(run).to_html()
    yield "Responses", _grid(response_chart(run, model) for model in models)
    timelines = [timeline_chart(setup, models) for setup in _planned(run)[:1]]
    if any(timelines):
        yield "Core timeline", "".join(_chart(chart) for chart in timelines if chart)
    drifts = [setup for setup in run.setups if setup.decisions]
    if drifts:
        yield (
            "Drift and re-planning",
            "".join(_chart(drift_chart(setup, models)) + decisions_table(setup).to_html() for setup in drifts),
        )
    if run.predictions:
        yield "Predicted against observed", _chart(prediction_chart(run, models))


def _plan_sections(planned: ScoredPlan | None, run: RunRecord | None) -> Iterator[tuple[str, str]]:
    if planned is None:
        return
    problem, plan, evaluation = planned.problem, planned.plan, planned.evaluation
    broken = violations_table(evaluation.violations).to_html() if evaluation.violations else ""
    if not evaluation.models:  # its segments are broken: there is nothing to score
        yield "Plan", broken
        return
    yield "Plan", broken + score_table(problem, evaluation).to_html() + plan_table(plan, evaluation).to_html()
    yield "Memory", _chart(memory_chart(problem, evaluation, run))


def _models(contents: Contents) -> tuple[str, ...]:
    if contents.planned is not None:
        return tuple(model.name for model in contents.planned.problem.models)
    if contents.run is not None:
        return tuple(sorted({model for setup in contents.run.setups for model in setup.models}))
    return ()


def _planned(run: RunRecord) -> list[Setup]:
    """Set-ups with recorded segments, the plan's first."""
    recorded = [s for s in run.setups if any(r.segments for r in s.requests)]
    return sorted(recorded, key=lambda s: s.role != "plan")


def _cards(contents: Contents) -> str:
    cards = [*_run_cards(contents.run), *_plan_cards(contents.planned)]
    return "".join(
        f'<div class="card"><div class="label">{escape(label)}</div><div class="value">{escape(value)}</div>'
        f'<div class="detail">{escape(detail)}</div></div>'
        for label, value, detail in cards
    )


def _run_cards(run: RunRecord | None) -> Iterator[tuple[str, str, str]]:
    plan = next((s for s in run.setups if s.role == "plan"), None) if run else None
    if run is None or plan is None:
        return
    baselines = [s for s in run.setups if s.role == "baseline"]
    missed = " · ".join(f"{s.name} {percent(s.miss_ratio())}" for s in baselines)
    yield "deadlines missed", percent(plan.miss_ratio()), missed
    p99 = " · ".join(f"{s.name} {milliseconds(s.percentile_us(0.99))}" for s in baselines)
    yield "p99 response, all models", f"{milliseconds(plan.percentile_us(0.99))} ms", p99
    if run.predictions:
        held_out = [p for p in run.predictions if p.held_out]
        error = mean_absolute_percentage_error(held_out or run.predictions)
        over = f"{len(held_out)} segments outside the fit" if held_out else f"{len(run.predictions)} fitted segments"
        yield "prediction error", percent(error), f"mean over {over}"


def _plan_cards(planned: ScoredPlan | None) -> Iterator[tuple[str, str, str]]:
    if planned is None:
        return
    problem, plan, evaluation = planned.problem, planned.plan, planned.evaluation
    gap = "" if plan.solver.gap is None else f"gap {percent(plan.solver.gap)}, "
    yield "plan", plan.solver.status, f"{gap}{plan.solver.method}"
    for memory, used in evaluation.memory_bytes.items():
        yield f"memory {memory}", f"{mebibytes(used)} MiB", f"limit {mebibytes(problem.memory_limit[memory])} MiB"
