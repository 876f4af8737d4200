"""Colours of all pictures, and names short enough to stand in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Okabe and Ito's colours, lightened where they would drown on a dark page: told apart by most colour-blind readers.
MODEL_COLOURS = ("#3b82c4", "#e08e0b", "#2a9d74", "#c2619f", "#62b5e5", "#d6602b", "#8b7bd8", "#a3a53a")
BASELINE_COLOURS = ("#8a8f98", "#e08e0b", "#c2619f", "#62b5e5")
PLAN_COLOUR = "#3b82c4"
GOOD_COLOUR = "#2a9d74"
BAD_COLOUR = "#d64545"
QUIET_COLOUR = "#8a8f98"
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
PATTERNS = ("", "/", "x", ".", "\\", "-", "|", "+")
LONGEST_NAME = 28


@dataclass(frozen=True)
class Look:
    """How one model or set-up looks wherever it is drawn: once the colours are used up, dashes and patterns differ."""

    colour: str
    dash: str = "solid"
    pattern: str = ""


def model_colours(models: Sequence[str]) -> dict[str, str]:
    """One colour a model, the same in every chart."""
    return {model: MODEL_COLOURS[i % len(MODEL_COLOURS)] for i, model in enumerate(models)}


def model_looks(models: Sequence[str]) -> dict[str, Look]:
    """Colour, dash and pattern of each model, the same in every picture."""
    n = len(MODEL_COLOURS)
    return {
        model: Look(MODEL_COLOURS[i % n], DASHES[i // n % len(DASHES)], PATTERNS[i // n % len(PATTERNS)])
        for i, model in enumerate(models)
    }


def shortened(name: str, length: int = LONGEST_NAME) -> str:
    """A name that fits into a legend: begin and end are kept, for names often differ only there."""
    if len(name) <= length:
        return name
    head = (length - 1) // 2
    return f"{name[:head]}…{name[head + 1 - length :]}"
