"""A report's contents, gathered from a case, a plan and a run."""

from __future__ import annotations

from datetime import UTC, datetime

from ..formulation import Evaluation, Plan
from .case import Case
from .fronts import front_of_solutions, front_problem, solve_front
from .profile_summary import profile_provenance, profile_table
from .report import Contents, Front, ScoredPlan
from .run_record import RunRecord


def contents_of(
    case: Case,
    plan: Plan,
    evaluation: Evaluation,
    *,
    run: RunRecord | None = None,
    fronts: bool = True,
    time_limit_s: float = 5.0,
) -> Contents:
    """Gather what a report shows.

    Parameters
    ----------
    case : Case
    plan : Plan
    evaluation : Evaluation
        Of the plan under the case's problem.
    run : RunRecord, optional
    fronts : bool
        Whether to solve for the front of every model, `time_limit_s` seconds at most for each.
    """
    return Contents(
        title=case.scenario.name,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        planned=ScoredPlan(case.problem, plan, evaluation),
        fronts=tuple(_fronts(case, evaluation, time_limit_s)) if fronts else (),
        profile=profile_table(case.profile),
        run=run,
        provenance=_provenance(case, plan, run),
    )


def _fronts(case: Case, evaluation: Evaluation, time_limit_s: float) -> list[Front]:
    drawn = []
    for model in case.problem.models:
        problem = front_problem(model, case.problem.platform, case.problem.limits)
        solution = solve_front(problem, "auto", time_limit_s, seed=0)
        if solution.front:
            drawn.append(front_of_solutions(model.name, [solution], evaluation))
    return drawn


def _provenance(case: Case, plan: Plan, run: RunRecord | None) -> dict[str, str]:
    stamp = plan.solver
    facts = {
        "scenario": case.scenario.name,
        **profile_provenance(case.profile),
        "solver": f"{stamp.method}, {stamp.status}, seed {stamp.seed}, {stamp.runtime_s:.2f} s",
        "plan made for platform": plan.platform_fingerprint or "none in particular",
    }
    for model in plan.models:
        facts[f"model {model.model}"] = f"SHA-256 {model.sha256}"
    if run is not None:
        facts["arrivals"] = f"seed {run.seed}"
        facts |= {f"note {k}": note for k, note in enumerate(run.notes, start=1)}
    return facts
