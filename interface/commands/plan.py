"""``edgeplan plan``: from a scenario to a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...formulation import ScenarioError
from ..condition_tables import conditions_data, conditions_table
from ..conditions import any_failed, outcomes, parsed_conditions
from ..exits import ExitCode
from ..figures import AssessedPlan
from ..outcome import evaluation_data, exit_without_plan, policies_data, solution_data
from ..output import Format, FormatOption, Output, current_output
from ..summaries import plan_table, policies_table, score_table
from ..tenancy_files import has_accelerator
from .condition_options import FailOnOption, RequestsOption, simulation
from .options import MethodOption, ProfileOption, ScenarioArgument, SeedOption, TimeLimitOption, output_option, writable

if TYPE_CHECKING:
    from ..lock import Lock


def plan(
    context: typer.Context,
    scenario: ScenarioArgument,
    profile: ProfileOption = None,
    output_path: Annotated[Path | None, output_option("Where to write the plan.")] = None,
    method: MethodOption = "auto",
    time_limit_s: TimeLimitOption = 10.0,
    seed: SeedOption = 0,
    fail_on: FailOnOption = None,
    requests: RequestsOption = None,
    lock_path: Annotated[
        Path | None, typer.Option("--lock", callback=writable, help="Where to write what made the plan.")
    ] = None,
    locked_path: Annotated[
        Path | None,
        typer.Option(
            "--locked",
            help="Lock to plan from: other inputs or versions are refused; exit 1 where the plan is another.",
        ),
    ] = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Plan a scenario: which segment of which model runs how, on which cores.

    With an accelerator in the scenario: each tenant's partition point and cores, for the least mean response.
    """
    from ..facade import load
    from ..lock import Lock, LockedInputs
    from ..lock_tables import verification_data, verification_items
    from ..planning import planned

    output = current_output(context)
    if has_accelerator(scenario):
        _refuse_for_accelerators(
            scenario,
            {"--profile": profile, "--fail-on": fail_on, "--lock": lock_path, "--locked": locked_path},
        )
        _plan_tenancy(output, scenario, output_path, method, time_limit_s, seed)
        return
    case = load(scenario, profile)
    conditions = parsed_conditions(fail_on or (), case.problem)
    locked = _lock_to_keep(locked_path, lock_path)
    if locked is not None:
        method, time_limit_s, seed = _settings(context, locked)
    inputs = LockedInputs.of(case, method, time_limit_s, seed) if locked or lock_path else None
    if locked is not None and inputs is not None:
        locked.refuse_other_inputs(inputs, f"{locked_path}")

    found = planned(case, method, time_limit_s, seed)
    solution, judged = found.solution, found.judged
    exit_without_plan(output, solution)
    assert solution.plan is not None
    assert solution.evaluation is not None
    if output_path is not None:
        solution.plan.save(output_path)
    lock = Lock.of(inputs, solution.plan, found.doubt) if lock_path is not None and inputs is not None else None
    if lock is not None and lock_path is not None:
        lock.save(lock_path)
    verification = locked.verify(solution.plan, found.doubt) if locked is not None else None
    played = simulation(requests, seed)
    held = outcomes(conditions, AssessedPlan.of(case.problem, solution.plan, played)) if conditions else ()
    output.result(
        {
            **solution_data(solution),
            "policies": policies_data(judged),
            "evaluation": evaluation_data(solution.evaluation),
            "plan": solution.plan.model_dump(mode="json"),
            "output": output_path,
            "conditions": conditions_data(held, played) if conditions else None,
            "lock": lock.model_dump(mode="json") if lock is not None else None,
            "locked": verification_data(verification) if verification is not None else None,
        },
        *([policies_table(judged)] if judged else []),
        plan_table(solution.plan, solution.evaluation),
        score_table(case.problem, solution.evaluation),
        *([conditions_table(held, played)] if conditions else []),
        *(verification_items(verification) if verification is not None else []),
        *([_written(lock, lock_path)] if lock is not None else []),
        *([f"Plan written to {output_path}"] if output_path else []),
    )
    if any_failed(held) or (verification is not None and verification.failed):
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _lock_to_keep(locked_path: Path | None, lock_path: Path | None) -> Lock | None:
    from ..lock import Lock, LockError

    if locked_path is None:
        return None
    if lock_path is not None:
        raise LockError(
            f"lock {lock_path}",
            expected="one of --lock, which writes a lock, and --locked, which keeps to one",
            got="both",
            remedy="Leave out one of them.",
        )
    return Lock.load(locked_path)


def _settings(context: typer.Context, locked: Lock) -> tuple[str, float, int]:
    """Method, time limit and seed: what the command line says, and what it leaves out, as the lock has it."""

    def chosen(name: str, value: Any) -> Any:
        source = context.get_parameter_source(name)
        return value if source is None or source.name == "DEFAULT" else context.params[name]

    inputs = locked.inputs
    return (
        chosen("method", inputs.method),
        chosen("time_limit_s", inputs.time_limit_s),
        chosen("seed", inputs.seed),
    )


def _written(lock: Lock, path: Path | None) -> str:
    sure = "It can be made again" if lock.reproducible else "It cannot be made again for sure"
    return f"Lock written to {path}. {sure}: {lock.reason}."


def _refuse_for_accelerators(scenario: Path, options: dict[str, object]) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise ScenarioError(
            f"scenario {scenario}",
            expected="no profile, lock or condition, for a scenario with an accelerator holds its costs itself",
            got=", ".join(given),
            remedy=f"Leave out {' and '.join(given)}.",
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
