"""Answering a question: the same solves as on the command line, with progress as plain data."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...formulation import Plan, Scenario, evaluate
from ...profiles import Profile
from ..case import Case
from ..facade import candidates
from ..facade import plan as make_plan
from ..fronts import solve_front
from ..outcome import evaluation_data, policies_data, solution_data
from ..profile_summary import profile_provenance, profile_table
from .questions import problems_of
from .records import Question

if TYPE_CHECKING:
    from ...solvers import Candidate, Progress, Solution

Tell = Callable[[dict[str, Any]], object]

_DRAWN_POINTS = 200
"""Points of a front in one event; of a longer one those spread evenly along it."""
_PLANNED_POINTS = 50
"""Points of a front in a result that come with their plan."""
_PLANNED_SEGMENTS = 10_000
"""Segments after which no further plan of a front is kept: those of many layers would be hundreds of megabytes."""
_KEPT_POINTS = 2000


def case_of(question: Question, profile: str) -> Case:
    """A question's scenario with its profile."""
    return Case.of(Scenario.model_validate_json(question.scenario), Profile.model_validate_json(profile), Path())


def answer(question: Question, profile: str, tell: Tell) -> tuple[str, dict[str, Any]]:
    """Solve, and tell of progress meanwhile.

    Returns
    -------
    outcome : str
        Status of the solution; of several fronts the worst one's.
    result : dict
        Plain data.
    """
    case = case_of(question, profile)
    return _plan(case, question, tell) if question.objective == "plan" else _fronts(case, question, tell)


def _plan(case: Case, question: Question, tell: Tell) -> tuple[str, dict[str, Any]]:
    on_progress = partial(_tell, tell, "", time.monotonic())
    judged: tuple[Candidate, ...] = ()
    if question.method == "auto" and case.problem.objective == "response":
        judged = candidates(case, question.time_limit_s, question.seed, on_progress)
        solution = judged[0].solution
    else:
        solution = make_plan(case, question.method, question.time_limit_s, question.seed, on_progress)
    found = solution.plan is not None and solution.evaluation is not None
    return solution.status, {
        **solution_data(solution),
        "policies": policies_data(judged),
        "evaluation": evaluation_data(solution.evaluation) if solution.evaluation is not None else None,
        "plan": solution.plan.model_dump(mode="json") if solution.plan is not None else None,
        "fronts": [_front_data(case.problem.models[0].name, solution)] if found and len(solution.front) else [],
    }


def _fronts(case: Case, question: Question, tell: Tell) -> tuple[str, dict[str, Any]]:
    began_s = time.monotonic()
    solutions: list[Solution] = []
    problems = problems_of(case, question.objective)
    for problem in problems:
        on_progress = partial(_tell, tell, problem.models[0].name, began_s)
        limit_s = question.time_limit_s / len(problems)
        solutions.append(solve_front(problem, question.method, limit_s, question.seed, on_progress))
    worst = max((solution.status for solution in solutions), key=("optimal", "feasible", "timeout", "infeasible").index)
    return worst, {
        "status": worst,
        "method": question.method,
        "seed": question.seed,
        "runtime_s": time.monotonic() - began_s,
        "fronts": [
            _front_data(problem.models[0].name, solution) for problem, solution in zip(problems, solutions, strict=True)
        ],
    }


def _tell(tell: Tell, model: str, began_s: float, progress: Progress) -> None:
    front = progress.front
    tell(
        {
            "elapsed_s": time.monotonic() - began_s,
            "objective": progress.objective,
            "bound": progress.bound,
            "gap": progress.gap,
            "policy": progress.policy,
            "model": model,
            "hypervolume": progress.hypervolume,
            "front": None if front is None else front[_spread(len(front), _DRAWN_POINTS)].tolist(),
        }
    )


def _front_data(model: str, solution: Solution) -> dict[str, Any]:
    """A front as plain data: its points, with the plans of some."""
    kept = _spread(len(solution.front), _KEPT_POINTS)
    planned = set(kept[_spread(len(kept), _PLANNED_POINTS)].tolist())
    figures = getattr(solution.front, "figures", None)
    points, n_segments = [], 0
    for k in kept.tolist():
        with_plan = k in planned and n_segments < _PLANNED_SEGMENTS
        if with_plan or figures is None:
            point = solution.front[k]
            latency_us, memory_bytes = point.latency_us, point.memory_bytes
            plan = point.plan.model_dump(mode="json") if with_plan else None
            n_segments += sum(len(model.segments) for model in point.plan.models) if with_plan else 0
        else:
            latency_us, memory_bytes, plan = float(figures[k, 0]), float(figures[k, 1]), None
        points.append({"latency_us": latency_us, "memory_bytes": memory_bytes, "plan": plan})
    return {"model": model, **solution_data(solution), "n_points": len(solution.front), "points": points}


def _spread(count: int, most: int) -> np.ndarray:
    """Indices spread evenly over a sequence, its ends among them."""
    return np.unique(np.linspace(0, max(0, count - 1), min(count, most)).astype(np.int64))


def is_reportable(result: dict[str, Any]) -> bool:
    """Whether an answer has something to draw: a plan, or points of some front."""
    return result.get("plan") is not None or any(front["points"] for front in result["fronts"])


def report_of(question: Question, profile: str, result: dict[str, Any]) -> str:
    """The report on an answer as one HTML document."""
    from ..report import Contents, Front, FrontSeries
    from ..report.page import render
    from ..reporting import contents_of

    case = case_of(question, profile)
    if result.get("plan") is not None:
        plan = Plan.model_validate(result["plan"])
        return render(contents_of(case, plan, evaluate(case.problem, plan), fronts=False))
    fronts = tuple(
        Front(
            front["model"],
            (
                FrontSeries(
                    front["method"],
                    tuple((point["latency_us"], point["memory_bytes"]) for point in front["points"]),
                    front["status"] == "optimal",
                ),
            ),
        )
        for front in result["fronts"]
        if front["points"]
    )
    return render(
        Contents(
            title=case.scenario.name,
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            fronts=fronts,
            profile=profile_table(case.profile),
            provenance={"scenario": case.scenario.name, **profile_provenance(case.profile)},
        )
    )
