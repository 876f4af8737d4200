"""Conditions that were held against a plan, as a table and as plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .conditions import Outcome
from .figures import LEVEL, Simulation
from .table import Cell, Table
from .units import count


def conditions_table(found: Sequence[Outcome], simulation: Simulation) -> Table:
    """Every condition with the figure that it was held against."""
    rows = []
    for outcome in found:
        condition, estimate = outcome.condition, outcome.estimate
        rows.append(
            (
                Cell(str(condition), "strong"),
                outcome.subject or "the plan",
                condition.text_of(estimate.value),
                f"± {condition.text_of(estimate.half_width)}" if condition.figure.simulated else "",
                condition.text_of(condition.limit),
                Cell(outcome.verdict, "good" if outcome.verdict == "passed" else "bad"),
                _remark(outcome),
            )
        )
    failed = sum(outcome.verdict != "passed" for outcome in found)
    note = f"{failed} of {count(len(found), 'check')} failed."
    if any(outcome.condition.figure.simulated for outcome in found):
        note += f" {simulation_text(simulation)}"
    columns = ("fail on", "of", ">value", ">interval", ">limit", "check", "")
    return Table("Conditions that must not hold", columns, tuple(rows), note)


def simulation_text(simulation: Simulation) -> str:
    """What was played, in a sentence."""
    return (
        f"Simulated: about {count(simulation.requests, 'request')} of all models, seed {simulation.seed}; ± is half of "
        f"the {LEVEL:.0%} interval."
    )


def simulation_data(simulation: Simulation) -> dict[str, Any]:
    """The same as plain data."""
    return {"requests": simulation.requests, "seed": simulation.seed, "level": LEVEL}


def conditions_data(found: Sequence[Outcome], simulation: Simulation) -> dict[str, Any]:
    """Every condition with the figure that it was held against, as plain data."""
    return {
        "failed": sum(outcome.verdict != "passed" for outcome in found),
        "simulation": simulation_data(simulation),
        "outcomes": [
            {
                "condition": str(outcome.condition),
                "figure": outcome.condition.figure.name,
                "of": outcome.subject,
                "delta": outcome.condition.delta,
                "relative": outcome.condition.is_relative,
                "value": outcome.estimate.value,
                "low": outcome.estimate.low,
                "high": outcome.estimate.high,
                "limit": outcome.condition.limit,
                "verdict": outcome.verdict,
                "decided": outcome.is_decided,
            }
            for outcome in found
        ],
    }


def _remark(outcome: Outcome) -> str:
    if outcome.verdict == "unknown":
        return "not known: the plan cannot run here, or there were no requests"
    if outcome.is_decided:
        return ""
    if math.isnan(outcome.estimate.low):
        return "no interval: too few requests, or nothing to compare with"
    return "undecided: the limit lies within the interval; simulate more (--requests)"
