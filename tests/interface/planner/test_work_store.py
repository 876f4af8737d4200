"""What holds of jobs from the workers' side: nobody gets one twice, and nobody writes who has lost his claim."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import numpy as np
from edgeplan.interface.planner.database import Database
from edgeplan.interface.planner.records import ENDED, Claim
from edgeplan.interface.planner.store import JobStore
from edgeplan.interface.planner.work_store import WorkStore

from .conftest import LIMITS
from .stored import lose, statuses, submit, taken, there


def test_the_oldest_goes_first_and_nobody_gets_a_job_twice(jobs: JobStore, work: WorkStore) -> None:
    wanted = [submit(jobs, number) for number in range(12)]
    assert taken(work).question.id == wanted[0]
    claims: list[str] = []

    def take_all() -> None:
        while (claim := work.claim()) is not None:
            claims.append(claim.question.id)

    threads = [threading.Thread(target=take_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims) == sorted(wanted[1:])


def test_a_silent_worker_loses_its_job_and_can_write_nothing_more(
    database: Database, jobs: JobStore, work: WorkStore
) -> None:
    job = submit(jobs)
    lost = taken(work)
    assert work.claim() is None
    assert work.beat(lost, [{"objective": 1.0, "front": None}]) == "go on"
    lose(database, lost)
    heir = taken(work)
    assert there(jobs.get(job)).progress == {}
    assert heir.question.id == job
    assert heir.attempt == 2
    assert work.beat(lost, [{"objective": 2.0, "front": None}]) == "lost"
    assert not work.finish(lost, "done", result='"lost"')
    assert not work.give_back(lost)
    assert work.finish(heir, "done", result='"heir"')
    assert not work.finish(heir, "done", result='"twice"')
    assert jobs.result(job) == '"heir"'
    assert statuses(jobs, job) == ["queued", "running", "running", "done"]


def test_a_heartbeat_keeps_the_job(database: Database, jobs: JobStore, work: WorkStore) -> None:
    submit(jobs)
    claim = taken(work)
    lose(database, claim)
    assert work.beat(claim) == "go on"
    assert work.claim() is None


def test_attempts_are_bounded(database: Database, jobs: JobStore, work: WorkStore) -> None:
    job = submit(jobs)
    for attempt in range(1, LIMITS.max_attempts + 1):
        claim = taken(work)
        assert claim.attempt == attempt
        if attempt % 2:
            lose(database, claim)
        else:
            work.give_back(claim, "it crashed")
    assert work.claim() is None
    found = jobs.get(job)
    assert found is not None
    assert found.status == "failed"
    assert found.error


def test_what_is_given_back_in_order_costs_no_attempt(jobs: JobStore, work: WorkStore) -> None:
    submit(jobs)
    for _ in range(2 * LIMITS.max_attempts):
        assert work.give_back(taken(work))
    assert taken(work).attempt == 1


def test_every_job_ends_exactly_once_however_workers_die(database: Database, jobs: JobStore) -> None:
    """Workers that vanish, come back too late, crash and give back, all at random."""
    wanted = [submit(jobs, number) for number in range(10)]
    patient = replace(LIMITS, max_attempts=100, lease_s=0.05)
    accepted: list[tuple[str, str]] = []

    def live(seed: int) -> None:
        rng = np.random.default_rng(seed)
        store = WorkStore(database, patient)
        zombies: list[Claim] = []
        while any(job.status not in ENDED for job in jobs.jobs(None, 100)):
            claim = store.claim()
            if claim is None:
                time.sleep(0.01)
                continue
            fate = rng.random()
            if fate < 0.3:
                zombies.append(claim)
            elif fate < 0.4:
                store.give_back(claim, "crash")
            else:
                result = json.dumps([claim.token])
                if store.finish(claim, "done", result=result):
                    accepted.append((claim.question.id, result))
            if zombies and rng.random() < 0.5:
                late = zombies.pop(0)
                result = json.dumps([late.token])
                if store.finish(late, "done", result=result):
                    accepted.append((late.question.id, result))

    threads = [threading.Thread(target=live, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert sorted(job for job, _ in accepted) == sorted(wanted)
    assert dict(accepted) == {job: jobs.result(job) for job in wanted}
    for job in wanted:
        assert [status in ENDED for status in statuses(jobs, job)].count(True) == 1


def test_what_no_text_can_hold_is_kept_out_of_it(jobs: JobStore, work: WorkStore) -> None:
    job = submit(jobs)
    assert work.finish(taken(work), "failed", error="a\0b\ud800" + "x" * 10_000)
    assert there(jobs.get(job)).error.startswith("ab?x")
