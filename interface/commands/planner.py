"""``edgeplan planner``: a service that plans, with workers of its own or on further hosts."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer

from ...formulation import UnsupportedError, capped
from ..logs import LogFormat, LogLevel, event, logging_to_stderr
from ..planner.limits import PlannerLimits
from ..signals import stop_on_signals
from ..units import count

TOKEN_VARIABLE = "EDGEPLAN_TOKEN"

StoreOption = Annotated[
    str, typer.Option("--store", help="SQLite file, or postgresql+psycopg://USER@HOST/NAME for several hosts.")
]
WorkersOption = Annotated[int, typer.Option("--workers", min=0, max=256, help="Jobs solved at once by this process.")]
LeaseOption = Annotated[
    float, typer.Option("--lease", min=1.0, help="Seconds after which a silent worker has lost its job.")
]
MemoryOption = Annotated[float, typer.Option("--solve-memory-mib", min=256, help="Most memory of one solve.")]
LogFormatOption = Annotated[
    LogFormat, typer.Option("--log-format", help="Lines on stderr: text for people, json for programs.")
]
LogLevelOption = Annotated[LogLevel, typer.Option("--log-level", help="From which level on lines are written.")]

LEASE_S = PlannerLimits.lease_s
SOLVE_MEMORY_MIB = PlannerLimits.max_memory_bytes / 2**20

planner = typer.Typer()


@planner.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    store: StoreOption = "planner.db",
    workers: WorkersOption = 1,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8010,
    max_time_limit_s: Annotated[
        float, typer.Option("--max-time-limit", min=0.1, help="Longest time limit that a job may ask for, seconds.")
    ] = PlannerLimits.max_time_limit_s,
    max_queued: Annotated[
        int, typer.Option("--max-queued", min=1, help="Jobs that may wait.")
    ] = PlannerLimits.max_queued,
    max_request_mib: Annotated[float, typer.Option("--max-request-mib", min=0.001, help="Longest body.")] = 16.0,
    max_models: Annotated[int, typer.Option("--max-models", min=1, help="Of a scenario.")] = PlannerLimits.max_models,
    keep_jobs: Annotated[
        int, typer.Option("--keep-jobs", min=1, help="Jobs kept that have ended.")
    ] = PlannerLimits.keep_jobs,
    keep_days: Annotated[
        float, typer.Option("--keep-days", min=0.001, help="How long they are kept.")
    ] = PlannerLimits.keep_days,
    lease_s: LeaseOption = LEASE_S,
    solve_memory_mib: MemoryOption = SOLVE_MEMORY_MIB,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Plan as a service, until SIGINT or SIGTERM; jobs that run then are taken up again by the next start.

    A bearer token, where one is wanted, comes from the environment variable EDGEPLAN_TOKEN.
    """
    if context.invoked_subcommand is not None:
        _refuse_unheeded(context)
        return
    with _installed():
        from ..planner.app import create_app
        from ..planner.database import Database
        from ..planner.store import JobStore
        from ..planner.work_store import WorkStore
        from ..planner.worker import Workers
        from ..serving.http.gate import AppSettings
        from ..serving.http.places import ConnectionLimits
        from ..serving.http.refusal_log import RefusalLog
        from ..serving.http.server import Server, bound
    token = os.environ.get(TOKEN_VARIABLE) or None
    context.with_resource(logging_to_stderr(log_format, log_level, [token]))
    limits = PlannerLimits(
        max_time_limit_s=max_time_limit_s,
        max_queued=max_queued,
        max_models=max_models,
        keep_jobs=keep_jobs,
        keep_days=keep_days,
        lease_s=lease_s,
        max_memory_bytes=round(solve_memory_mib * 2**20),
    )
    settings = AppSettings(token, round(max_request_mib * 2**20), host=host)
    clients = ConnectionLimits(max_body_bytes=settings.max_request_bytes)
    with ExitStack() as stack:
        listener = stack.enter_context(bound(host, port))  # first: where it is taken, nothing else is worth doing
        database = stack.enter_context(Database(store))
        jobs = JobStore(database, limits)
        crew = Workers(jobs, WorkStore(database, limits), limits, workers)
        app = create_app(jobs, limits, settings, crew.wake)

        def tell(taken: int) -> None:
            message = f"Planning on http://{host}:{taken}/ with {count(workers, 'worker')}; jobs in {database.name}."
            event(logging.INFO, "listening", message, host=host, port=taken, workers=workers, store=database.name)

        with stop_on_signals(), crew:
            server = Server(RefusalLog(app), app, host, port, clients, on_listening=tell)
            app.closing = lambda: server.should_exit
            server.run([listener])
        event(logging.INFO, "stopped", "Stopped; jobs that ran wait for the next worker.")


@planner.command()
def worker(
    context: typer.Context,
    store: StoreOption,
    workers: WorkersOption = 1,
    lease_s: LeaseOption = LEASE_S,
    solve_memory_mib: MemoryOption = SOLVE_MEMORY_MIB,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Work on the jobs of a store beside the server that takes them, until SIGINT or SIGTERM."""
    with _installed():
        from ..planner.database import Database
        from ..planner.store import JobStore
        from ..planner.work_store import WorkStore
        from ..planner.worker import Workers
    context.with_resource(logging_to_stderr(log_format, log_level, []))
    limits = PlannerLimits(lease_s=lease_s, max_memory_bytes=round(solve_memory_mib * 2**20))
    with Database(store) as database, stop_on_signals() as stop:
        jobs = JobStore(database, limits)
        with Workers(jobs, WorkStore(database, limits), limits, workers, forgets=False):
            message = f"Working on the jobs of {database.name}, {workers} at once."
            event(logging.INFO, "working", message, workers=workers, store=database.name)
            stop.wait()
    event(logging.INFO, "stopped", "Stopped; jobs that ran wait for the next worker.")


def _refuse_unheeded(context: typer.Context) -> None:
    """Refuse options in front of `worker`: they are the server's, and nobody would heed them.

    Raises
    ------
    UnsupportedError
    """
    sources = {param.opts[0]: context.get_parameter_source(param.name or "") for param in context.command.params}
    given = [option for option, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        raise UnsupportedError(
            f"edgeplan planner {context.invoked_subcommand}",
            expected="its options behind it",
            got=f"{capped(given)} before it",
            remedy=f"Write `edgeplan planner {context.invoked_subcommand} {given[0]} …`.",
        )


@contextmanager
def _installed() -> Iterator[None]:
    """Say which extra is missing where an import fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            "edgeplan planner",
            expected="fastapi, uvicorn, sqlalchemy and prometheus-client",
            got=f"no {error.name}",
            remedy="Install them with `pip install 'edgeplan[planner]'`.",
        ) from error
