"""Predicted against observed times, segment by segment."""

from __future__ import annotations

from ..run_record import RunRecord, mean_absolute_percentage_error
from ..table import Cell, Table
from ..units import count, milliseconds, percent
from .colours import QUIET_COLOUR, Look, model_looks
from .plots import Axis, Picture, Series, XYPlot


def prediction_picture(run: RunRecord, models: tuple[str, ...]) -> Picture:
    """Scatter of the plan's segments; hollow points were not in the fit."""
    times = [t / 1e3 for p in run.predictions for t in (p.predicted_us, p.observed_us)]
    ends = [min(times) / 1.3, max(times) * 1.3]
    drawn = [Series("equal", ends, ends, Look(QUIET_COLOUR, "dot"), is_quiet=True)]
    for model, look in model_looks(models).items():
        mine = [p for p in run.predictions if p.model == model]
        if mine:
            drawn.append(
                Series(
                    model,
                    [p.predicted_us / 1e3 for p in mine],
                    [p.observed_us / 1e3 for p in mine],
                    look,
                    "points",
                    [f"{p.model} [{p.start}, {p.stop}) {p.configuration}; {count(p.runs, 'run')}" for p in mine],
                    [p.held_out for p in mine],
                )
            )
    held_out = [p for p in run.predictions if p.held_out]
    caption = (
        f"Mean absolute percentage error {percent(mean_absolute_percentage_error(run.predictions))} over "
        f"{count(len(run.predictions), 'segment')}"
    )
    if held_out:
        caption += (
            f"; {percent(mean_absolute_percentage_error(held_out))} over the {len(held_out)} outside the fit (hollow)"
        )
    span = (ends[0], ends[1])
    x, y = Axis("predicted (ms)", logarithmic=True, span=span), Axis("observed (ms)", logarithmic=True, span=span)
    caption += ". Observed is the median of the live runs."
    return Picture(XYPlot(x, y, tuple(drawn), height=380), caption)


def prediction_table(run: RunRecord) -> Table:
    """Every segment's predicted and observed time."""
    return Table(
        "Segments",
        ("model", "layers", "configuration", ">predicted ms", ">observed ms", ">error", ">runs", "in the fit"),
        tuple(
            (
                Cell(p.model, "strong"),
                f"{p.start}–{p.stop - 1}",
                p.configuration,
                milliseconds(p.predicted_us),
                milliseconds(p.observed_us),
                percent(p.error),
                f"{p.runs:,}",
                "no" if p.held_out else "yes",
            )
            for p in run.predictions
        ),
        note="Error: |predicted − observed| / observed.",
    )
