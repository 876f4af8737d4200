"""Run the jobs of a fleet that have no answer yet, and keep every answer as soon as it is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .engine import Done, Engine, Task
from .jobs import Fleet, Job, JobResult, JobStatus, solve_job
from .store import Store

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class FleetRun:
    """What came of all jobs.

    Attributes
    ----------
    fleet : Fleet
    results : tuple of JobResult
        One for each of the fleet's jobs, in their order.
    solved : int
        Questions that this run answered: with a plan, or by what stands against one.
    reused : int
        Questions that had an answer before.
    """

    fleet: Fleet
    results: tuple[JobResult, ...]
    solved: int
    reused: int

    @property
    def statuses(self) -> Counter[JobStatus]:
        """How many jobs ended in which way."""
        return Counter(result.status for result in self.results)


def waiting(fleet: Fleet, store: Store) -> tuple[dict[str, Job], dict[str, JobResult]]:
    """Questions without an answer, with a job that asks each; and the answers to the others."""
    missing: dict[str, Job] = {}
    known: dict[str, JobResult] = {}
    for job in fleet.jobs:
        if not job.digest or job.digest in known or job.digest in missing:
            continue
        found = store.load(job.digest)
        if found is None:
            missing[job.digest] = job
        else:
            known[job.digest] = found
    return missing, known


def run_fleet(fleet: Fleet, store: Store, engine: Engine, progress: Progress) -> FleetRun:
    """Solve what is missing. Devices that ask the same are solved once.

    Raises
    ------
    EngineError
        The engine cannot run anything. What was solved is kept.
    OutputError
        An answer cannot be written down.
    """
    missing, known = waiting(fleet, store)
    reused = len(known)
    tasks = [Task(digest, str(job.device.profile), fleet.question(job)) for digest, job in missing.items()]
    progress(0, len(tasks), "")
    solved = 0
    if tasks:
        for ended, done in enumerate(engine.run(solve_job, fleet.profiles, tasks), start=1):
            job = missing[done.key]
            known[done.key] = _kept(done, store)
            solved += known[done.key].status not in ("failed", "timeout")
            progress(ended, len(tasks), f"{job.device.name} · {job.workload.name}")
    return FleetRun(fleet, tuple(_result(job, known) for job in fleet.jobs), solved, reused)


def _kept(done: Done, store: Store) -> JobResult:
    if done.failure:
        return JobResult(digest=done.key, status="failed", reason=done.failure, job_s=done.seconds)
    store.save(done.result)
    return done.result


def _result(job: Job, known: Mapping[str, JobResult]) -> JobResult:
    if job.refusal:
        return JobResult(digest="", status="failed", reason=job.refusal)
    return known[job.digest]
