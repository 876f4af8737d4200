"""Plans that a command is given: what kind of file it is, what of a plan is asked for, and what its stamp speaks of."""

from __future__ import annotations

import json
import math
from pathlib import Path

from ..formulation import Evaluation, Plan, PlanError, Problem, capped

SAME_OBJECTIVE = 1e-6
"""Relative difference of objectives above which a plan's stamp speaks of another problem."""

_OTHER_KINDS = {
    "services": "a service plan, which `edgeplan capacity` makes",
    "tenants": "an allocation, which `edgeplan plan` makes for a scenario with an accelerator",
    "setups": "the record of a run",
    "inputs": "a lock",
    "fingerprint": "a profile",
}
"""By a key that no plan has."""


def load_plan(path: Path) -> Plan:
    """Read a plan of segments.

    Raises
    ------
    PlanError
        The file cannot be read, is truncated, or is no such plan; where it is of another kind, that is named.
    StalePlanError
        It was written with another schema version.
    """
    try:
        return Plan.load(path)
    except PlanError as error:
        other = kind_of_other_plan(path)
        if not other:
            raise
        raise PlanError(
            f"plan {path}",
            expected="a plan of segments, which `edgeplan plan` makes for a scenario without an accelerator",
            got=other,
            remedy="Name a plan of segments; others cannot be held against a scenario here.",
        ) from error


def kind_of_other_plan(path: Path) -> str:
    """What a file of JSON is that is no plan of segments, for people; empty where that is not known."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    if not isinstance(data, dict) or ("models" in data and "solver" in data):
        return ""
    return next((name for key, name in _OTHER_KINDS.items() if key in data), "")


def left_out(problem: Problem, plan: Plan) -> tuple[str, ...]:
    """Models of a plan that a problem does not have: nothing is predicted of them, nor of what they take."""
    asked = {model.name for model in problem.models}
    return tuple(part.model for part in plan.models if part.model not in asked)


def left_out_sentence(problem: Problem, plan: Plan) -> str:
    """What is `left_out`, for people; empty where nothing is."""
    left = left_out(problem, plan)
    return f"Not in the scenario, so nothing of it is counted: {capped(left)}." if left else ""


def covered(problem: Problem, plan: Plan) -> Plan:
    """A plan without what is `left_out`."""
    left = left_out(problem, plan)
    if not left:
        return plan
    kept = [k for k, part in enumerate(plan.models) if part.model not in left]
    provenance = tuple(plan.provenance[k] for k in kept if k < len(plan.provenance))
    return plan.model_copy(update={"models": tuple(plan.models[k] for k in kept), "provenance": provenance})


def is_of_this_question(plan: Plan, evaluation: Evaluation) -> bool:
    """Whether what a plan's stamp says was proven can be meant for this problem: its objective is the same.

    A plan does not say which problem it was made for. Where rates, deadlines, weights or costs differ, its objective
    does too as a rule; a limit that was moved alone is not told by that.

    Parameters
    ----------
    plan : Plan
    evaluation : Evaluation
        Of the plan under the problem.
    """
    stated = plan.solver.objective
    return stated is None or math.isclose(stated, evaluation.objective, rel_tol=SAME_OBJECTIVE)


def unproven(plan: Plan) -> Plan:
    """Copy of a plan whose stamp claims no proof: which problem that was of, a plan does not say."""
    stamp = plan.solver.model_copy(update={"status": "feasible", "bound": None, "gap": None})
    return plan.model_copy(update={"solver": stamp})
