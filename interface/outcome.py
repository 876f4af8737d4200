"""What a solver's answer means for a command: its JSON form, and the exit code where there is no plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from ..formulation import Evaluation
from .exits import ExitCode
from .output import Output
from .table import Cell, Table

if TYPE_CHECKING:
    from ..solvers import Candidate, Solution


def solution_data(solution: Solution) -> dict[str, Any]:
    """A solution without its plans, as plain data."""
    return {
        "status": solution.status,
        "method": solution.method,
        "objective": solution.objective,
        "bound": solution.bound,
        "gap": solution.gap,
        "seed": solution.seed,
        "runtime_s": solution.runtime_s,
        "clashes": [
            {
                "kind": clash.limit.kind,
                "subject": clash.limit.subject,
                "limit": clash.bound,
                "best_achievable": clash.best_achievable,
                "message": clash.sentence,
            }
            for clash in solution.clashes
        ],
    }


def policies_data(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """What each policy of sharing cores came to, best first, as plain data."""
    return [
        {
            "policy": candidate.policy.name,
            **solution_data(candidate.solution),
            "miss_ratio": candidate.judgement.miss_ratio if candidate.judgement else None,
            "stretch": candidate.judgement.stretch if candidate.judgement else None,
        }
        for candidate in candidates
    ]


def evaluation_data(evaluation: Evaluation) -> dict[str, Any]:
    """A plan's score as plain data."""
    return {
        "feasible": evaluation.feasible,
        "objective": evaluation.objective,
        "models": {
            name: {
                "latency_us": model.latency_us,
                "blocking_us": model.blocking_us,
                "interference_us": model.interference_us,
                "response_us": model.response_us,
                "deadline_us": model.deadline_us,
                "rate_hz": model.rate_hz,
            }
            for name, model in evaluation.models.items()
        },
        "memory_bytes": evaluation.memory_bytes,
        "utilisation": evaluation.utilisation,
        "violations": [
            {"kind": v.kind, "subject": v.subject, "value": v.value, "limit": v.limit, "message": v.message}
            for v in evaluation.violations
        ],
    }


def clash_note(solution: Solution) -> str:
    """What is known of limits that clash: where time ran out before each was tried without, that they do."""
    if any(clash.best_achievable is None for clash in solution.clashes):
        return (
            "These cannot hold together. Time ran out while the limits to blame were narrowed down: some of these may "
            "be innocent. A longer --time-limit tells."
        )
    return "These cannot hold together; without any one of them the others can."


def clashes_table(solution: Solution) -> Table:
    """The limits that cannot hold together."""
    return Table(
        "No plan keeps every limit",
        ("limit", "of", "what"),
        tuple((Cell(c.limit.kind, "bad"), c.limit.subject, c.sentence) for c in solution.clashes),
        note=clash_note(solution),
    )


def exit_without_plan(output: Output, solution: Solution) -> None:
    """Say why there is no plan, and exit: 3 where limits clash, 4 where time ran out. Returns where there is a plan."""
    if solution.status == "infeasible":
        output.result(solution_data(solution), clashes_table(solution))
        for clash in solution.clashes:
            output.note(f"edgeplan: infeasible: {clash.sentence}")
        raise typer.Exit(ExitCode.INFEASIBLE)
    if solution.plan is None:
        output.result(solution_data(solution))
        output.note(
            f"edgeplan: {solution.method} found no plan within {solution.runtime_s:.1f} s; allow more by --time-limit"
        )
        raise typer.Exit(ExitCode.OUT_OF_TIME)
