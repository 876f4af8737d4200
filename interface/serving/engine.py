"""What a server serves: a live runtime by a plan, its controller, and what both did."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...formulation import AdmissionError, Plan, Problem
from ...profiles import sample_inputs
from ...runtime_bridge import Controller, Decision, LiveRuntime, RequestRecord, now_us
from ...runtime_bridge.supervisor import Fault, Supervisor
from .. import logs
from ..case import Case
from .http.places import DRAIN_TIMEOUT_S
from .jobs import Jobs
from .keeper import Keeper
from .metrics import LiveMetrics
from .protocol.inference import ServedModel, TensorForm
from .statistics import Statistics

PLATFORM = "edgeplan_onnx"
FIRST_ANSWER_S = 30.0
_REFUSED_S = 0.1
_KEPT_DECISIONS = 1000
_KEPT_RECORDS = 5000
_REFUSING = ("failing", "lost")
"""Faults for which a model is refused."""
_OWN = "own"
"""Label of requests that nobody sent: this very object, so that no client can send one."""


@dataclass(frozen=True)
class EngineSettings:
    """How an engine serves.

    Attributes
    ----------
    max_in_flight : int
        Requests taken and not ended; more are refused.
    admission : bool
        Whether a request is refused that cannot be in time.
    adapt : bool
        Whether the controller re-plans by itself.
    seed : int
    hang_us : float
        Least time after which a segment may count as hanging.
    """

    max_in_flight: int = 256
    admission: bool = True
    adapt: bool = True
    seed: int = 0
    hang_us: float = 5e6


class Engine:
    """Serves a problem's models. Use it as a context manager.

    Parameters
    ----------
    problem : Problem
    plan : Plan
    files : mapping of str to Path
    settings : EngineSettings, optional
    on_record : callable, optional
        Takes the record of every request as it ends; must be quick.
    case : Case, optional
        What the problem was made from. Without it the scenario cannot be changed.
    keeper : Keeper, optional
        Where plans and decisions are written down.

    Attributes
    ----------
    models : dict of str to ServedModel
        As clients see them.
    decisions, records : deque
        The last of them.
    jobs : Jobs
    opened_s : float
        Time that it took to open the first plan's sessions.
    """

    def __init__(
        self,
        problem: Problem,
        plan: Plan,
        files: Mapping[str, Path],
        settings: EngineSettings | None = None,
        on_record: Callable[[RequestRecord], None] | None = None,
        *,
        case: Case | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self.settings = settings or EngineSettings()
        self.case = case
        self.keeper = keeper
        self.statistics = Statistics(model.name for model in problem.models)
        self.decisions: deque[Decision] = deque(maxlen=_KEPT_DECISIONS)
        self.records: deque[RequestRecord] = deque(maxlen=_KEPT_RECORDS)
        self.models: dict[str, ServedModel] = {}
        self._on_record = on_record
        self._proof: threading.Timer | None = None
        self._serving = False
        began_us = now_us()
        self.runtime = LiveRuntime(
            problem,
            plan,
            files,
            self.settings.max_in_flight,
            admission=self.settings.admission,
            on_record=self._ended,
            hang_us=self.settings.hang_us,
        )
        self.opened_s = (now_us() - began_us) / 1e6
        try:
            self._describe()
        except BaseException:
            self.runtime.close()
            raise
        self.controller = Controller(
            self.runtime, problem, seed=self.settings.seed, on_decision=self._decided, plan_log=keeper
        )
        self.supervisor = Supervisor(self.runtime, self.controller, on_fault=self._faulty)
        self.jobs = Jobs()
        self.statistics.compare_with(self.runtime.history)
        self.statistics.registry.register(LiveMetrics(self))
        self.controller.start(watch=self.settings.adapt)
        self.supervisor.start()
        self._serving = True

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return self._serving

    def serves(self, model: str) -> bool:
        """Whether requests for a model are taken, as far as faults go."""
        broken = any(fault.model == model and fault.kind in _REFUSING for fault in self.faults)
        return self._serving and not broken

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong now."""
        return self.supervisor.faults

    def submit(
        self, model: str, feeds: Mapping[str, np.ndarray], deadline_us: float | None = None, label: str = ""
    ) -> Future[dict[str, np.ndarray]]:
        """Ask a model; see `LiveRuntime.submit`."""
        return self.runtime.submit(model, feeds, deadline_us=deadline_us, label=label)

    def change(
        self,
        case: Case,
        reason: str,
        *,
        time_limit_s: float,
        best_effort: bool,
        cancelled: threading.Event | None = None,
    ) -> Decision:
        """Serve another case from now on; see `Controller.change`. Where a new model does not answer, all goes back."""
        decision = self.controller.change(
            case.problem,
            case.files,
            reason,
            time_limit_s=time_limit_s,
            best_effort=best_effort,
            setup=case,
            prove=self._describe,
            cancelled=cancelled,
        )
        if decision.action == "switched":
            self.case = case
        return decision

    def when_proved(self, after_s: float, act: Callable[[], object]) -> None:
        """Act once the engine has served for that long."""
        self._proof = threading.Timer(after_s, act)
        self._proof.daemon = True
        self._proof.start()

    def close(self) -> bool:
        """Refuse further requests, end those in flight. Returns whether all of them ended in time."""
        self._serving = False
        if self._proof is not None:
            self._proof.cancel()
        self.controller.close()  # first: it ends the solve that jobs and remedies may wait for
        self.jobs.close()
        self.supervisor.close()
        return self.runtime.close(DRAIN_TIMEOUT_S)

    def _describe(self) -> None:
        """Ask each model that is new once, which also warms it up, and look at what comes."""
        files = self.runtime.files
        described = {name: known for name, known in self.models.items() if name in files and known.path == files[name]}
        for name, path in files.items():
            if name not in described:
                feeds = sample_inputs(path)
                outputs = self._first_answer(name, feeds)
                described[name] = ServedModel(name, "1", PLATFORM, _forms(feeds), _forms(outputs), path)
        self.models = described

    def _first_answer(self, model: str, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ask a model; again where it is refused: that there is too much else to do says nothing against it."""
        until_s = time.monotonic() + FIRST_ANSWER_S
        while True:
            try:
                # It has all the time it needs: nothing of the first run says what later ones take.
                return self.runtime.submit(model, feeds, deadline_us=float("inf"), label=_OWN).result()
            except AdmissionError:
                if time.monotonic() > until_s:
                    raise
            time.sleep(_REFUSED_S)

    def _ended(self, record: RequestRecord) -> None:
        if self._serving and record.label is not _OWN:
            self.statistics.ended(record, time.time_ns() // 1_000_000)
            self.records.append(record)
            if self._on_record is not None:
                self._on_record(record)

    def _decided(self, decision: Decision) -> None:
        self.decisions.append(decision)
        self.statistics.decided(decision)
        logs.decided(decision)
        if self.keeper is not None:
            self.keeper.decided(decision)

    def _faulty(self, fault: Fault, ended: bool) -> None:
        self.statistics.faulty(fault, ended)
        logs.faulty(fault, ended)
        if self.keeper is not None:
            self.keeper.happened("recovery" if ended else "fault", fault.data)


def _forms(tensors: Mapping[str, Any]) -> tuple[TensorForm, ...]:
    return tuple(TensorForm(name, np.asarray(a).dtype, np.asarray(a).shape) for name, a in tensors.items())
