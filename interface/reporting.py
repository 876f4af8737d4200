"""A report's contents, gathered from a case, a plan and a run."""

from __future__ import annotations

from datetime import UTC, datetime

from ..formulation import Evaluation, Plan
from .case import Case
from .fronts import front_of_solutions, front_problem, solve_front
from .identity import plan_digest, planned_with, profile_digest, scenario_digest
from .profile_summary import profile_provenance, profile_table
from .report import Contents, Front, ScoredPlan, Sensitivity
from .report.forecast import forecast, schedule
from .run_record import RunRecord

SIMULATED_REQUESTS = 20_000
"""Requests that predicted responses are told from, all models together."""


def contents_of(
    case: Case,
    plan: Plan,
    evaluation: Evaluation,
    *,
    run: RunRecord | None = None,
    fronts: bool = True,
    time_limit_s: float = 5.0,
    simulated_requests: int = SIMULATED_REQUESTS,
    sensitivity: Sensitivity | None = None,
    command: str = "",
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
    simulated_requests : int
        About so many, all models together; 0 for no forecast.
    sensitivity : Sensitivity, optional
        What relaxing limits would buy.
    command : str
        Command line that makes this report again.
    """
    problem, seed = case.problem, plan.solver.seed
    runs = bool(evaluation.models)
    return Contents(
        title=case.scenario.name,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        planned=ScoredPlan(problem, plan, evaluation),
        fronts=tuple(_fronts(case, evaluation, time_limit_s)) if fronts else (),
        profile=profile_table(case.profile),
        run=run,
        forecast=forecast(problem, plan, simulated_requests, seed) if runs and simulated_requests else None,
        schedule=schedule(problem, plan, evaluation, seed) if runs else None,
        sensitivity=sensitivity,
        provenance=_provenance(case, plan, run, command),
    )


def sensitivity_of(case: Case, plan: Plan, evaluation: Evaluation, time_limit_s: float = 5.0) -> Sensitivity | None:
    """What relaxing each limit by a step would buy, by solving again; None where no plan is found as it is.

    Parameters
    ----------
    case : Case
    plan : Plan
    evaluation : Evaluation
        Of the plan under the case's problem.
    time_limit_s : float
        Of each re-solve.

    Raises
    ------
    UnsupportedError
        The objective is ``front``.
    """
    from ..solvers import Solution, available_methods
    from .whatif import prices, prices_table

    stamp = plan.solver
    method = stamp.method if stamp.method in available_methods() else "auto"
    # A plan that breaks limits is none of this problem's.
    solution = Solution(
        stamp.status, method, stamp.objective, stamp.bound, stamp.seed, plan=plan, evaluation=evaluation
    )
    known = solution if evaluation.feasible else None
    priced = prices(case.problem, known, method=method, seed=stamp.seed, time_limit_s=time_limit_s)
    gains = tuple(
        (f"{price.knob.name} → {price.knob.shown(price.turned)}", price.gain_us / 1e3)
        for price in priced
        if price.direction == "relaxed" and price.gain_us is not None
    )
    return Sensitivity(prices_table(priced), gains) if priced else None


def _fronts(case: Case, evaluation: Evaluation, time_limit_s: float) -> list[Front]:
    drawn = []
    for model in case.problem.models:
        problem = front_problem(model, case.problem.platform, case.problem.limits)
        solution = solve_front(problem, "auto", time_limit_s, seed=0)
        if solution.front:
            drawn.append(front_of_solutions(model.name, [solution], evaluation))
    return drawn


def _provenance(case: Case, plan: Plan, run: RunRecord | None, command: str) -> dict[str, str]:
    stamp = plan.solver
    policy = f", policy {stamp.policy}" if stamp.policy else ""
    facts = {
        "scenario": f"{case.scenario.name}, SHA-256 {scenario_digest(case.scenario)}",
        **profile_provenance(case.profile),
        "profile digest": f"SHA-256 {profile_digest(case.profile)}",
        "plan digest": f"SHA-256 {plan_digest(plan)}",
        "solver": f"{stamp.method}{policy}, {stamp.status}, seed {stamp.seed}, {stamp.runtime_s:.2f} s",
        "plan made for platform": plan.platform_fingerprint or "none in particular",
        "report made with": ", ".join(f"{name} {version}" for name, version in planned_with().items()),
    }
    if command:
        facts["report made by"] = command
    for model in plan.models:
        facts[f"model {model.model}"] = f"SHA-256 {model.sha256}"
    if run is not None:
        facts["arrivals"] = f"seed {run.seed}"
        facts |= {f"note {k}": note for k, note in enumerate(run.notes, start=1)}
    return facts
