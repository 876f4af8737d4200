"""Predicted against observed times, segment by segment."""

from __future__ import annotations

import plotly.graph_objects as go

from ..run_record import RunRecord, mean_absolute_percentage_error
from ..units import count, percent
from .chart import QUIET_COLOUR, Chart, figure, logarithmic, model_colours


def prediction_chart(run: RunRecord, models: tuple[str, ...]) -> Chart:
    """Scatter of the plan's segments; hollow points were not in the fit."""
    drawn = figure("predicted (ms)", "observed (ms)", height=380)
    times = [t / 1e3 for p in run.predictions for t in (p.predicted_us, p.observed_us)]
    low, high = min(times) / 1.3, max(times) * 1.3
    drawn.add_trace(
        go.Scatter(
            x=[low, high],
            y=[low, high],
            mode="lines",
            name="equal",
            line={"color": QUIET_COLOUR, "width": 1, "dash": "dot"},
            hoverinfo="skip",
        )
    )
    for model, colour in model_colours(models).items():
        mine = [p for p in run.predictions if p.model == model]
        if not mine:
            continue
        drawn.add_trace(
            go.Scatter(
                x=[p.predicted_us / 1e3 for p in mine],
                y=[p.observed_us / 1e3 for p in mine],
                mode="markers",
                name=model,
                marker={
                    "color": colour,
                    "size": 9,
                    "symbol": ["circle-open" if p.held_out else "circle" for p in mine],
                    "line": {"width": 1.5, "color": colour},
                },
                text=[f"{p.model} [{p.start}, {p.stop}) {p.configuration}<br>{count(p.runs, 'run')}" for p in mine],
                hovertemplate="%{text}<br>predicted %{x:.3f} ms, observed %{y:.3f} ms",
            )
        )
    drawn.update_xaxes(**logarithmic(times))
    drawn.update_yaxes(**logarithmic(times))
    held_out = [p for p in run.predictions if p.held_out]
    caption = (
        f"Mean absolute percentage error {percent(mean_absolute_percentage_error(run.predictions))} over "
        f"{count(len(run.predictions), 'segment')}"
    )
    if held_out:
        caption += (
            f"; {percent(mean_absolute_percentage_error(held_out))} over the {len(held_out)} outside the fit (hollow)"
        )
    return Chart(drawn, caption + ". Observed is the median of the live runs.")
