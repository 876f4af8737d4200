"""The page of a sweep: charts and table in one HTML file that asks nothing of the network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from plotly.offline import get_plotlyjs

from ...profiles.cache import written_whole
from .. import report
from ..report.chart import Chart
from ..units import milliseconds, percent
from .charts import SLICES, sweep_charts
from .metrics import sweep_table
from .sweeps import Sweep


def write_page(sweep: Sweep, title: str, path: str | Path) -> Path:
    """Write the page and return its path. The file appears whole or not at all."""
    target = Path(path)
    with written_whole(target) as temporary:
        temporary.write_text(render(sweep, title), encoding="utf-8")
    return target


def render(sweep: Sweep, title: str) -> str:
    """The page as one HTML document, in the style of the report."""
    own, shared = files(__name__.rpartition(".")[0]), files(report.__name__)
    sections = list(_sections(sweep))
    return Template((own / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=escape(version("edgeplan")),
        style=(shared / "style.css").read_text(encoding="utf-8"),
        cards=_cards(sweep),
        navigation="".join(f'<a href="#s{k}">{escape(heading)}</a>' for k, (heading, _) in enumerate(sections)),
        sections="".join(
            f'<section id="s{k}"><h2>{escape(heading)}</h2>{body}</section>'
            for k, (heading, body) in enumerate(sections)
        ),
        plotly=get_plotlyjs(),
        script=(shared / "page.js").read_text(encoding="utf-8"),
    )


def _sections(sweep: Sweep) -> Iterator[tuple[str, str]]:
    for heading, charts in sweep_charts(sweep):
        body = "".join(_chart(chart) for chart in charts)
        yield heading, f'<div class="grid">{body}</div>' if len(charts) > 1 else body
    yield "Points", sweep_table(sweep).to_html()
    asked = sweep.asker
    how = "every policy of sharing cores, judged by simulation" if sweep.policies else "the objective as it stands"
    rows = {
        "axes": "; ".join(f"{axis.name} turns {', '.join(k.name for k in axis.knobs)}" for axis in sweep.axes),
        "each point": f"method {asked.method}, {asked.time_limit_s:g} s, seed {asked.seed}; {how}",
        "simulated": f"{asked.requests:,} requests for each plan, the same arrivals at the same rates",
    }
    slices = math.prod(sweep.shape[2:])
    if slices > SLICES:
        rows["maps"] = f"of the first {SLICES} of {slices} settings of the axes beyond the second; the table has all"
    listed = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in rows.items())
    yield "How it was made", f"<dl>{listed}</dl>"


def _chart(chart: Chart) -> str:
    # "</" inside the data would end the script element.
    data = (chart.figure.to_json() or "").replace("</", "<\\/")
    heading = f"<h3>{escape(chart.heading)}</h3>" if chart.heading else ""
    height = chart.figure.layout["height"]
    return (
        f'<figure>{heading}<div class="plot" style="min-height:{height}px" role="img" '
        f'aria-label="{escape(chart.caption)}"></div><script type="application/json">{data}</script>'
        f"<figcaption>{escape(chart.caption)}</figcaption></figure>"
    )


def _cards(sweep: Sweep) -> str:
    points = sweep.points
    planned = [p for p in points if p.reply.objective_us is not None]
    proven = sum(p.reply.status in ("optimal", "infeasible") for p in points)
    cards = [("points", f"{len(points):,}", f"{sum(p.is_kept for p in points):,} of them answered before")]
    cards.append(("with a plan", f"{len(planned):,}", f"{len(points) - len(planned):,} without"))
    gaps = [p.reply.gap for p in points if p.reply.status == "feasible" and p.reply.gap is not None]
    cards.append(("proven", f"{proven:,}", f"largest gap {percent(max(gaps))}" if gaps else "optimal or infeasible"))
    if planned:
        best = min(planned, key=lambda p: p.reply.objective_us or 0.0)
        cards.append(("least objective", f"{milliseconds(best.reply.objective_us or 0.0)} ms", f"at {best.label}"))
    return "".join(
        f'<div class="card"><div class="label">{escape(label)}</div><div class="value">{escape(value)}</div>'
        f'<div class="detail">{escape(detail)}</div></div>'
        for label, value, detail in cards
    )
