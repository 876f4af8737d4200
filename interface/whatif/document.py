"""What the report of a sweep says, whether on a page or in a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from ..report.document import Block, Card, Document, Facts, Gallery, laid_out
from ..units import milliseconds, percent
from .metrics import METRICS, sweep_table
from .pictures import SLICES, curve_picture, slices_of, surface_of, sweep_grid, trade_off_picture
from .sweeps import Sweep


def sweep_document(sweep: Sweep, title: str) -> Document:
    """Lay out a sweep.

    Parameters
    ----------
    sweep : Sweep
    title : str
        Of what was swept.
    """
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return laid_out(f"Sweep: {title}", created, _cards(sweep), _sections(sweep))


def _sections(sweep: Sweep) -> Iterator[tuple[str, Iterable[Block]]]:
    shown = [metric for metric in METRICS if metric.known(sweep.points)]
    if len(sweep.axes) == 1:
        yield "Curves", [Gallery(tuple(curve_picture(sweep, metric) for metric in shown))]
    else:
        grids = tuple(sweep_grid(sweep, slice_, metric) for slice_ in slices_of(sweep) for metric in shown)
        yield "Maps", [Gallery(grids)]
        if len(sweep.axes) == 2 and min(sweep.shape) > 1 and shown:
            yield "Surface", [surface_of(sweep, shown[0])]
    traded = trade_off_picture(sweep)
    yield "What is traded for what", [] if traded is None else [traded]
    yield "Points", [sweep_table(sweep)]
    yield "How it was made", [_facts(sweep)]


def _facts(sweep: Sweep) -> Facts:
    asked = sweep.asker
    how = "every policy of sharing cores, judged by simulation" if sweep.policies else "the objective as it stands"
    facts = {
        "axes": "; ".join(f"{axis.name} turns {', '.join(k.name for k in axis.knobs)}" for axis in sweep.axes),
        "each point": f"method {asked.method}, {asked.time_limit_s:g} s, seed {asked.seed}; {how}",
        "simulated": f"{asked.requests:,} requests for each plan, the same arrivals at the same rates",
    }
    slices = math.prod(sweep.shape[2:])
    if slices > SLICES:
        facts["maps"] = f"of the first {SLICES} of {slices} settings of the axes beyond the second; the table has all"
    return Facts(tuple(facts.items()))


def _cards(sweep: Sweep) -> Iterator[Card]:
    points = sweep.points
    planned = [p for p in points if p.reply.objective_us is not None]
    proven = sum(p.reply.status in ("optimal", "infeasible") for p in points)
    yield Card("points", f"{len(points):,}", f"{sum(p.is_kept for p in points):,} of them answered before")
    yield Card("with a plan", f"{len(planned):,}", f"{len(points) - len(planned):,} without")
    gaps = [p.reply.gap for p in points if p.reply.status == "feasible"]
    known = [gap for gap in gaps if gap is not None]
    told = f"of the others the largest gap is {percent(max(known))}" if known and len(known) == len(gaps) else ""
    yield Card("proven", f"{proven:,}", told or "optimal or infeasible")
    if planned:
        best = min(planned, key=lambda p: p.reply.objective_us or 0.0)
        yield Card("least objective", f"{milliseconds(best.reply.objective_us or 0.0)} ms", f"at {best.label}")
