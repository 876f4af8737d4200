"""Who had which core when: a window of the run, one row a core."""

from __future__ import annotations

import plotly.graph_objects as go

from ..run_record import Request, Setup
from ..units import count
from .chart import BAD_COLOUR, Chart, figure, model_colours

GAP_COLOUR = "rgba(255,255,255,0.6)"
KEPT_BARS = 1500
"""Bars that the chart holds at most, to be reached by dragging."""
SHOWN_BARS = 160
"""Bars that it shows at first: many more are lines too thin to see."""


def timeline_chart(setup: Setup, models: tuple[str, ...]) -> Chart | None:
    """Draw the busiest opening of a set-up; None where no segment was recorded."""
    begin_us, end_us = _opening(setup, KEPT_BARS)
    bars = [
        (request, run, core)
        for request in setup.requests
        for run in request.segments
        if run.start_us < end_us and run.finish_us > begin_us
        for core in run.cores
    ]
    if not bars:
        return None
    cores = sorted({core for _, _, core in bars})
    rows = {core: i for i, core in enumerate(cores)}
    drawn = figure(
        "time (s)", "", height=110 + 56 * len(cores), barmode="overlay", bargap=0.3, dragmode="pan", hovermode="closest"
    )
    for model, colour in model_colours(models).items():
        mine = [bar for bar in bars if bar[0].model == model]
        if not mine:
            continue
        drawn.add_trace(
            go.Bar(
                orientation="h",
                name=model,
                base=[run.start_us / 1e6 for _, run, _ in mine],
                x=[(run.finish_us - run.start_us) / 1e6 for _, run, _ in mine],
                y=[rows[core] for _, _, core in mine],
                marker={
                    "color": colour,
                    "line": {"width": 0.6, "color": [BAD_COLOUR if r.missed else GAP_COLOUR for r, _, _ in mine]},
                },
                text=[_hover(request, run.segment) for request, run, _ in mine],
                textposition="none",
                hovertemplate="%{text}<br>from %{base:.4f} s for %{x:.4f} s",
            )
        )
    drawn.update_yaxes(
        tickvals=list(rows.values()),
        ticktext=[f"core {core}" for core in cores],
        showgrid=False,
        fixedrange=True,
        range=[-0.5, len(cores) - 0.5],
    )
    drawn.update_xaxes(range=[begin_us / 1e6, _opening(setup, SHOWN_BARS)[1] / 1e6])
    missed = len({id(request) for request, _, _ in bars if request.missed})
    late = f"Outlined in red: {count(missed, 'request')} that missed the deadline." if missed else "No deadline missed."
    caption = (
        f"The first {(end_us - begin_us) / 1e6:.1f} of {setup.duration_s:.0f} seconds; drag to move, double-click to "
        f"see all. Every bar is one segment; where one ends, a more urgent request may go first. {late}"
    )
    return Chart(drawn, caption, setup.name)


def _opening(setup: Setup, bars: int) -> tuple[float, float]:
    """When a set-up's first so many bars begin and end."""
    starts = sorted(run.start_us for request in setup.requests for run in request.segments for _ in run.cores)
    if not starts:
        return 0.0, 0.0
    last = starts[min(bars, len(starts)) - 1]
    ends = (run.finish_us for request in setup.requests for run in request.segments if run.start_us <= last)
    return starts[0], max(ends)


def _hover(request: Request, segment: int) -> str:
    if request.response_us is None:
        became = "failed"
    else:
        became = f"response {request.response_us / 1e3:.1f} ms" + (", late" if request.missed else "")
    return f"{request.model}, segment {segment}<br>arrived {request.arrival_us / 1e6:.4f} s, {became}"
