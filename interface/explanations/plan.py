"""Explains a plan for a scenario, and a scenario that has none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...formulation import Evaluation, Plan, Problem, evaluate
from ..given_plans import covered, left_out, left_out_sentence
from ..outcome import evaluation_data, policies_data, solution_data
from ..summaries import plan_table, violations_table
from ..table import Table
from ..units import milliseconds
from ..whatif import (
    Knob,
    Price,
    Rescue,
    clash_needs_table,
    prices_data,
    prices_table,
    rescues_data,
    rescues_table,
)
from .responses import Response, response_parts
from .words import (
    alternatives_table,
    limits_table,
    limits_use,
    model_sentences,
    prices_sentence,
    proof_sentence,
    responses_table,
)

if TYPE_CHECKING:
    from ...solvers import Candidate, Judgement, Solution

_FLOATS = 1e-6
"""Of the last digit shown: so far a sum of floats may stand beside it."""


@dataclass(frozen=True)
class Explained:
    """An explanation: plain data for programs, and tables and sentences for people.

    Attributes
    ----------
    data : dict
    items : tuple of Table or str
    kept : bool
        Whether the plan keeps every limit.
    """

    data: dict[str, Any]
    items: tuple[Table | str, ...]
    kept: bool = True


def explained_plan(
    problem: Problem,
    plan: Plan,
    *,
    prices: Sequence[Price] = (),
    judged: Judgement | None = None,
    candidates: Sequence[Candidate] = (),
) -> Explained:
    """Say what limits each model, how full each limit is, what was proven, what relaxing buys and what was rejected.

    Parameters
    ----------
    problem : Problem
    plan : Plan
        For it; one that breaks limits is explained too.
    prices : sequence of Price
        From `edgeplan.interface.whatif.prices`; none where nothing was priced.
    judged : Judgement, optional
        Of `plan`, by `edgeplan.solvers.judge`.
    candidates : sequence of Candidate
        Plans of every policy, from `edgeplan.interface.facade.candidates`.

    Raises
    ------
    PlanError, StalePlanError
        The plan does not cover the models, or was made for others.
    """
    evaluation = evaluate(problem, plan)
    absent = left_out_sentence(problem, plan)
    broken: list[Table | str] = [violations_table(evaluation.violations)] if evaluation.violations else []
    broken += [absent] if absent else []
    data: dict[str, Any] = {
        "status": "ok" if evaluation.feasible else "violated",
        "kind": "plan",
        "left_out": list(left_out(problem, plan)),
        "solver": {**plan.solver.model_dump(mode="json"), "says": proof_sentence(plan, evaluation)},
        "evaluation": evaluation_data(evaluation),
    }
    if not evaluation.models:
        return Explained(data, (*broken, "Its segments cannot run: there is nothing to score."), kept=False)
    parts = [response_parts(problem, evaluation, model.name) for model in problem.models]
    data |= {
        "models": {part.model: _response_data(part, problem, evaluation) for part in parts},
        "limits": [
            {"limit": use.limit.kind, "of": use.limit.subject, "used": use.used, "allowed": use.allowed}
            for use in limits_use(problem, evaluation)
        ],
        "prices": prices_data(prices) if prices else None,
        "policies": policies_data(candidates),
    }
    items: list[Table | str] = [
        *broken,
        f"Objective {milliseconds(evaluation.objective)} ms. {proof_sentence(plan, evaluation)}",
        plan_table(covered(problem, plan), evaluation),
        *(line for part in parts for line in model_sentences(problem, evaluation, part)),
        responses_table(parts),
        limits_table(problem, evaluation, prices),
    ]
    if prices:
        items += [prices_table(prices), prices_sentence(prices)]
        data["says"] = prices_sentence(prices)
    if candidates:
        items.append(alternatives_table(judged, plan, evaluation.objective, candidates))
    return Explained(data, tuple(items), evaluation.feasible)


def explained_infeasible(solution: Solution, rescues: Sequence[Rescue]) -> Explained:
    """Say which limits clash, what each of them needs, and what would make a plan possible.

    Parameters
    ----------
    solution : Solution
        Infeasible.
    rescues : sequence of Rescue
        From `edgeplan.interface.whatif.rescues`; none where nothing was tried.
    """
    narrowed = all(clash.best_achievable is not None for clash in solution.clashes)
    data = {**solution_data(solution), "kind": "scenario", "narrowed": narrowed, "rescues": rescues_data(rescues)}
    items: list[Table | str] = [clash_needs_table(solution)]
    if rescues:
        items += [rescues_table(rescues), rescue_sentence(rescues)]
        data["says"] = rescue_sentence(rescues)
    return Explained(data, tuple(items), kept=False)


def rescue_sentence(rescues: Sequence[Rescue]) -> str:
    """The smallest single change that lets a plan exist."""
    helping = [rescue for rescue in rescues if rescue.needs is not None]
    if not helping:
        return "No limit by itself makes a plan possible within what was tried; relax several together."
    best = helping[0]
    assert best.needs is not None
    return (
        f"The smallest single change: {best.knob.name} from {best.knob.shown(best.value)} to "
        f"{_enough(best.knob, best.needs)}."
    )


def _enough(knob: Knob, needs: float) -> str:
    """A value as `Knob.shown` has it, but rounded to the looser side: whoever sets what is printed gets a plan."""
    if knob.kind in ("cores", "max_threads", "core_sets"):
        return knob.shown(needs)
    digits, size = (3, 1.0) if knob.kind == "max_utilisation" else (4, knob.unit_size)
    quantum = 10.0 ** (math.floor(math.log10(needs / size)) - digits + 1)
    steps = needs / size / quantum
    rounded = math.ceil(steps - _FLOATS) if knob.looser > 0 else math.floor(steps + _FLOATS)
    return knob.shown(rounded * quantum * size)


def _response_data(part: Response, problem: Problem, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "latency_us": part.latency_us,
        "critical_segments": list(part.critical),
        "moving_us": part.moving_us,
        "waits": [
            {
                "kind": wait.kind,
                "model": wait.model,
                "wait_us": wait.wait_us,
                "requests": wait.requests,
                "cores": list(wait.cores),
            }
            for wait in part.waits
        ],
        "response_us": part.response_us,
        "held_us": part.held_us,
        "deadline_us": part.deadline_us,
        "slack_us": part.slack_us,
        "shares_cores_with": list(part.shares_cores_with),
        "resident_bytes": part.resident_bytes,
        "transient_bytes": part.transient_bytes,
        "says": model_sentences(problem, evaluation, part),
    }
