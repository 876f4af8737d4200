"""A comparison of two plans as tables, lines and plain data."""

from __future__ import annotations

from typing import Any

from ..formulation import Plan, capped
from ..formulation.evaluate import MICROSECOND_TOLERANCE
from .condition_tables import simulation_data, simulation_text
from .identity import plan_digest
from .plan_diff import BINDS_FROM, Effect, PlanDiff, Prediction
from .table import Cell, Table
from .units import count, mebibytes, milliseconds, percent

_FULL = 1 + MICROSECOND_TOLERANCE
"""Share of a limit from which on the evaluator calls it broken."""

_KINDS = {
    "added": "model added",
    "removed": "model removed",
    "file": "model file",
    "cuts": "cut at layers",
    "configuration": "configuration",
    "cores": "cores",
    "gangs": "gangs",
    "execution": "segments",
    "order": "order of dispatch",
    "platform": "platform",
    "listing": "models listed",
}


def diff_items(diff: PlanDiff) -> list[Table | str]:
    """All of a comparison for people."""
    items: list[Table | str] = [changes_table(diff)] if diff.changes else ["Both plans say to do the same."]
    items.append(makers_table(diff))
    if diff.changes:
        items.append(f"Why: {'; '.join(diff.reasons)}." if diff.reasons else f"Why: {_NO_REASON}")
    if diff.prediction is None:
        return items
    for which, misfit in (("old", diff.prediction.old_misfit), ("new", diff.prediction.new_misfit)):
        if misfit:
            items.append(f"The {which} plan does not fit the scenario, so no effect is predicted: {misfit}")
    if diff.prediction.left_out:
        items.append(f"Not in the scenario, so left out of what is predicted: {capped(diff.prediction.left_out)}.")
    effects = diff.prediction.effects
    if effects:
        items.append(effects_table(effects, diff.prediction))
    if diff.prediction.pressures:
        items.append(limits_table(diff.prediction))
    return items


_NO_REASON = (
    "by what the plans say of themselves, models, costs, solver and seed are the same; so it is the scenario, the time "
    "limit or a version. Locks would tell (`edgeplan plan --lock`)."
)


def changes_table(diff: PlanDiff) -> Table:
    """What the new plan does otherwise."""
    rows = []
    for k, change in enumerate(diff.changes):
        first = k == 0 or diff.changes[k - 1].model != change.model
        layers = f"{change.layers[0]}–{change.layers[1] - 1}" if change.layers else ""
        name = Cell(change.model or "the plan", "strong") if first else ""
        rows.append((name, _KINDS[change.kind], layers, change.old, change.new))
    return Table(
        "Changes",
        ("model", "what", "layers", "old", "new"),
        tuple(rows),
        note=f"{count(len(rows), 'change')}.",
    )


def makers_table(diff: PlanDiff) -> Table:
    """Who made each plan, and what was proven of it."""
    old, new = _maker(diff.old), _maker(diff.new)
    return Table(
        "Made by",
        ("", "old", "new"),
        tuple((what, old[what], Cell(new[what], "strong") if old[what] != new[what] else new[what]) for what in old),
    )


def effects_table(effects: tuple[Effect, ...], prediction: Prediction) -> Table:
    """Figures of both plans, and the change."""
    rows: list[tuple[str | Cell, ...]] = []
    groups = []
    for k, effect in enumerate(effects):
        first = k == 0 or effects[k - 1].figure is not effect.figure
        if first and k:
            groups.append(k)
        figure, change = effect.figure, effect.change
        tone = ("bad" if change.value > 0 else "good") if effect.is_certain else ""
        rows.append(
            (
                Cell(figure.name, "strong") if first else "",
                effect.subject,
                figure.text(effect.old.value),
                figure.text(effect.new.value),
                Cell(f"{'+' if change.value > 0 else ''}{figure.change_text(change.value)}", tone),
                f"± {figure.change_text(change.half_width)}" if figure.simulated else "",
            )
        )
    simulated = any(effect.figure.simulated for effect in effects)
    paired = f" {simulation_text(prediction.simulation)} Both plans got the same requests." if simulated else ""
    return Table(
        "Predicted effect",
        ("figure", "of", ">old", ">new", ">change", ">interval"),
        tuple(rows),
        note=f"Coloured where the change is certain.{paired}",
        groups=tuple(groups),
    )


def limits_table(prediction: Prediction) -> Table:
    """Every limit and how much of it each plan uses."""
    rows = []
    for pressure in prediction.pressures:
        texts = {"deadline": f"{milliseconds(pressure.limit)} ms", "memory": f"{mebibytes(pressure.limit)} MiB"}
        shares = (pressure.old, pressure.new)
        cells = (Cell(percent(u), "bad" if u > _FULL else "strong" if u >= BINDS_FROM else "") for u in shares)
        what = (Cell(pressure.kind, "strong"), pressure.subject, texts.get(pressure.kind, percent(pressure.limit)))
        rows.append((*what, *cells, _binds(*shares)))
    return Table(
        "Limits",
        ("limit", "of", ">value", ">used by old", ">used by new", "binds"),
        tuple(rows),
        note=f"Said to bind from {BINDS_FROM:.0%} on.",
    )


def diff_data(diff: PlanDiff) -> dict[str, Any]:
    """All of a comparison as plain data."""
    prediction = diff.prediction
    return {
        "status": "same" if diff.same else "changed",
        "same": diff.same,
        "changes": [
            {"kind": c.kind, "model": c.model, "layers": c.layers, "old": c.old, "new": c.new} for c in diff.changes
        ],
        "plans": {
            which: {"digest": plan_digest(plan), **plan.solver.model_dump(mode="json")}
            for which, plan in (("old", diff.old), ("new", diff.new))
        },
        "reasons": diff.reasons,
        "prediction": None if prediction is None else _prediction_data(prediction),
    }


def _prediction_data(prediction: Prediction) -> dict[str, Any]:
    return {
        "simulation": simulation_data(prediction.simulation),
        "misfits": {"old": prediction.old_misfit or None, "new": prediction.new_misfit or None},
        "left_out": prediction.left_out,
        "effects": [
            {
                "figure": effect.figure.name,
                "of": effect.subject,
                "simulated": effect.figure.simulated,
                "old": effect.old.value,
                "new": effect.new.value,
                "change": effect.change.value,
                "low": effect.change.low,
                "high": effect.change.high,
                "certain": effect.is_certain,
            }
            for effect in prediction.effects
        ],
        "limits": [
            {
                "kind": pressure.kind,
                "of": pressure.subject,
                "limit": pressure.limit,
                "old_used": pressure.old,
                "new_used": pressure.new,
                "binds": _binds(pressure.old, pressure.new),
            }
            for pressure in prediction.pressures
        ],
    }


def _maker(plan: Plan) -> dict[str, str]:
    stamp = plan.solver
    return {
        "solver": f"{stamp.method}, seed {stamp.seed}",
        "policy": stamp.policy or "–",
        "status": stamp.status,
        "objective": "–" if stamp.objective is None else f"{milliseconds(stamp.objective)} ms",
        "gap": "–" if stamp.gap is None else percent(stamp.gap),
        "platform": plan.platform_fingerprint[:12] or "none in particular",
        "costs": ", ".join(sorted({f"{p.kind} ({p.source})" if p.source else p.kind for p in plan.provenance})) or "–",
    }


def _binds(old: float, new: float) -> str:
    before, after = old >= BINDS_FROM, new >= BINDS_FROM
    return "in both" if before and after else "in the old" if before else "in the new" if after else ""
