"""Which hard deadlines and memory limits cannot hold together: a set of which none can be left out."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from ...formulation import JobProblem


@dataclass(frozen=True, order=True)
class JobLimit:
    """A limit that a job problem can clash with: the hard deadline of a job, or the memory of a processor.

    Attributes
    ----------
    kind : {'deadline', 'memory'}
    index : int
        Of the job or the processor.
    text : str
        For people.
    """

    kind: str
    index: int
    text: str

    def __str__(self) -> str:
        return self.text


def limits_of(problem: JobProblem) -> tuple[JobLimit, ...]:
    """Every limit of a problem."""
    deadlines = [
        JobLimit("deadline", j, f"hard deadline of job {job.name!r}: {job.deadline_us:g} µs")
        for j, job in enumerate(problem.jobs)
        if job.hard and np.isfinite(job.deadline_us)
    ]
    memories = [
        JobLimit("memory", p, f"memory of processor {name!r}: {problem.memory_bytes[p]:g} bytes")
        for p, name in enumerate(problem.processors)
        if np.isfinite(problem.memory_bytes[p])
    ]
    return (*deadlines, *memories)


def relaxed(problem: JobProblem, kept: Collection[JobLimit]) -> JobProblem:
    """The problem with some of its limits only, where any schedule will do."""
    held = {(limit.kind, limit.index) for limit in kept}
    jobs = tuple(
        job if ("deadline", j) in held or not job.hard else replace(job, hard=False, deadline_us=float("inf"))
        for j, job in enumerate(problem.jobs)
    )
    memory = [m if ("memory", p) in held else np.inf for p, m in enumerate(problem.memory_bytes.tolist())]
    return problem.replace(jobs=jobs, memory_bytes=np.array(memory))


def clashing(
    limits: Collection[JobLimit], feasible: Callable[[Collection[JobLimit]], bool | None]
) -> tuple[JobLimit, ...]:
    """A subset of limits that clash such that any part of it can be kept, where `feasible` always knows.

    Parameters
    ----------
    limits : collection of JobLimit
        They clash.
    feasible : callable
        Whether some limits can hold together; None where time ran out, and then the limit in question stays in.
    """
    kept = list(limits)
    for limit in tuple(limits):
        fewer = [other for other in kept if other != limit]
        if feasible(fewer) is False:
            kept = fewer
    return tuple(kept)
