"""The service with workers behind its server on loopback, in the process of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from edgeplan.interface.planner.app import create_app
from edgeplan.interface.planner.database import Database
from edgeplan.interface.planner.limits import PlannerLimits
from edgeplan.interface.planner.store import JobStore
from edgeplan.interface.planner.work_store import WorkStore
from edgeplan.interface.planner.worker import Workers
from edgeplan.interface.serving.http.gate import AppSettings
from edgeplan.interface.serving.http.server import Server


@dataclass(frozen=True)
class Served:
    """A service that listens."""

    port: int
    jobs: JobStore

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def served(
    folder: Path, token: str | None = None, workers: int = 1, limits: PlannerLimits | None = None
) -> Iterator[Served]:
    limits = limits or PlannerLimits()
    database = Database(str(folder / "planner.db"))
    jobs = JobStore(database, limits)
    crew = Workers(jobs, WorkStore(database, limits), limits, workers)
    app = create_app(jobs, limits, AppSettings(token), crew.wake)
    ports: SimpleQueue[int] = SimpleQueue()
    server = Server(app, app, "127.0.0.1", 0, on_listening=ports.put)
    app.closing = lambda: server.should_exit
    thread = threading.Thread(target=server.run, daemon=True)
    with crew:
        thread.start()
        try:
            yield Served(ports.get(timeout=20), jobs)
        finally:
            server.should_exit = True
            thread.join(20)
    database.close()
