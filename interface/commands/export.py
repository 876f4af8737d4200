"""``edgeplan export``: a plan in the words of other tools."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ...formulation import ModelPlan, Plan, PlanError, UnsupportedError
from ..output import Format, FormatOption, current_output
from .options import output_option


class Target(StrEnum):
    """Forms that plans can be written in."""

    ONERT = "onert"
    CSV = "csv"


def export(
    context: typer.Context,
    plan_path: Annotated[Path, typer.Argument(metavar="PLAN", help="Plan file (JSON).")],
    target: Annotated[Target, typer.Option("--to", help="onert: backend settings; csv: one row a layer.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="Which model, where there are several.")] = None,
    profile: Annotated[
        Path | None, typer.Option("--profile", "-p", help="csv: profile that the plan was made from, for names.")
    ] = None,
    output_path: Annotated[Path | None, output_option("Where to write; on stdout where left out.")] = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Write a plan's backends as settings of onert, or layer by layer as CSV (with names, where a profile is given)."""
    from ...profiles import Profile
    from ...profiles.exports import onert_settings, plan_csv

    output = current_output(context)
    plan = Plan.load(plan_path)
    if target is Target.ONERT and profile is not None:
        raise UnsupportedError(
            "option --profile",
            expected="for csv only, since onert's settings count layers and name none",
            got="--profile",
            remedy="Leave it out.",
        )
    if target is Target.ONERT:
        text = onert_settings(_chosen(plan, model)).text() + "\n"
    else:
        if model is not None:
            plan = plan.model_copy(update={"models": (plan.model_plan(model),)})
        text = plan_csv(plan, Profile.load(profile) if profile else None)
    if output_path is not None:
        output_path.write_text(text, encoding="utf-8")
    output.result(
        {"status": "done", "to": target.value, "text": text, "output": output_path},
        f"Written to {output_path}" if output_path else text.rstrip("\n"),
    )


def _chosen(plan: Plan, model: str | None) -> ModelPlan:
    if model is not None:
        return plan.model_plan(model)
    if len(plan.models) > 1:
        raise PlanError(
            "plan",
            expected="one model, for onert's settings are for one",
            got=", ".join(m.model for m in plan.models),
            remedy="Name it with --model.",
        )
    return next(iter(plan.models))
