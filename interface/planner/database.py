"""Opening the store's database: SQLite in WAL mode or PostgreSQL, with transactions that exclude each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Double, Engine, create_engine, event, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from ...formulation import EdgePlanError
from .tables import SCHEMA_VERSION, Base, MetaRow

BUSY_S = 30.0
"""How long a statement waits at most, for others that write or for a server that does not answer."""
_SCHEMA_LOCK = 0x65646765706C616E
"""Number of PostgreSQL's advisory lock under which tables are made: `CREATE TABLE` in two sessions at once fails."""
_QUEUE_LOCK = _SCHEMA_LOCK + 1
"""And of the one under which the queue grows: two who count at once would both find room for one."""
_ALIVE = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""For PostgreSQL's driver: a server that vanished without a word is noticed within half a minute, not two hours."""
_POOL = {"pool_size": 16, "max_overflow": 48}
_READING = "edgeplan_reading"


class StoreError(EdgePlanError):
    """A store that cannot be opened."""


class Now(FunctionElement[float]):
    """Unix time by the database's clock: hosts that share a store need not agree on theirs."""

    name = "edgeplan_now"
    type = Double()
    inherit_cache = True


@compiles(Now, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(Now, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


class Database:
    """A store's database, its tables made where they are missing. Use it as a context manager.

    Parameters
    ----------
    where : str
        Path of an SQLite file, or an address such as ``postgresql+psycopg://user@host/name``.

    Raises
    ------
    StoreError
        It cannot be opened, is no database, or was made by another version.
    """

    def __init__(self, where: str) -> None:
        self._engine = _engine(where)
        self.name = self._engine.url.render_as_string(hide_password=True)
        self._reading = self._engine.execution_options(**{_READING: True})
        try:
            self._make_tables()
        except StoreError:
            self.close()
            raise
        except SQLAlchemyError as error:
            self.close()
            raise StoreError(
                f"store {self.name}",
                expected="a database that can be opened and written to",
                got=" ".join(str(getattr(error, "orig", None) or error).split())[:300],
                remedy="Name an SQLite file or the address of a PostgreSQL database with --store.",
            ) from error

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[tuple[Session, float]]:
        """A transaction that writes, and the time by the database's clock; nothing is kept where the block raises."""
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session, session.scalars(select(Now())).one()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads."""
        with Session(self._reading, expire_on_commit=False) as session, session.begin():
            yield session

    def lock_queue(self, session: Session) -> None:
        """Let nobody else add to the queue until the transaction ends. On SQLite one writes at a time anyway."""
        if self._engine.dialect.name == "postgresql":
            session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _QUEUE_LOCK})

    def _make_tables(self) -> None:
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _SCHEMA_LOCK})
            Base.metadata.create_all(connection)
            with Session(connection) as session:
                found = session.get(MetaRow, "schema_version")
                if found is None:
                    session.add(MetaRow(key="schema_version", value=SCHEMA_VERSION))
                    session.flush()
                elif found.value != SCHEMA_VERSION:
                    raise StoreError(
                        f"store {self.name}",
                        expected=f"one of schema version {SCHEMA_VERSION}",
                        got=f"version {found.value}",
                        remedy="Use the version of edgeplan that made it, or another store.",
                    )


def _engine(where: str) -> Engine:
    expected = "an SQLite file, or an address that begins with postgresql+psycopg://"
    try:
        # A path is no address: it may have characters that mean something there.
        url = make_url(where) if "://" in where else URL.create("sqlite", database=str(Path(where).absolute()))
        kind = url.get_backend_name()
        if kind == "sqlite" and url.database not in (None, "", ":memory:"):  # which each connection has one of its own
            waits = {"timeout": BUSY_S, "check_same_thread": False}
            engine = create_engine(url, connect_args=waits, **_POOL)
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        if kind == "postgresql":
            if url.drivername == kind:
                url = url.set(drivername="postgresql+psycopg")
            engine = create_engine(url, connect_args=_ALIVE, pool_pre_ping=True, **_POOL)
            event.listen(engine, "connect", _set_up_postgresql)
            return engine
    except ArgumentError as error:
        raise StoreError("store", expected=expected, got=str(error), remedy="Correct --store.") from error
    except ModuleNotFoundError as error:
        remedy = "Install it with `pip install 'edgeplan[postgres]'`."
        raise StoreError("store", expected="a driver for it", got=f"no {error.name}", remedy=remedy) from error
    got = "a database in memory" if kind == "sqlite" else f"{kind}://"
    raise StoreError("store", expected=expected, got=got, remedy="Correct --store.")


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions are begun below
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # what was accepted outlives the plug
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _set_up_postgresql(connection: Any, _: Any) -> None:
    # The second: a host that is lost in the middle of a transaction would hold the rows that it locked for hours.
    for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(f"SET {name} = {round(1e3 * BUSY_S)}")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    # Who will write says so at once: two who read first and then want to write would each wait for the other.
    reads = connection.get_execution_options().get(_READING, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
