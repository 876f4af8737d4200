"""``edgeplan plan``: from a scenario to a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...formulation import ScenarioError
from ..exits import ExitCode
from ..outcome import evaluation_data, exit_without_plan, policies_data, solution_data
from ..output import Format, FormatOption, Output, current_output
from ..summaries import plan_table, policies_table, score_table
from ..tenancy_files import has_accelerator
from .options import MethodOption, ProfileOption, ScenarioArgument, SeedOption, TimeLimitOption, output_option

if TYPE_CHECKING:
    from ...solvers import Candidate


def plan(
    context: typer.Context,
    scenario: ScenarioArgument,
    profile: ProfileOption = None,
    output_path: Annotated[Path | None, output_option("Where to write the plan.")] = None,
    method: MethodOption = "auto",
    time_limit_s: TimeLimitOption = 10.0,
    seed: SeedOption = 0,
    format: FormatOption = Format.TEXT,
) -> None:
    """Plan a scenario: which segment of which model runs how, on which cores.

    With an accelerator in the scenario: each tenant's partition point and cores, for the least mean response.
    """
    from ..facade import candidates, load
    from ..facade import plan as solve

    output = current_output(context)
    if has_accelerator(scenario):
        if profile is not None:
            raise ScenarioError(
                f"scenario {scenario}",
                expected="no profile, for a scenario with an accelerator holds its costs itself",
                got=f"--profile {profile}",
                remedy="Leave out --profile.",
            )
        _plan_tenancy(output, scenario, output_path, method, time_limit_s, seed)
        return
    case = load(scenario, profile)
    judged: tuple[Candidate, ...] = ()
    if method == "auto" and case.problem.objective == "response":
        judged = candidates(case, time_limit_s, seed)
        solution = judged[0].solution
    else:
        solution = solve(case, method, time_limit_s, seed)
    exit_without_plan(output, solution)
    assert solution.plan is not None
    assert solution.evaluation is not None
    if output_path is not None:
        solution.plan.save(output_path)
    output.result(
        {
            **solution_data(solution),
            "policies": policies_data(judged),
            "evaluation": evaluation_data(solution.evaluation),
            "plan": solution.plan.model_dump(mode="json"),
            "output": output_path,
        },
        *([policies_table(judged)] if judged else []),
        plan_table(solution.plan, solution.evaluation),
        score_table(case.problem, solution.evaluation),
        *([f"Plan written to {output_path}"] if output_path else []),
    )


def _plan_tenancy(
    output: Output, scenario: Path, output_path: Path | None, method: str, time_limit_s: float, seed: int
) -> None:
    from ...solvers import solve
    from ..allocations import allocation_data, allocation_table, verdict
    from ..tenancy import load_tenancy, not_predicted

    case = load_tenancy(scenario)
    problem = case.problem()
    solution = solve(problem, method, time_limit_s=time_limit_s, seed=seed)
    notes = not_predicted(case.scenario)
    data = {**allocation_data(problem, solution), "notes": notes, "output": output_path}
    if solution.allocation is None or solution.evaluation is None:
        found = "; ".join(solution.clashes) or "no stable allocation was found"
        output.result(data, f"{solution.status.capitalize()} ({solution.method}): {found}.")
        raise typer.Exit(ExitCode.INFEASIBLE if solution.status == "infeasible" else ExitCode.OUT_OF_TIME)
    if output_path is not None:
        solution.allocation.save(output_path)
    output.result(
        data,
        allocation_table(problem, solution.allocation, solution.evaluation),
        verdict(solution),
        *notes,
        *([f"Plan written to {output_path}"] if output_path else []),
    )
