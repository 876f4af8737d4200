"""What all charts share: colours, layout, and the form in which a page takes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

# Okabe and Ito's colours, lightened where they would drown on a dark page: told apart by most colour-blind readers.
MODEL_COLOURS = ("#3b82c4", "#e08e0b", "#2a9d74", "#c2619f", "#62b5e5", "#d6602b", "#8b7bd8", "#a3a53a")
BASELINE_COLOURS = ("#8a8f98", "#e08e0b", "#c2619f", "#62b5e5")
PLAN_COLOUR = "#3b82c4"
GOOD_COLOUR = "#2a9d74"
BAD_COLOUR = "#d64545"
QUIET_COLOUR = "#8a8f98"
DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class Chart:
    """A figure with its caption. The caption is HTML-escaped by the page; it says what to see, in words."""

    figure: go.Figure
    caption: str
    heading: str = ""


def model_colours(models: Sequence[str]) -> dict[str, str]:
    """One colour a model, the same in every chart."""
    return {model: MODEL_COLOURS[i % len(MODEL_COLOURS)] for i, model in enumerate(models)}


def figure(x_title: str, y_title: str, height: int = 320, **layout: Any) -> go.Figure:
    """Start an empty figure; colours of text and grid are set by the page, which knows whether it is dark."""
    axis = {"zeroline": False, "ticks": "outside", "ticklen": 4, "automargin": True, "title": {"standoff": 8}}
    return go.Figure(
        layout=go.Layout(
            template="none",
            height=height,
            margin={"l": 8, "r": 12, "t": 12, "b": 8},
            paper_bgcolor="rgba(0,0,0,0)",
            plot_bgcolor="rgba(0,0,0,0)",
            font={"size": 12},
            legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
            hoverlabel={"namelength": -1},
            xaxis={**axis, "title": {"text": x_title, "standoff": 8}},
            yaxis={**axis, "title": {"text": y_title, "standoff": 8}},
        ).update(layout)
    )


def logarithmic(values: Iterable[float]) -> dict[str, Any]:
    """Settings of a logarithmic axis over positive values, labelled at 1, 2 and 5 times powers of ten."""
    kept = [value for value in values if value > 0]
    low, high = (min(kept) / 1.15, max(kept) * 1.15) if kept else (0.1, 10.0)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    return {
        "type": "log",
        "range": [math.log10(low), math.log10(high)],
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }
