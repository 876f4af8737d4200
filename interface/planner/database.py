"""Opening the store's database: SQLite in WAL mode or PostgreSQL, with transactions that exclude each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Double, Engine, create_engine, event, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from ...formulation import EdgePlanError
from .tables import SCHEMA_VERSION, Base, MetaRow

_BUSY_S = 30.0
_SCHEMA_LOCK = 0x65646765706C616E
"""Number of PostgreSQL's advisory lock under which tables are made: `CREATE TABLE` in two sessions at once fails."""
_READING = "edgeplan_reading"


class StoreError(EdgePlanError):
    """A store that cannot be opened."""


class _Now(FunctionElement[float]):
    """Unix time by the database's clock: hosts that share a store need not agree on theirs."""

    name = "edgeplan_now"
    type = Double()
    inherit_cache = True


@compiles(_Now, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(_Now, "postgresql")
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
        It cannot be opened, is no database, or was made by a newer version.
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

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[tuple[Session, float]]:
        """A transaction that writes, and the time by the database's clock; nothing is kept where the block raises."""
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session, session.scalars(select(_Now())).one()

    @contextmanager
    def reading(self) -> Iterator[tuple[Session, float]]:
        """A transaction that only reads, and the time."""
        with Session(self._reading, expire_on_commit=False) as session, session.begin():
            yield session, session.scalars(select(_Now())).one()

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
    url = where if "://" in where else f"sqlite:///{Path(where).absolute()}"
    expected = "an SQLite file, or an address that begins with postgresql+psycopg://"
    try:
        kind = make_url(url).get_backend_name()
        if kind == "sqlite":
            engine = create_engine(
                url, connect_args={"timeout": _BUSY_S, "check_same_thread": False}, pool_size=16, max_overflow=48
            )
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        if kind == "postgresql":
            return create_engine(url, pool_pre_ping=True, pool_size=16, max_overflow=48)
    except ArgumentError as error:
        raise StoreError("store", expected=expected, got=str(error), remedy="Correct --store.") from error
    except ModuleNotFoundError as error:
        remedy = "Install it with `pip install 'edgeplan[postgres]'`."
        raise StoreError("store", expected="a driver for it", got=f"no {error.name}", remedy=remedy) from error
    raise StoreError("store", expected=expected, got=f"{kind}://", remedy="Correct --store.")


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions are begun below
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # what was accepted outlives the plug
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # Who will write says so at once: two who read first and then want to write would each wait for the other.
    reads = connection.get_execution_options().get(_READING, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
