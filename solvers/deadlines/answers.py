"""From a schedule to an answer: late jobs are dropped, and a bound tells whether anything was left to gain."""

from __future__ import annotations

from ...formulation import JobEvaluation, JobProblem, JobSchedule, evaluate_jobs
from .solution import JobSolution

_RELATIVE_SLACK = 1e-9


def lower_bound(problem: JobProblem) -> float:
    """No schedule has a smaller objective: every job alone on an idle device, transfers free."""
    ends = [job.release_us + network.least_us for job, network in zip(problem.jobs, problem.network_of, strict=True)]
    if problem.objective == "makespan":
        return max(ends)
    late = [job.weight for job, end in zip(problem.jobs, ends, strict=True) if end > job.deadline_us * (1 + 1e-9)]
    return float(sum(late))


def improved(problem: JobProblem, schedule: JobSchedule) -> tuple[JobSchedule, JobEvaluation]:
    """Drop jobs that are late and may be dropped: they cost as much and disturb nobody."""
    evaluation = evaluate_jobs(problem, schedule)
    if problem.objective == "makespan":
        return schedule, evaluation
    gone = [j for j in evaluation.missed if problem.jobs[j].droppable]
    if set(gone) == set(schedule.dropped):
        return schedule, evaluation
    lighter = schedule.without(gone)
    return lighter, evaluate_jobs(problem, lighter)


def answer(problem: JobProblem, schedule: JobSchedule | None, method: str, bound: float | None = None) -> JobSolution:
    """Answer of a heuristic.

    Parameters
    ----------
    problem : JobProblem
    schedule : JobSchedule or None
        Nothing found where None, or where it breaks something.
    method : str
    bound : float, optional
        A better bound than `lower_bound`, if known.
    """
    if schedule is None:
        return JobSolution("timeout", method)
    schedule, evaluation = improved(problem, schedule)
    if not evaluation.feasible:
        return JobSolution("timeout", method)
    least = max(lower_bound(problem), bound or 0.0)
    proven = evaluation.objective <= least + _RELATIVE_SLACK * max(1.0, least)
    if problem.objective == "deadlines":
        proven = proven and evaluation.total_tardiness_us == 0
    return JobSolution(
        "optimal" if proven else "feasible",
        method,
        evaluation.objective,
        min(least, evaluation.objective),
        schedule=schedule,
        evaluation=evaluation,
    )
