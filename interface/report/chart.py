"""Charts for a page: plotly figures whose text and grid take the page's colours."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go

from .plots import logarithmic_span


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
    low, high = logarithmic_span(values)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 4 else (1,)  # more would overlap on a phone
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    return {
        "type": "log",
        "range": [math.log10(low), math.log10(high)],
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }
