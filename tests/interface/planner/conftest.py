"""Stores of both kinds: an SQLite file, and a PostgreSQL server that is started for the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the store's package is an extra")
pytest.importorskip("fastapi", reason="the server's packages are an extra")

from edgeplan.interface.planner.database import Database
from edgeplan.interface.planner.limits import PlannerLimits
from edgeplan.interface.planner.store import JobStore
from edgeplan.interface.planner.work_store import WorkStore

LIMITS = PlannerLimits(lease_s=60.0, max_queued=30, keep_jobs=50)


def _unprivileged() -> str | None:
    """Somebody who may start PostgreSQL, which root may not; None where that is who runs this."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip("PostgreSQL is not started by root, and there is nobody else")


def _program(name: str) -> str:
    places = [shutil.which(name), *map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True))]
    found = next((place for place in places if place), None)
    if found is None:
        pytest.skip(f"PostgreSQL is not installed: no {name}")
    return found


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Address of a server's first database, by a socket that only this machine sees."""
    psycopg = pytest.importorskip("psycopg", reason="PostgreSQL's driver is an extra")
    programs = _program("initdb"), _program("postgres")
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="edgeplan-pg-"))
    if user is not None:
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
    as_user = {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    data = folder / "data"
    try:
        command = [programs[0], "-D", str(data), "-U", "edgeplan", "-A", "trust", "-N", "--no-locale", "-E", "UTF8"]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **as_user)
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
        with subprocess.Popen(
            [programs[1], "-D", str(data), *options], cwd="/", stderr=subprocess.DEVNULL, **as_user
        ) as server:
            try:
                for _ in range(200):
                    try:
                        psycopg.connect(f"host={folder} user=edgeplan dbname=postgres").close()
                        break
                    except psycopg.OperationalError:
                        assert server.poll() is None
                        time.sleep(0.05)
                yield f"postgresql+psycopg://edgeplan@/postgres?host={folder}"
            finally:
                server.send_signal(signal.SIGQUIT)  # at once: nobody wants what it has any more
                server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty store."""
    if request.param == "sqlite":
        return str(tmp_path / "planner.db")
    psycopg = pytest.importorskip("psycopg", reason="PostgreSQL's driver is an extra")
    first: str = request.getfixturevalue("postgres")
    folder, name = first.split("host=")[1], f"t{uuid.uuid4().hex}"
    with psycopg.connect(f"host={folder} user=edgeplan dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://edgeplan@/{name}?host={folder}"


@pytest.fixture
def database(where: str) -> Iterator[Database]:
    opened = Database(where)
    yield opened
    opened.close()


@pytest.fixture
def jobs(database: Database) -> JobStore:
    return JobStore(database, LIMITS)


@pytest.fixture
def work(database: Database) -> WorkStore:
    return WorkStore(database, LIMITS)
