"""Responses against deadlines: as a distribution, and over time while the load changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ..run_record import RunRecord, Setup
from ..units import milliseconds, percent
from .chart import (
    BAD_COLOUR,
    BASELINE_COLOURS,
    DASHES,
    PLAN_COLOUR,
    QUIET_COLOUR,
    Chart,
    figure,
    logarithmic,
    model_colours,
)

MAX_POINTS = 400
"""Points of one curve: its quantiles, with every one of the slowest kept."""


def setup_styles(setups: Sequence[Setup]) -> dict[str, tuple[str, str]]:
    """Colour and dash of every set-up, the same in every chart: the plan is solid blue."""
    styles: dict[str, tuple[str, str]] = {}
    others = 0
    for setup in setups:
        if setup.role == "baseline":
            styles[setup.name] = (BASELINE_COLOURS[others % len(BASELINE_COLOURS)], DASHES[1 + others % 3])
            others += 1
        else:
            styles[setup.name] = (PLAN_COLOUR, "solid")
    return styles


def response_chart(run: RunRecord, model: str) -> Chart:
    """Share of one model's requests that took longer than a given time, one curve a set-up."""
    setups = [s for s in run.setups if s.role != "drift" and len(s.responses_us(model))]
    deadline_us = deadline_of(setups, model)
    drawn = figure("response (ms)", "slower than that", height=300)
    shown = [us / 1e3 for setup in setups for us in setup.responses_us(model)[[0, -1]]]
    axis = logarithmic([*shown, *([deadline_us / 1e3] if deadline_us else [])])
    drawn.update_xaxes(**axis)
    parts = []
    for setup in setups:
        colour, dash = setup_styles(setups)[setup.name]
        responses = setup.responses_us(model)
        kept = np.unique(
            np.concatenate(
                [
                    np.linspace(0, len(responses) - 1, min(len(responses), MAX_POINTS)).astype(int),
                    np.arange(max(0, len(responses) - 50), len(responses)),
                ]
            )
        )
        # Failed requests never ended: the curve ends above zero by their share.
        slower = 1 - (kept + 1) / len(setup.of(model))
        drawn.add_trace(
            go.Scatter(
                x=responses[kept] / 1e3,
                y=slower,
                mode="lines",
                name=setup.name,
                line={"color": colour, "dash": dash, "width": 2, "shape": "hv"},
                hovertemplate="%{y:.1%} take longer than %{x:.1f} ms",
            )
        )
        parts.append(f"{setup.name} p99 {milliseconds(setup.percentile_us(0.99, model))} ms")
    drawn.update_yaxes(tickformat=".0%", range=[0, 1.02])
    caption = "; ".join(parts) + "."
    if deadline_us is not None:
        drawn.add_vline(x=deadline_us / 1e3, line={"color": BAD_COLOUR, "width": 1.5, "dash": "dot"})
        # On a logarithmic axis shapes are placed by value, annotations by exponent.
        exponent = float(np.log10(deadline_us / 1e3))
        drawn.add_annotation(
            x=exponent,
            y=1.0,
            yref="paper",
            text="deadline",
            showarrow=False,
            xanchor="right" if exponent > 0.25 * axis["range"][0] + 0.75 * axis["range"][1] else "left",
            yanchor="top",
            font={"color": BAD_COLOUR},
        )
        missed = "; ".join(f"{s.name} {percent(s.miss_ratio(model))}" for s in setups)
        caption += f" Deadline {milliseconds(deadline_us)} ms, missed by: {missed}."
    return Chart(drawn, caption, model)


def deadline_of(setups: Sequence[Setup], model: str) -> float | None:
    """Relative deadline of a model's requests, microseconds; None where they have none."""
    return next((r.deadline_us for s in setups for r in s.of(model)), None)


def drift_chart(setup: Setup, models: tuple[str, ...]) -> Chart:
    """Responses over time, as shares of the deadline, with the runtime's decisions."""
    with_deadline = [m for m in models if deadline_of([setup], m) is not None]
    drawn = figure("time (s)", "response / deadline", height=340)
    late = [r.response_us / r.deadline_us for r in setup.requests if r.response_us and r.deadline_us]
    drawn.update_yaxes(**logarithmic([*late, 1.0]))
    for model, colour in model_colours(models).items():
        served = [r for r in setup.of(model) if r.response_us is not None and r.deadline_us is not None]
        if not served:
            continue
        drawn.add_trace(
            go.Scatter(
                x=[r.arrival_us / 1e6 for r in served],
                y=[(r.response_us or 0.0) / (r.deadline_us or 1.0) for r in served],
                mode="markers",
                name=model,
                marker={"color": colour, "size": 4, "opacity": 0.75},
                hovertemplate="arrived %{x:.2f} s: %{y:.2f} of its deadline",
            )
        )
    drawn.add_hline(y=1.0, line={"color": BAD_COLOUR, "width": 1.5, "dash": "dot"})
    for number, decision in enumerate(setup.decisions, start=1):
        drawn.add_vline(
            x=decision.at_us / 1e6,
            line={"color": QUIET_COLOUR, "width": 1, "dash": "dash"},
            annotation={"text": str(number), "yanchor": "top", "font": {"color": QUIET_COLOUR}},
        )
    return Chart(
        drawn,
        f"{setup.name}: requests above the dotted line were late ({percent(setup.miss_ratio())} of all, "
        f"{len(with_deadline)} models with deadlines). Numbered lines are the decisions listed below.",
        setup.name,
    )
