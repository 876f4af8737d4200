"""``edgeplan serve``: a scenario's models behind the Open Inference Protocol, served by a plan."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...formulation import Plan, UnsupportedError
from ..exits import ExitCode
from ..logs import LogFormat, LogLevel, event, logging_to_stderr
from ..output import current_output
from ..signals import stop_on_signals
from .options import ProfileOption, ScenarioArgument, SeedOption

if TYPE_CHECKING:
    from ..case import Case
    from ..serving.app import AppSettings
    from ..serving.engine import EngineSettings

TOKEN_VARIABLE = "EDGEPLAN_TOKEN"


def serve(
    context: typer.Context,
    scenario: ScenarioArgument,
    plan_path: Annotated[
        Path | None, typer.Option("--plan", help="Plan file (JSON); left out, one is made first.")
    ] = None,
    profile: ProfileOption = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
    adapt: Annotated[bool, typer.Option("--adapt/--no-adapt", help="Re-plan when the load changes.")] = True,
    admission: Annotated[
        bool, typer.Option("--admission/--no-admission", help="Refuse requests that cannot be in time.")
    ] = True,
    max_in_flight: Annotated[int, typer.Option("--max-in-flight", min=1, help="Requests taken and not ended.")] = 256,
    max_request_mib: Annotated[float, typer.Option("--max-request-mib", min=0.001, help="Longest body.")] = 64.0,
    max_connections: Annotated[
        int, typer.Option("--max-connections", min=1, help="Open at once; beyond, the idlest is closed.")
    ] = 1024,
    time_limit_s: Annotated[float, typer.Option("--time-limit", min=0.1, help="For a plan that is made first.")] = 10.0,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Lines on stderr: text for people, json for programs.")
    ] = LogFormat.TEXT,
    log_level: Annotated[LogLevel, typer.Option("--log-level", help="From which level on lines are written.")] = (
        LogLevel.INFO
    ),
    state: Annotated[
        Path | None, typer.Option("--state", help="Folder to keep plans and decisions in, and to start from again.")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Serve a scenario's models over HTTP until SIGINT or SIGTERM; requests in flight are answered.

    A bearer token, where one is wanted, comes from the environment variable EDGEPLAN_TOKEN.
    """
    try:
        from ..serving.app import AppSettings, create_app
        from ..serving.http.places import ConnectionLimits
        from ..serving.http.refusal_log import RefusalLog
        from ..serving.http.server import Server, bound
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            "edgeplan serve",
            expected="fastapi, uvicorn and prometheus-client",
            got=f"no {error.name}",
            remedy="Install them with `pip install 'edgeplan[serve]'`.",
        ) from error
    from ...runtime_bridge.state import StateStore
    from ..facade import load
    from ..facade import plan as make_plan
    from ..serving.engine import EngineSettings
    from ..serving.keeper import base_key
    from ..serving.startup import started

    output = current_output(context)
    token = os.environ.get(TOKEN_VARIABLE) or None
    context.with_resource(logging_to_stderr(log_format, log_level, [token]))
    case = load(scenario, profile).here()
    given = None if plan_path is None else Plan.load(plan_path)

    def first_plan() -> Plan:
        if given is not None:
            return given
        solution = make_plan(case, time_limit_s=time_limit_s, seed=seed)
        if solution.plan is None:
            output.result(
                {"status": solution.status, "clashes": [clash.sentence for clash in solution.clashes]},
                *(clash.sentence for clash in solution.clashes),
            )
            raise typer.Exit(ExitCode.INFEASIBLE if solution.status == "infeasible" else ExitCode.OUT_OF_TIME)
        return solution.plan

    settings = EngineSettings(max_in_flight, admission, adapt, seed)
    limits = AppSettings(token, round(max_request_mib * 2**20), host=host)
    clients = ConnectionLimits(max_connections=max_connections, max_body_bytes=limits.max_request_bytes)
    _log_start(case, settings, limits, state)
    with ExitStack() as stack:
        listener = stack.enter_context(bound(host, port))  # first: where it is taken, nothing else is worth doing
        trouble = partial(event, logging.WARNING, "state")
        store = None if state is None else stack.enter_context(StateStore(state, on_trouble=trouble))
        named = None if case.scenario.profile is None else case.folder / case.scenario.profile
        key = base_key(scenario, profile or named, plan_path)
        engine = stack.enter_context(started(case, first_plan, settings, store, key))
        if engine.keeper is not None and engine.keeper.case.scenario != case.scenario:
            event(logging.WARNING, "state", "The scenario as it was changed while it was served goes before its file.")

        def tell(taken: int) -> None:
            message = f"Serving {', '.join(engine.models)} on http://{host}:{taken}/v2; /edgeplan/ shows it at work."
            solver = engine.runtime.plan.solver
            plan = {"method": solver.method, "status": solver.status, "policy": solver.policy}
            told = {"models": list(engine.models), "plan": plan, "sessions_s": engine.opened_s}
            event(logging.INFO, "listening", message, host=host, port=taken, **told)

        # The server takes the signals, and when it has stopped sends them once more to who had them before.
        with stop_on_signals():
            Server(RefusalLog(create_app(engine, limits)), engine, host, port, clients, on_listening=tell).run(
                [listener]
            )
        event(logging.INFO, "stopping", f"Stopping, {engine.runtime.in_flight} requests in flight.")
        drained = engine.close()
        message = "Stopped; every request was answered." if drained else "Stopped; requests were left unanswered."
        event(logging.INFO if drained else logging.ERROR, "stopped", message, drained=drained)


def _log_start(case: Case, settings: EngineSettings, limits: AppSettings, state: Path | None) -> None:
    """Log what is about to be served, within which limits, by which versions."""
    versions = {name: version(name) for name in ("edgeplan", "onnxruntime")}
    models = [model.name for model in case.problem.models]
    event(
        logging.INFO,
        "start",
        f"Starting {case.scenario.name!r} ({', '.join(models)}), edgeplan {versions['edgeplan']}.",
        scenario=case.scenario.name,
        models=models,
        versions=versions,
        limits={
            "max_in_flight": settings.max_in_flight,
            "max_request_bytes": limits.max_request_bytes,
            "memory_bytes": dict(case.problem.memory_limit),
            "deadline_us": {s.model: s.deadline_us for s in case.problem.streams if s.deadline_us is not None},
        },
        admission=settings.admission,
        adapt=settings.adapt,
        needs_token=limits.token is not None,
        state=None if state is None else str(state),
    )
