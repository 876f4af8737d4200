"""Prices and rescues for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..outcome import clash_note
from ..table import Cell, Table, Tone
from ..units import milliseconds, percent
from .answers import Played, Reply
from .knobs import knob_of
from .prices import Price

if TYPE_CHECKING:
    from ...solvers import Solution
    from .rescues import Rescue

SHOWN_GAP = 5e-4
"""Gap from which it is told; below, it would read 0.0 %."""
_TONES: dict[str, Tone] = {"binds": "strong", "free": "", "open": ""}


def prices_table(prices: Sequence[Price], title: str = "What each limit costs") -> Table:
    """What a step of each limit is worth, one row a step; limits that bind come first.

    Parameters
    ----------
    prices : sequence of Price
        Of one problem.
    title : str
    """
    ordered = sorted(prices, key=lambda price: -_worth(price))
    rows = tuple(
        (
            Cell(price.knob.name, _TONES[price.verdict]),
            price.knob.shown(price.value),
            price.knob.shown(price.turned),
            _gain(price),
            _interval(price),
            _per_unit(price),
            *_fate(price.after),
            _status(price),
        )
        for price in ordered
    )
    return Table(
        title,
        (
            "limit",
            ">now",
            ">turned to",
            ">gain ms",
            ">true gain between",
            ">gain per unit",
            ">p99 ms",
            ">misses",
            "what is known",
        ),
        rows,
        note=_note(prices),
    )


def _worth(price: Price) -> float:
    gain = price.gain_us
    if gain is None:
        return math.inf if price.after.status == "infeasible" else 0.0
    return abs(gain) + (1e9 if price.verdict == "binds" else 0.0)


def _gain(price: Price) -> Cell:
    if price.after.status == "infeasible":
        return Cell("no plan", "bad")
    if price.gain_us is None:
        return Cell("–")
    tone: Tone = "" if price.verdict == "free" else "good" if price.gain_us > 0 else "bad" if price.gain_us < 0 else ""
    return Cell(_signed(price.gain_us), tone)


def _signed(us: float) -> str:
    """Milliseconds with their sign; a difference below a nanosecond is none."""
    if abs(us) < 1e-3:
        return "0"
    return f"{'+' if us > 0 else '−'}{milliseconds(abs(us))}"


def _interval(price: Price) -> str:
    if price.is_exact:
        return "exact"
    low, high = price.interval_us
    return f"{_signed(low)} … {_signed(high)}"


def _per_unit(price: Price) -> str:
    each = price.per_unit_us
    return "–" if each is None else f"{_signed(each)} ms/{price.knob.unit}" if abs(each) >= 1e-3 else "0"


def _fate(reply: Reply) -> tuple[str, str]:
    played = reply.played
    return ("–", "–") if played is None else (milliseconds(played.p99_us), percent(played.miss_ratio))


def _status(price: Price) -> str:
    parts = []
    if price.after.status == "infeasible":
        parts.append("nothing keeps it")
    elif price.after.status == "timeout":
        parts.append("no answer in time")
    else:
        binds = "changes the optimum" if price.reorders else "binds"
        parts.append({"binds": binds, "free": "does not bind", "open": "open"}[price.verdict])
    gap = price.after.gap
    if price.after.status == "feasible" and gap is not None and gap >= SHOWN_GAP:
        parts.append(f"gap {percent(gap)}")
    if price.reorders:
        parts.append("reorders")
    return ", ".join(parts)


def _note(prices: Sequence[Price]) -> str:
    if not prices:
        return "Nothing was priced."
    before = prices[0].before
    objective = "–" if before.objective_us is None else f"{milliseconds(before.objective_us)} ms"
    proven = before.status
    if before.status != "optimal":
        proven += ", not proven" if before.gap is None else f", gap {percent(before.gap)}"
    text = f"As it is: objective {objective} ({proven})"
    if before.played is not None:
        text += f", simulated p99 {milliseconds(before.played.p99_us)} ms, {percent(before.played.miss_ratio)} missed"
    return (
        f"{text}. Each row is a problem of its own, solved again by the same method and seed: a gain is the difference "
        "of two optima over that step, not a slope. Exact where both are proven; open: not known whether it binds."
        + (" Reorders: other requests go first then." if any(price.reorders for price in prices) else "")
    )


def reply_data(reply: Reply) -> dict[str, Any]:
    """What is known of a problem, without its plan, as plain data."""
    return {
        "status": reply.status,
        "objective_us": reply.objective_us,
        "bound_us": reply.bound_us,
        "gap": reply.gap,
        "reason": reply.reason,
        "simulated": played_data(reply.played),
    }


def played_data(played: Played | None) -> dict[str, Any] | None:
    """Simulated figures as plain data."""
    if played is None:
        return None
    return {
        "p99_us": played.p99_us,
        "model_p99_us": dict(played.model_p99_us),
        "miss_ratio": played.miss_ratio,
    }


def prices_data(prices: Sequence[Price]) -> dict[str, Any]:
    """Prices as plain data; an infinite end of an interval is null."""
    return {
        "before": reply_data(prices[0].before) if prices else None,
        "steps": [
            {
                "limit": price.knob.name,
                "direction": price.direction,
                "value": price.value,
                "turned": price.turned,
                "after": reply_data(price.after),
                "gain_us": price.gain_us,
                "interval_us": list(price.interval_us),
                "gain_per_unit_us": price.per_unit_us,
                "unit": price.knob.unit,
                "exact": price.is_exact,
                "verdict": price.verdict,
                "reorders": price.reorders,
            }
            for price in prices
        ],
    }


def clash_needs_table(solution: Solution) -> Table:
    """Limits that clash: what each allows, and the least that it must allow while the others of the clash hold."""
    rows = []
    for clash in solution.clashes:
        knob = knob_of(clash.limit)
        best = clash.best_achievable
        rows.append(
            (
                Cell(knob.name, "bad"),
                knob.shown(clash.bound),
                "–" if best is None else knob.shown(best),
                clash.sentence,
            )
        )
    return Table(
        "Why there is no plan",
        ("limit", ">allows", ">must allow", "what"),
        tuple(rows),
        note=f"{clash_note(solution)} Other limits may clash besides.",
    )


def rescues_table(rescues: Sequence[Rescue]) -> Table:
    """What makes the problem feasible, one limit at a time; the smallest change first."""
    rows = tuple(
        (
            Cell(rescue.knob.name, "good" if k == 0 and rescue.needs is not None else ""),
            rescue.knob.shown(rescue.value),
            "–" if rescue.needs is None else rescue.knob.shown(rescue.needs),
            f"{'÷' if rescue.knob.looser < 0 else '×'} {rescue.change:.3g}" if math.isfinite(rescue.change) else "–",
            rescue.knob.shown(rescue.refused),
            _rescue_says(rescue),
        )
        for k, rescue in enumerate(rescues)
    )
    return Table(
        "What would make one, each limit by itself",
        ("limit", ">now", ">needs", ">change", ">not enough", "what is known"),
        rows,
        note="The smallest change first. The true threshold lies between “not enough” and “needs”, which differ by at "
        "most 1 % where the search ended.",
    )


def _rescue_says(rescue: Rescue) -> str:
    if rescue.needs is None:
        return "does not help by itself" if rescue.is_proven else "no plan was found in time"
    parts = [f"a plan with objective {milliseconds(rescue.after.objective_us or 0.0)} ms"]
    if not rescue.is_proven:
        parts.append("less was not answered in time")
    if rescue.reorders:
        parts.append("less might do: requests go in another order or on other cores")
    return "; ".join(parts)


def rescues_data(rescues: Sequence[Rescue]) -> list[dict[str, Any]]:
    """Rescues as plain data."""
    return [
        {
            "limit": rescue.knob.name,
            "value": rescue.value,
            "needs": rescue.needs,
            "refused": rescue.refused,
            "change": rescue.change,
            "proven": rescue.is_proven,
            "reorders": rescue.reorders,
            "after": reply_data(rescue.after),
        }
        for rescue in rescues
    ]
