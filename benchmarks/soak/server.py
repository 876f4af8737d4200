"""The server's process: what `edgeplan serve` builds, with sessions that can be broken on command."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from edgeplan.formulation import Plan
from edgeplan.interface.serving.app import create_app
from edgeplan.interface.serving.engine import EngineSettings
from edgeplan.interface.serving.http.server import Server
from edgeplan.interface.serving.startup import started
from edgeplan.interface.signals import stop_on_signals
from edgeplan.runtime_bridge import RequestRecord
from edgeplan.runtime_bridge.pipeline import Pipeline
from edgeplan.runtime_bridge.state import StateStore

import edgeplan


class Saboteur:
    """Makes the sessions of a model raise or hang, whatever plan they belong to."""

    def __init__(self) -> None:
        self._ends: dict[str, tuple[str, float]] = {}
        self._run_step = Pipeline.run_step
        saboteur = self

        def run_step(pipeline: Pipeline, index: int, tensors: dict[str, np.ndarray], gang: int | None = None) -> None:
            kind, end_s = saboteur._ends.get(pipeline.model, ("", 0.0))
            if (left_s := end_s - time.monotonic()) > 0:
                if kind == "raises":
                    raise RuntimeError("the device has gone")
                time.sleep(left_s)
            saboteur._run_step(pipeline, index, tensors, gang)

        Pipeline.run_step = run_step

    def begin(self, model: str, kind: str, for_s: float) -> None:
        """From now on, for that many seconds."""
        self._ends[model] = kind, time.monotonic() + for_s


def serve(control: Connection, log: Connection, folder: Path, plans: Sequence[Plan], planner_grace_s: float) -> None:
    """Serve until SIGINT; write down every request that ends; do what is said through the pipe."""
    saboteur, lock = Saboteur(), threading.Lock()

    def ended(record: RequestRecord) -> None:
        if not record.label:
            return  # the server's own, by which it warms up
        ran = [segment.segment for segment in record.segments]
        outcome = "refused" if record.refused else "failed" if record.error else "answered"
        with lock:
            log.send_bytes(f"{record.label}\t{outcome}\t{len(ran) - len(set(ran))}".encode())

    case = edgeplan.load(folder / "scenario.yaml", folder / "profile.json").here()
    with (
        StateStore(folder / "state") as store,
        started(case, lambda: plans[0], EngineSettings(), store, "soak") as engine,
    ):
        engine.runtime.listeners.append(ended)
        planner = engine.controller.resolver.planner
        assert planner is not None
        planner._grace_s = planner_grace_s

        def obey() -> None:
            with suppress(EOFError):
                while True:
                    order, *details = control.recv()
                    if order == "swap":
                        engine.runtime.swap(case.problem, plans[details[0]])
                    elif order == "sabotage":
                        saboteur.begin(*details)
                    answer: object = planner.pid
                    if order == "plan":
                        answer = engine.runtime.plan.model_dump_json(exclude={"solver"})
                    elif order == "threads":
                        answer = Counter(re.sub(r"[0-9]+", "#", thread.name) for thread in threading.enumerate())
                    control.send(answer)

        def listening(port: int) -> None:
            control.send(port)
            threading.Thread(target=obey, daemon=True).start()

        with stop_on_signals():
            Server(create_app(engine), engine, "127.0.0.1", 0, on_listening=listening).run()
