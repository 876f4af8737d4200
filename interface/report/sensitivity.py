"""What relaxing each limit would buy."""

from __future__ import annotations

from ..units import count
from .colours import PLAN_COLOUR, Look
from .contents import Sensitivity
from .plots import Axis, BarsPlot, Picture

MOST_BARS = 24
_NOTHING = 1e-6
"""Gains that are smaller are sums of floats."""


def sensitivity_picture(sensitivity: Sensitivity) -> Picture | None:
    """A bar for each relaxation, the largest gain first; None where none gains anything."""
    gains = sorted((gain for gain in sensitivity.gains if gain[1] > _NOTHING), key=lambda gain: -gain[1])
    kept = gains[:MOST_BARS]
    if not kept:
        return None
    labels = tuple(label for label, _ in kept)
    plot = BarsPlot(
        Axis(f"gain ({sensitivity.unit})"), labels, {"gain": [gain for _, gain in kept]}, {"gain": Look(PLAN_COLOUR)}
    )
    caption = f"What relaxing one limit at a time would gain; most: {labels[0]}."
    worse = sum(gain < -_NOTHING for _, gain in sensitivity.gains)
    idle = len(sensitivity.gains) - len(gains) - worse
    left_out = [f"{count(idle, 'step')} by which nothing is gained"] if idle else []
    left_out += [f"{count(worse, 'step')} by which something is lost"] if worse else []
    if left_out:
        caption += f" Left out: {', '.join(left_out)}."
    if len(gains) > len(kept):
        caption += f" The largest {MOST_BARS} of {len(gains)} are drawn."
    return Picture(plot, caption)
