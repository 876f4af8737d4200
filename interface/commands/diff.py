"""``edgeplan diff``: two plans, what one does otherwise, what that changes, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...formulation import ScenarioError
from ..condition_tables import conditions_data, conditions_table
from ..conditions import any_failed, outcomes, parsed_conditions
from ..exits import ExitCode
from ..given_plans import load_plan
from ..output import Format, FormatOption, current_output
from .condition_options import FailOnOption, RequestsOption, simulation
from .options import ProfileOption, SeedOption


def diff(
    context: typer.Context,
    old_path: Annotated[Path, typer.Argument(metavar="OLD", help="Plan file (JSON).")],
    new_path: Annotated[Path, typer.Argument(metavar="NEW", help="Plan file (JSON).")],
    scenario: Annotated[
        Path | None, typer.Option(help="Scenario to predict the effect for (YAML), with the profile that it names.")
    ] = None,
    profile: ProfileOption = None,
    old_lock: Annotated[Path | None, typer.Option(help="Lock of the old plan, to tell why they differ.")] = None,
    new_lock: Annotated[Path | None, typer.Option(help="Lock of the new plan.")] = None,
    fail_on: FailOnOption = None,
    requests: RequestsOption = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 1 where the plans differ.")] = False,
    seed: SeedOption = 0,
    format: FormatOption = Format.TEXT,
) -> None:
    """Compare two plans: what changed, why, and with a scenario the predicted effect under the same requests.

    In --fail-on, `delta.` stands for the change, such as delta.p99_us>5%; all else is asked of the new plan.
    """
    from ..facade import load
    from ..lock import Lock, LockError
    from ..plan_diff import PlanDiff, Prediction
    from ..plan_diff_tables import diff_data, diff_items

    output = current_output(context)
    if scenario is None and (profile is not None or fail_on):
        raise ScenarioError(
            "diff",
            expected="a scenario, for a prediction",
            got=f"{'--fail-on' if fail_on else '--profile'} without --scenario",
            remedy="Name the scenario that the plans are for.",
        )
    if (old_lock is None) != (new_lock is None):
        raise LockError(
            "diff",
            expected="the locks of both plans, or of none",
            got="that of one",
            remedy="Give --old-lock and --new-lock.",
        )
    case = load(scenario, profile) if scenario is not None else None
    conditions = parsed_conditions(fail_on or (), case.problem, delta=True) if case is not None else ()
    old, new = load_plan(old_path), load_plan(new_path)
    locks = (Lock.load(old_lock), Lock.load(new_lock)) if old_lock is not None and new_lock is not None else None
    played = simulation(requests, seed)
    prediction = Prediction.of(case.problem, old, new, played) if case is not None else None
    compared = PlanDiff.of(old, new, prediction, locks)
    held = outcomes(conditions, prediction.new, prediction.old) if prediction is not None else ()
    output.result(
        {**diff_data(compared), "conditions": conditions_data(held, played) if conditions else None},
        *diff_items(compared),
        *([conditions_table(held, played)] if conditions else []),
    )
    if any_failed(held) or (exit_code and not compared.same):
        raise typer.Exit(ExitCode.CHECK_FAILED)
