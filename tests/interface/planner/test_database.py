"""Databases that a store can be kept in: which are opened, what is refused, and that nobody waits without end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from edgeplan.interface.planner import database as module
from edgeplan.interface.planner.database import Database, StoreError
from edgeplan.interface.planner.store import JobStore
from edgeplan.interface.planner.tables import JobRow, MetaRow
from edgeplan.interface.planner.work_store import WorkStore
from sqlalchemy.exc import DBAPIError

from .conftest import LIMITS
from .stored import submit, taken, there


def test_a_store_outlives_its_processes(where: str, jobs: JobStore, work: WorkStore) -> None:
    running, done = submit(jobs), submit(jobs, 1)
    taken(work)
    work.finish(taken(work), "done", result="[1]")
    with Database(where) as again:
        store = JobStore(again, LIMITS)
        assert there(store.get(running)).status == "running"
        assert store.result(done) == "[1]"


@pytest.mark.parametrize(
    "wrong",
    [
        "mysql://host/name",
        "nothing://",
        "postgresql+psycopg://nobody@127.0.0.1:1/none",
        "/no/such/folder/x.db",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_what_is_no_store_is_refused(wrong: str) -> None:
    with pytest.raises(StoreError, match="store"):
        Database(wrong)


def test_a_file_may_be_called_anything(tmp_path: Path) -> None:
    path = tmp_path / "what? 100%20 #1.db"
    with Database(str(path)):
        assert path.exists()


@pytest.mark.parametrize("where", ["postgresql"], indirect=True)
def test_an_address_need_not_name_the_driver(where: str, jobs: JobStore) -> None:
    job = submit(jobs)
    with Database(where.replace("+psycopg", "")) as database:
        assert JobStore(database, LIMITS).get(job) is not None


def test_a_store_of_another_version_is_refused_and_left_as_it_is(
    where: str, database: Database, jobs: JobStore
) -> None:
    job = submit(jobs)
    with database.writing() as (session, _):
        session.get_one(MetaRow, "schema_version").value = "99"
    with pytest.raises(StoreError, match="version 99"):
        Database(where)
    assert jobs.get(job) is not None


@pytest.mark.parametrize("where", ["postgresql"], indirect=True)
def test_a_host_that_is_lost_while_it_writes_holds_its_job_for_a_while_only(
    where: str, jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(jobs)
    monkeypatch.setattr(module, "BUSY_S", 0.3)

    def write_and_be_lost() -> None:
        with Database(where) as lost, lost.writing() as (session, _), ThreadPoolExecutor(1) as pool:
            session.get_one(JobRow, job, with_for_update=True)
            assert there(pool.submit(jobs.cancel, job).result(20)).status == "cancelled"

    with pytest.raises(DBAPIError):
        write_and_be_lost()
