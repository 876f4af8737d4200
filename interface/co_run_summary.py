"""Contention in tables: what activities cost each other, how well that is predicted, and what batches gain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .table import Cell, Table
from .units import percent

if TYPE_CHECKING:
    from ..profiles.contention import MeasuredContention


def co_run_data(measured: MeasuredContention) -> dict[str, Any]:
    """Figures of a contention file as plain data, single co-runs left out."""
    return {
        "created": measured.created,
        "fingerprint": measured.platform.fingerprint,
        "relative_error": measured.contention.relative_error,
        "activities": [a.model_dump() for a in measured.contention.activities],
        "errors": [e.model_dump() for e in measured.errors],
        "throughput": [
            {
                "model": cell.model,
                "configuration": cell.configuration.name,
                "batch": cell.configuration.batch,
                "instances": cell.instances,
                "samples_per_s": cell.samples_per_s,
                "gain": cell.gain,
            }
            for cell in measured.throughput
        ],
        "absent": measured.absent,
        "warnings": measured.warnings,
    }


def activities_table(measured: MeasuredContention) -> Table:
    """Every activity: alone, and in company. The most sensitive and the one that presses most are marked."""
    alone_hz: dict[int, list[float]] = {}
    for run in (*measured.fitted, *measured.held_out):
        for position, i in enumerate(run.members):
            alone_hz.setdefault(i, []).extend(row[position] for row in run.alone_hz)
    activities = measured.contention.activities
    most_sensitive = max(a.sensitivity for a in activities)
    most_pressing = max(a.pressure for a in activities)
    rows: list[tuple[str | Cell, ...]] = []
    groups = []
    for i, a in enumerate(activities):
        first = i == 0 or activities[i - 1].model != a.model
        if first:
            groups.append(len(rows))
        sensitivity, pressure = percent(a.sensitivity), f"{a.pressure:.2f}"
        rows.append(
            (
                Cell(a.model, "strong") if first else "",
                a.configuration + (" *" if i in measured.probes else ""),
                f"{np.median(alone_hz[i]):,.1f}",
                Cell(sensitivity, "bad") if a.sensitivity == most_sensitive else sensitivity,
                Cell(pressure, "bad") if a.pressure == most_pressing else pressure,
                f"{a.oversubscription:.2f}",
                f"{a.claim:.2f}",
            )
        )
    return Table(
        "Contention",
        ("model", "configuration", ">alone runs/s", ">lost beside one", ">pressure", ">exponent", ">claim"),
        tuple(rows),
        note="Lost beside one: time that one average neighbour on other cores adds. Pressure: what it adds to others' "
        "time, over the average's. Where threads outnumber cores: exponent 1 is a fair share, more is less of it; "
        "claim is what each thread takes from others, 1 a fair share. * every activity was measured beside these.",
        groups=tuple(groups[1:]),
    )


def errors_table(measured: MeasuredContention) -> Table:
    """How well throughput side by side is predicted, beside the rivals."""
    rows: list[tuple[str | Cell, ...]] = []
    for e in measured.errors:
        figures = {"fair": e.fair_share, "product": e.product, "fitted": e.fitted}
        best = min(figures.values())
        cells = (Cell(percent(x), "good") if x == best else percent(x) for x in figures.values())
        noise = "–" if e.noise is None else percent(e.noise)
        rows.append(
            (
                e.co_runs,
                "held out" if e.held_out else "in the fit",
                str(e.count),
                *cells,
                percent(e.worst),
                percent(e.covered),
                noise,
            )
        )
    held_out = sum(e.held_out for e in measured.errors)
    return Table(
        "Error of predicted throughput",
        (
            "co-runs",
            "",
            ">co-runs",
            ">fair share only",
            ">and contention",
            ">and fitted shares",
            ">its worst",
            ">in 95 % interval",
            ">noise",
        ),
        tuple(rows),
        note=" ".join(
            [
                "Mean of |predicted / measured − 1|. Noise: standard error of what was measured, which no model beats.",
                *measured.warnings,
            ]
        ),
        groups=(held_out,) if 0 < held_out < len(rows) else (),
    )


def throughput_table(measured: MeasuredContention) -> Table:
    """Throughput by batch and number of instances; the best of each model is marked."""
    rows: list[tuple[str | Cell, ...]] = []
    groups = []
    best = {
        model: max(cell.samples_per_s for cell in measured.throughput if cell.model == model)
        for model in {cell.model for cell in measured.throughput}
    }
    before = ""
    for cell in measured.throughput:
        if cell.model != before:
            groups.append(len(rows))
        c, rate = cell.configuration, f"{cell.samples_per_s:,.1f}"
        rows.append(
            (
                Cell(cell.model, "strong") if cell.model != before else "",
                f"{c.backend}/t{c.threads}/{c.form}",
                str(c.batch),
                str(cell.instances),
                Cell(rate, "good") if cell.samples_per_s == best[cell.model] else rate,
                f"{cell.run_us / 1e3:,.1f}",
                f"{cell.gain:.2f} ({cell.gain_low:.2f} – {cell.gain_high:.2f})",
            )
        )
        before = cell.model
    return Table(
        "Throughput by batch and instances",
        ("model", "configuration", ">batch", ">instances", ">samples/s", ">ms a run", ">gain"),
        tuple(rows),
        note="Gain: over one instance with the smallest batch, measured in turns; least and largest of the rounds.",
        groups=tuple(groups[1:]),
    )
