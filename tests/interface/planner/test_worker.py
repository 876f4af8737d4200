"""Workers with real processes: a job is solved as on the command line, cancelled, and outlives a crash."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from edgeplan.formulation import Plan
from edgeplan.interface import facade
from edgeplan.interface.planner.answers import case_of
from edgeplan.interface.planner.database import Database
from edgeplan.interface.planner.limits import PlannerLimits
from edgeplan.interface.planner.records import Question
from edgeplan.interface.planner.store import JobStore
from edgeplan.interface.planner.work_store import WorkStore
from edgeplan.interface.planner.worker import Workers
from edgeplan.solvers.testing import ProblemKind

from .asked import LARGE, SMALL, question
from .stored import until


def solvers() -> list[psutil.Process]:
    """Processes that solve for this one; Python's own that watches over shared memory is not one."""
    found = psutil.Process().children(recursive=True)
    return [child for child in found if any("spawn_main" in word for word in child.cmdline())]


def submitted(jobs: JobStore, kind: ProblemKind, time_limit_s: float) -> tuple[Question, str]:
    asked, profile = question(kind, time_limit_s=time_limit_s)
    jobs.add_profile(asked.profile_id, ("m0",), profile)
    jobs.submit(asked)
    return asked, profile


@pytest.fixture
def limits() -> PlannerLimits:
    return PlannerLimits(lease_s=5.0)


@pytest.fixture
def crew(tmp_path: Path, limits: PlannerLimits):
    database = Database(str(tmp_path / "planner.db"))
    jobs = JobStore(database, limits)
    yield Workers(jobs, WorkStore(database, limits), limits, slots=1), jobs
    database.close()


def test_solved_as_on_the_command_line(crew: tuple[Workers, JobStore]) -> None:
    workers, jobs = crew
    with workers:
        asked, profile = submitted(jobs, replace(SMALL, layers=2), 20.0)
        workers.wake()
        direct = facade.plan(case_of(asked, profile), time_limit_s=20.0)  # meanwhile
        done = until(jobs, asked.id, lambda job: job.has_ended)
        assert (done.status, done.outcome) == ("done", "feasible") or done.outcome == "optimal", done.error
        result = json.loads(jobs.result(asked.id) or "")
        assert direct.plan is not None
        assert Plan.model_validate(result["plan"]).models == direct.plan.models
        assert jobs.counts().workers == 1


@pytest.mark.slow
def test_cancelled_while_it_runs_and_given_back_by_a_worker_that_stops(crew: tuple[Workers, JobStore]) -> None:
    workers, jobs = crew
    with workers:
        large, _ = submitted(jobs, LARGE, 60.0)
        workers.wake()
        until(jobs, large.id, lambda job: job.progress.get("elapsed_s") is not None)
        (solver,) = solvers()
        jobs.cancel(large.id)
        until(jobs, large.id, lambda job: job.status == "cancelled")
        solver.wait(10)

        jobs.submit(large)
        workers.wake()
        until(jobs, large.id, lambda job: job.status == "running")
    back = jobs.get(large.id)
    assert back is not None
    assert (back.status, back.attempt) == ("queued", 0)
    assert jobs.counts().workers == 0


@pytest.mark.slow
def test_a_crash_costs_one_attempt_and_the_last_one_the_job(crew: tuple[Workers, JobStore]) -> None:
    workers, jobs = crew
    with workers:
        large, _ = submitted(jobs, LARGE, 60.0)
        for attempt in (1, 2, 3):
            until(jobs, large.id, lambda job, attempt=attempt: job.status == "running" and job.attempt == attempt)
            for _ in range(200):
                if found := solvers():
                    found[0].kill()
                    break
                time.sleep(0.05)
        failed = until(jobs, large.id, lambda job: job.has_ended)
        assert failed.status == "failed"
        assert "signal 9" in failed.error
        asked, _ = submitted(jobs, SMALL, 4.0)
        assert until(jobs, asked.id, lambda job: job.has_ended).status == "done"


@pytest.mark.slow
def test_memory_that_runs_out_costs_one_job(tmp_path: Path, limits: PlannerLimits) -> None:
    database = Database(str(tmp_path / "planner.db"))
    tight = replace(limits, max_memory_bytes=100 * 2**20, max_attempts=1)
    jobs = JobStore(database, tight)
    with Workers(jobs, WorkStore(database, tight), tight, slots=1):
        large, _ = submitted(jobs, LARGE, 20.0)
        failed = until(jobs, large.id, lambda job: job.has_ended)
    assert failed.status == "failed"
    assert "MiB" in failed.error
    database.close()
