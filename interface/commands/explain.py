"""``edgeplan explain``: a plan, a scenario without one, or a controller's journal, in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..exits import ExitCode
from ..outcome import exit_without_plan
from ..output import Format, FormatOption, Output, current_output
from .options import MethodOption, ProfileOption

if TYPE_CHECKING:
    from ...formulation import Plan
    from ...solvers import Candidate, Solution
    from ..case import Case
    from ..explanations.asked import Asked


def explain(
    context: typer.Context,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A plan (JSON; give --scenario too), a scenario (YAML), or a controller's journal (JSON lines).",
        ),
    ],
    scenario: Annotated[
        Path | None, typer.Option("--scenario", "-s", help="Scenario that the plan is for (YAML).")
    ] = None,
    profile: ProfileOption = None,
    relax: Annotated[
        bool, typer.Option("--relax/--no-relax", help="Relax and tighten each limit and solve again: what each costs.")
    ] = True,
    alternatives: Annotated[
        bool,
        typer.Option("--alternatives/--no-alternatives", help="Plan by every policy too, to say what was rejected."),
    ] = True,
    time_limit_s: Annotated[float, typer.Option("--time-limit", min=0.001, help="Seconds for each re-solve.")] = 3.0,
    method: MethodOption = "auto",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of everything random; left out, that of the plan, or 0.")
    ] = None,
    number: Annotated[
        int | None, typer.Option("--decision", min=1, help="Of a journal: explain this decision in full.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Of a journal that was cut off: read what is whole.")
    ] = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Explain a plan, why a scenario has none, or what the online controller decided.

    A plan: what limits each model, how full each limit is, what was proven, what relaxing each limit would buy, what
    was rejected. A scenario: the same for the plan it gets, or why there is none and what would make one. A journal:
    every decision, made again and held against the record.
    """
    from ..explanations.asked import Asked
    from ..explanations.kinds import kind_of

    output = current_output(context)
    asked = Asked(relax, alternatives, time_limit_s, method, seed)
    kind = kind_of(path)
    asked.refuse_misfit(path, kind, scenario, profile, number is not None or partial)
    if kind == "journal":
        from ..explanations.journal import explained_journal

        data, items = explained_journal(path, number, partial)
        output.result(data, *items)
        return
    if kind in ("tenancy", "allocation"):
        _explain_tenancy(output, path, path if scenario is None else scenario, asked)
        return
    from ...formulation import Plan
    from ..facade import load

    if kind == "plan":
        assert scenario is not None
        plan = Plan.load(path)
        _explain_plan(output, load(scenario, profile), plan, asked)
    else:
        _explain_scenario(output, load(path, profile), asked)


def _explain_plan(output: Output, case: Case, plan: Plan, asked: Asked, candidates: tuple[Candidate, ...] = ()) -> None:
    from ..explanations.plan import explained_plan

    prices = asked.prices_of(output, case.problem, plan)
    candidates, judged = asked.rejected(case.problem, plan, candidates)
    explained = explained_plan(case.problem, plan, prices=prices, judged=judged, candidates=candidates)
    output.result(explained.data, *explained.items)
    if not explained.kept:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _explain_scenario(output: Output, case: Case, asked: Asked) -> None:
    solution, candidates = asked.planned(case.problem)
    if solution.plan is not None:
        _explain_plan(output, case, solution.plan, asked, candidates)
        return
    if solution.status != "infeasible":
        exit_without_plan(output, solution)
    _explain_infeasible(output, case, solution, asked)


def _explain_infeasible(output: Output, case: Case, solution: Solution, asked: Asked) -> None:
    from ..explanations.plan import explained_infeasible

    explained = explained_infeasible(solution, asked.rescues_of(output, case.problem, solution))
    output.result(explained.data, *explained.items)
    for clash in solution.clashes:
        output.note(f"edgeplan: infeasible: {clash.sentence}")
    raise typer.Exit(ExitCode.INFEASIBLE)


def _explain_tenancy(output: Output, path: Path, scenario: Path, asked: Asked) -> None:
    """An allocation for a scenario with an accelerator; where both are one file, the allocation that it gets."""
    from ...formulation import Allocation
    from ...solvers import solve
    from ..explanations.tenancy import explained_allocation, solution_of, tenancy_steps
    from ..tenancy import load_tenancy, not_predicted

    case = load_tenancy(scenario)
    problem = case.problem()
    if path == scenario:
        solution = solve(problem, asked.method, time_limit_s=asked.time_limit_s, seed=asked.seed or 0)
    else:
        solution = solution_of(problem, Allocation.load(path))
    if solution.allocation is None or solution.evaluation is None:
        found = "; ".join(solution.clashes) or "no stable allocation was found"
        output.result(
            {"status": solution.status, "kind": "tenancy", "clashes": list(solution.clashes)},
            f"{solution.status.capitalize()} ({solution.method}): {found}.",
        )
        raise typer.Exit(ExitCode.INFEASIBLE if solution.status == "infeasible" else ExitCode.OUT_OF_TIME)
    steps = tenancy_steps(problem, asked.method, asked.time_limit_s, asked.seed or 0) if asked.relax else ()
    explained = explained_allocation(problem, solution, steps)
    output.result({**explained.data, "notes": not_predicted(case.scenario)}, *explained.items)
    if not explained.kept:
        raise typer.Exit(ExitCode.CHECK_FAILED)
