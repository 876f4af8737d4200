"""Periodic jobs, written out over a hyperperiod: what happens then happens again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .errors import WorkloadError
from .jobs import Job

JOB_CAP = 10_000
"""More jobs in a hyperperiod than this are refused: no solver here would end."""


@dataclass(frozen=True)
class PeriodicJob:
    """A request that comes back.

    Attributes
    ----------
    name, network, weight, hard, droppable
        As in `Job`.
    period_us : float
    deadline_us : float or None
        Relative to each release; the period where None.
    offset_us : float
        Of the first release.
    """

    name: str
    network: str
    period_us: float
    deadline_us: float | None = None
    offset_us: float = 0.0
    weight: float = 1.0
    hard: bool = False
    droppable: bool = False


def over_hyperperiod(tasks: Sequence[PeriodicJob], cap: int = JOB_CAP) -> tuple[Job, ...]:
    """Write periodic jobs out until they repeat.

    A schedule of these jobs may be repeated for ever only if it also ends within the hyperperiod.

    Parameters
    ----------
    tasks : sequence of PeriodicJob
    cap : int
        Most jobs to accept.

    Returns
    -------
    tuple of Job
        Sorted by release; ``name#0``, ``name#1`` and so on.

    Raises
    ------
    WorkloadError
        Periods that are not positive, or that have so little in common that there were too many jobs.
    """
    wrong = [task.name for task in tasks if not 0 < task.period_us < math.inf or task.offset_us < 0]
    if wrong or not tasks:
        raise WorkloadError(
            "periodic jobs",
            expected="at least one, with positive finite periods and offsets of 0 or more",
            got=", ".join(wrong[:5]) or "none",
            remedy="Correct the periods.",
        )
    # Decimal digits as written: 0.1 is a tenth here, not the nearest binary fraction.
    periods = [Fraction(repr(float(task.period_us))) for task in tasks]
    denominator = math.lcm(*(period.denominator for period in periods))
    hyperperiod = Fraction(math.lcm(*(int(period * denominator) for period in periods)), denominator)
    count = sum(int(hyperperiod / period) for period in periods)
    if count > cap:
        raise WorkloadError(
            "hyperperiod",
            expected=f"at most {cap} jobs before everything repeats",
            got=f"{count} jobs in {float(hyperperiod):.6g} µs",
            remedy="Round the periods to multiples of a common unit (1000 µs, say), or to a harmonic series.",
        )
    jobs = []
    for task, period in zip(tasks, periods, strict=True):
        relative_us = task.period_us if task.deadline_us is None else task.deadline_us
        for k in range(int(hyperperiod / period)):
            release_us = task.offset_us + float(k * period)
            jobs.append(
                Job(
                    f"{task.name}#{k}",
                    task.network,
                    release_us,
                    release_us + relative_us,
                    task.weight,
                    task.hard,
                    task.droppable,
                )
            )
    return tuple(sorted(jobs, key=lambda job: (job.release_us, job.name)))
