"""What holds of the store, whichever database keeps it."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from edgeplan.interface.planner import store as module
from edgeplan.interface.planner.database import Database
from edgeplan.interface.planner.records import Question
from edgeplan.interface.planner.store import JobStore, QueueFull, set_status
from edgeplan.interface.planner.tables import JobRow
from edgeplan.interface.planner.work_store import WorkStore

from .conftest import LIMITS
from .stored import PROFILE, ask, lose, statuses, submit, taken, there


def test_the_same_question_is_one_job(jobs: JobStore, work: WorkStore) -> None:
    first = submit(jobs)
    assert jobs.submit(ask(jobs)).asked == 2
    assert statuses(jobs, first) == ["queued"]
    claim = taken(work)
    assert claim.question == ask(jobs)
    assert claim.profile == "{}"
    assert jobs.submit(ask(jobs)).status == "running"
    assert work.finish(claim, "done", result='{"a": 1}', outcome="optimal")
    again = jobs.submit(ask(jobs))
    assert (again.status, again.outcome, again.asked) == ("done", "optimal", 4)
    assert jobs.result(first) == '{"a": 1}'
    assert statuses(jobs, first) == ["queued", "running", "done"]
    assert work.claim() is None


def test_many_clients_at_once_make_one_job(jobs: JobStore) -> None:
    jobs.add_profile(PROFILE, ("m0",), "{}")
    errors: list[BaseException] = []

    def ask_it() -> None:
        try:
            submit(jobs)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    (job,) = jobs.jobs(None, 10)
    assert job.asked == 8
    assert statuses(jobs, job.id) == ["queued"]


def test_failed_and_cancelled_questions_are_asked_anew(jobs: JobStore, work: WorkStore) -> None:
    job = submit(jobs)
    work.finish(taken(work), "failed", error="broken")
    failed = jobs.events(job, 0)[0][-1]
    assert jobs.submit(ask(jobs)).status == "queued"
    assert statuses(jobs, job) == ["queued"]  # what an earlier attempt told would be taken for this one's
    assert [event.number for event in jobs.events(job, failed.number)[0]] == [failed.number + 1]
    assert there(jobs.cancel(job)).status == "cancelled"
    assert jobs.submit(ask(jobs)).status == "queued"
    assert taken(work).attempt == 1
    assert statuses(jobs, job) == ["queued", "running"]


@pytest.mark.parametrize("heard", [False, True])
def test_who_asks_for_a_job_that_is_being_cancelled_gets_an_answer(
    jobs: JobStore, work: WorkStore, heard: bool
) -> None:
    job = submit(jobs)
    claim = taken(work)
    jobs.cancel(job)
    if heard:  # its worker is about to let go of it
        assert work.beat(claim) == "cancel"
    assert jobs.submit(ask(jobs)).status == "running"
    if heard:
        assert work.give_back(claim)
        claim = taken(work)
        assert claim.attempt == 1
    assert work.beat(claim) == "go on"
    assert work.finish(claim, "done", result="1")
    assert there(jobs.get(job)).status == "done"


def test_the_queue_is_bounded_but_what_is_known_is_not_refused(jobs: JobStore) -> None:
    for number in range(LIMITS.max_queued):
        submit(jobs, number)
    with pytest.raises(QueueFull):
        submit(jobs, LIMITS.max_queued)
    assert jobs.submit(ask(jobs, 3)).asked == 2


def test_the_queue_is_bounded_for_those_who_come_at_once_too(database: Database, jobs: JobStore) -> None:
    few = JobStore(database, replace(LIMITS, max_queued=4))
    questions = [ask(jobs, number) for number in range(16)]
    start = threading.Barrier(len(questions))

    def is_taken(question: Question) -> bool:
        start.wait()
        try:
            return few.submit(question).status == "queued"
        except QueueFull:
            return False

    with ThreadPoolExecutor(len(questions)) as pool:
        assert sum(pool.map(is_taken, questions)) == 4
    assert jobs.counts().jobs == {"queued": 4}


def test_the_last_jobs_are_those_that_were_asked_for_last(jobs: JobStore) -> None:
    first, second = submit(jobs), submit(jobs, 1)
    jobs.cancel(first)
    time.sleep(0.003)  # the clock of SQLite has milliseconds
    submit(jobs)
    assert [job.id for job in jobs.jobs(None, 10)] == [first, second]
    assert [job.id for job in jobs.jobs("queued", 1)] == [first]


def test_cancel_before_while_and_after(database: Database, jobs: JobStore, work: WorkStore) -> None:
    waiting, running, lost, over = (submit(jobs, number) for number in range(4))
    assert there(jobs.cancel(waiting)).status == "cancelled"
    claim = taken(work)
    assert claim.question.id == running
    assert there(jobs.cancel(running)).status == "running"
    assert work.beat(claim) == "cancel"
    assert work.give_back(claim)
    assert there(jobs.get(running)).status == "cancelled"
    lose(database, taken(work))
    assert there(jobs.cancel(lost)).status == "cancelled"
    work.finish(taken(work), "done", result="1")
    assert there(jobs.cancel(over)).status == "done"
    assert jobs.cancel("f" * 64) is None


def test_a_cancelled_job_whose_worker_was_lost_is_not_begun_again(
    database: Database, jobs: JobStore, work: WorkStore
) -> None:
    job = submit(jobs)
    claim = taken(work)
    jobs.cancel(job)
    lose(database, claim)
    assert work.claim() is None
    assert there(jobs.get(job)).status == "cancelled"


def test_events_go_on_where_a_client_left_off(database: Database, jobs: JobStore, work: WorkStore) -> None:
    job = submit(jobs)
    claim = taken(work)
    for number in range(5):
        assert work.beat(claim, [{"objective": float(number), "front": [[1.0, 2.0]]}]) == "go on"
    assert there(jobs.get(job)).progress == {"objective": 4.0}
    events, over = jobs.events(job, 4)
    assert not over
    assert [json.loads(event.data)["objective"] for event in events] == [2.0, 3.0, 4.0]
    assert json.loads(events[0].data)["front"] == [[1.0, 2.0]]
    work.finish(claim, "done", result="1")
    (last,), over = jobs.events(job, 7)
    assert over
    assert json.loads(last.data)["status"] == "done"
    assert jobs.events(job, 8) == ([], True)
    assert jobs.events("f" * 64, 0) == ([], True)
    time.sleep(0.003)  # the clock of SQLite has milliseconds
    JobStore(database, replace(LIMITS, keep_days=0.0)).forget()
    submit(jobs)
    (first,), over = jobs.events(job, 8)  # of a job that is no more: this one's events come from the first on
    assert (first.number, over) == (1, False)


def test_old_results_and_profiles_are_forgotten_but_nothing_that_is_needed(
    database: Database, jobs: JobStore, work: WorkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FORGOTTEN_AT_ONCE", 2)  # as many turns as it takes
    ended = [submit(jobs, number) for number in range(8)]
    for _ in ended:
        work.finish(taken(work), "done", result="1")
        time.sleep(0.003)  # the clock of SQLite has milliseconds
    waiting, running = submit(jobs, 100), submit(jobs, 101)
    taken(work)
    for number in range(6):
        jobs.add_profile(f"{number:064x}", ("m",), "{}")
    few = JobStore(database, replace(LIMITS, keep_jobs=3, max_profiles=2))
    assert few.forget() == 5
    left = {job.id for job in jobs.jobs(None, 100)}
    assert left == {*ended[-3:], waiting, running}
    assert jobs.profile(PROFILE) is not None
    assert jobs.counts().profiles == 3
    assert jobs.events(ended[0], 0) == ([], True)
    none = JobStore(database, replace(LIMITS, keep_days=0.0))
    none.forget()
    assert {job.status for job in jobs.jobs(None, 100)} <= {"queued", "running"}


def test_a_profile_that_is_asked_for_outlives_later_ones(database: Database, jobs: JobStore) -> None:
    digests = [f"{number:064x}" for number in range(3)]
    for digest in digests:
        jobs.add_profile(digest, ("m",), "{}")
        time.sleep(0.003)
    assert jobs.used_profile(digests[0]) == "{}"
    assert jobs.used_profile("f" * 64) is None
    JobStore(database, replace(LIMITS, max_profiles=1)).forget()
    assert [jobs.profile(digest) is not None for digest in digests] == [True, False, False]


@pytest.mark.parametrize("where", ["postgresql"], indirect=True)
def test_a_job_that_is_just_asked_for_anew_is_not_forgotten(
    database: Database, jobs: JobStore, work: WorkStore
) -> None:
    job = submit(jobs)
    work.finish(taken(work), "failed", error="broken")
    none = JobStore(database, replace(LIMITS, keep_days=0.0))
    with ThreadPoolExecutor(1) as pool:
        with database.writing() as (session, now_s):
            set_status(session, session.get_one(JobRow, job, with_for_update=True), "queued", now_s)
            session.flush()
            forgotten = pool.submit(none.forget)
            time.sleep(0.2)
        assert forgotten.result(20) == 0
    assert there(jobs.get(job)).status == "queued"


def test_counts_and_workers(database: Database, jobs: JobStore, work: WorkStore) -> None:
    work.here("one", "host", 1, 2)
    work.here("one", "host", 1, 3)
    work.here("two", "host", 2, 1)
    work.here("server", "host", 3, 0)
    submit(jobs, 1)
    submit(jobs, 2)
    taken(work)
    counts = jobs.counts()
    assert counts.jobs == {"queued": 1, "running": 1}
    assert (counts.workers, counts.slots) == (2, 4)
    assert counts.oldest_queued_s >= 0
    work.gone("one")
    assert (jobs.counts().workers, jobs.counts().slots) == (1, 1)
    impatient = JobStore(database, replace(LIMITS, lease_s=0.001))
    time.sleep(0.01)
    assert impatient.counts().workers == 0
