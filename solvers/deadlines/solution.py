"""What a solver of job problems hands back."""

from __future__ import annotations

from dataclasses import dataclass

from ...formulation import JobEvaluation, JobSchedule
from ..answer import Answer


@dataclass(frozen=True)
class JobSolution(Answer):
    """Answer to a job problem.

    `objective` and `bound` are weighted misses, or microseconds of makespan. ``optimal`` also says that nothing with
    as few weighted misses has less tardiness.

    Attributes
    ----------
    schedule : JobSchedule or None
    evaluation : JobEvaluation or None
        Of `schedule`, by the one evaluator.
    clashes : tuple of str
        For ``infeasible``: deadlines and memory limits that cannot hold together, none of which can be left out.
    """

    schedule: JobSchedule | None = None
    evaluation: JobEvaluation | None = None
    clashes: tuple[str, ...] = ()
