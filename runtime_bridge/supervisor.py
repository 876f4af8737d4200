"""Looks after a live runtime: what hangs, fails, disappears or runs short is contained, reported and recovered from."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .clock import now_us
from .controller import Controller
from .drift import Drift
from .faults.clock import ClockGuard
from .faults.files import FileWatch
from .faults.health import Health, HealthReport
from .faults.memory import MemoryLevel, MemoryMonitor
from .footprint import release_free_memory
from .records import RequestRecord
from .runtime import LiveRuntime

_log = logging.getLogger(__name__)

INTERVAL_S = 0.5
FIRST_RETRY_US, LONGEST_RETRY_US = 60e6, 3600e6
"""A backend that is gone is planned with again after the first of these, and each time it fails again after twice as
long, up to the second: whether it is back shows in its use."""
REOPEN_US = 5e6
"""Between two attempts to open a model that an exchange of plans left without sessions."""
MEMORY_SHARE = 0.8
"""Of the memory that the plan needs: what a plan may need while memory is critical."""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong, or was.

    Attributes
    ----------
    kind : {'hang', 'failing', 'lost', 'backend', 'file', 'memory', 'clock'}
    model : str
        Empty where it concerns all.
    reason : str
    since_us : float
        On the runtime's clock.
    """

    kind: str
    model: str
    reason: str
    since_us: float

    @property
    def data(self) -> dict[str, Any]:
        """As plain data."""
        return {"kind": self.kind, "model": self.model, "reason": self.reason, "since_us": self.since_us}


class Supervisor:
    """Watches a runtime's health on a thread of its own. Use it as a context manager, or `start` and `close` it.

    ========= ======================================================= ================================================
    kind      what is seen                                            what is done
    ========= ======================================================= ================================================
    hang      a segment that does not end                             its request fails, its core gets another worker,
                                                                      its model new sessions
    failing   a model whose requests fail again and again             it is refused, then probed, then taken in again
    lost      a model that could be opened neither by a new plan nor  it is opened again as soon as that can be
              again by the old one
    backend   all models fail on a backend                            planned without it, and with it again later
    file      a model's file is not what was planned for              what is open serves on; new sessions are refused
    memory    tight or critical                                       freed memory is given back; few requests at a
                                                                      time; planned with less
    clock     the process was stopped, or a clock was set             what was measured meanwhile is not believed
    ========= ======================================================= ================================================

    Parameters
    ----------
    runtime : LiveRuntime
    controller : Controller
        Re-plans without what is gone.
    on_fault : callable, optional
        Called with each fault as it begins, and once more, with True, when it is over.
    health : Health, optional
    memory : MemoryMonitor, optional
    """

    def __init__(
        self,
        runtime: LiveRuntime,
        controller: Controller,
        *,
        on_fault: Callable[[Fault, bool], None] | None = None,
        health: Health | None = None,
        memory: MemoryMonitor | None = None,
    ) -> None:
        self._runtime = runtime
        self._controller = controller
        self._on_fault = on_fault
        self._health = health or Health()
        self._memory = memory or MemoryMonitor()
        self._files: FileWatch | None = None
        self._watched: object = None
        self._clock = ClockGuard(INTERVAL_S * 1e6)
        self._level = MemoryLevel.OK
        self._lasting: dict[tuple[str, str], Fault] = {}
        self._gone: dict[str, float] = {}  # backends, by when they are tried again
        self._retry_us: dict[str, float] = {}
        self._retried_us: dict[str, float] = {}
        self._lost: dict[str, Fault] = {}
        self._reopen_at_us = 0.0
        self._remedies = ThreadPoolExecutor(1, thread_name_prefix="edgeplan-remedies")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="edgeplan-supervisor", daemon=True)
        runtime.listeners.append(self._ended)
        runtime.gates.append(self._refusal)

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong now."""
        return tuple(self._lasting.values())

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._controller.cancel()
        self._remedies.shutdown(wait=True, cancel_futures=True)

    def check(self) -> None:
        """Look at everything once."""
        at_us = now_us()
        found = [*self._hangs(at_us), *self._clocks(at_us)]
        for fault in found:
            self._tell(fault, ended=False)
        self._health.keep(model.name for model in self._runtime.problem.models)
        report = self._health.check(at_us)
        lasting = [
            Fault("failing", q.model, f"refused on {q.backend}: {q.reason}", q.since_us)
            for q in report.quarantined
            if q.backend in self._runtime.backends(q.model)  # no fault of a plan that goes without it
        ]
        lasting += self._unopened(at_us) + self._backends(report, at_us)
        lasting += self._model_files(at_us) + self._memory_faults(at_us)
        before, self._lasting = self._lasting, {(fault.kind, fault.model): fault for fault in lasting}
        for key, fault in self._lasting.items():
            if key not in before:
                self._tell(fault, ended=False)
        for key, fault in before.items():
            if key not in self._lasting:
                self._tell(fault, ended=True)

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            try:
                self.check()
            except Exception:  # a look that fails is no reason to look no more
                _log.exception("A check of the service's health failed.")

    def _hangs(self, at_us: float) -> list[Fault]:
        """Quarantine models that hang, and open new sessions for them."""
        hung = self._runtime.give_up()
        for record in hung:
            self._health.hung(record.model, self._backend(record), at_us, record.error)
        models = {record.model for record in hung}
        if models:
            self._remedy(self._runtime.renew, models, abandon=True)
        return [Fault("hang", record.model, record.error, record.segments[-1].start_us) for record in hung]

    def _clocks(self, at_us: float) -> list[Fault]:
        events = self._clock.check(at_us)
        if any(event.kind != "wall clock" for event in events):
            self._controller.disbelieve()
        return [Fault("clock", "", str(event), at_us) for event in events]

    def _unopened(self, at_us: float) -> list[Fault]:
        lost = self._runtime.lost
        if lost and at_us >= self._reopen_at_us:
            self._reopen_at_us = at_us + REOPEN_US
            self._remedy(self._reopen)
        reason = "its sessions were closed for another plan's, and could not be opened again"
        return [self._lasting.get(("lost", model)) or Fault("lost", model, reason, at_us) for model in lost]

    def _reopen(self) -> None:
        if lost := self._runtime.lost:
            self._runtime.renew(lost)

    def _backends(self, report: HealthReport, at_us: float) -> list[Fault]:
        for loss in report.gone:
            # Its models are still quarantined when it is tried again: only what fails from then on says anything.
            if loss.backend not in self._gone and loss.last_us > self._retried_us.get(loss.backend, -float("inf")):
                wait_us = self._retry_us.get(loss.backend, FIRST_RETRY_US)
                self._retry_us[loss.backend] = min(2 * wait_us, LONGEST_RETRY_US)
                self._gone[loss.backend] = at_us + wait_us
                drift = Drift("backend", loss.backend, 0.0, 1.0)
                gone = frozenset(self._gone)
                self._remedy(self._controller.fault, (drift,), gone=gone)
                reason = f"{loss.backend} is gone: {loss.reason}"
                self._lost[loss.backend] = Fault("backend", "", reason, loss.since_us)
        for backend in [backend for backend, until_us in self._gone.items() if at_us >= until_us]:
            del self._gone[backend]
            self._retried_us[backend] = at_us
            drift, gone = Drift("backend", backend, 1.0, 0.0), frozenset(self._gone)
            self._remedy(self._controller.fault, (drift,), gone=gone)
        for backend in self._retried_us.keys() - self._gone.keys() - {loss.backend for loss in report.gone}:
            del self._retried_us[backend], self._retry_us[backend]  # it works: another loss has nothing to do with it
        return [self._lost[backend] for backend in self._gone]

    def _model_files(self, at_us: float) -> list[Fault]:
        files = self._runtime.files
        models = {m.name: m.sha256 for m in self._runtime.problem.models if m.name in files}
        if self._files is None or self._watched != (files, models):
            self._files, self._watched = FileWatch({name: files[name] for name in models}, models), (files, models)
        self._files.check(at_us)
        found = []
        for state in self._files.states.values():
            known = self._lasting.get(("file", state.model))
            if state.content in {"replaced", "missing"}:
                reason = f"{files[state.model].name} is {state.content}: {state.reason}"
                found.append(Fault("file", state.model, reason, state.since_us))
            elif state.content == "checking" and known is not None:
                found.append(known)  # until it is known to be the same again
        return found

    def _memory_faults(self, at_us: float) -> list[Fault]:
        state = self._memory.check(at_us)
        before, self._level = self._level, state.level
        if state.level > before:
            release_free_memory()
        if (state.level == MemoryLevel.CRITICAL) != (before == MemoryLevel.CRITICAL):
            planned = self._runtime.evaluation.memory_bytes
            critical = state.level == MemoryLevel.CRITICAL
            less = {name: size * MEMORY_SHARE for name, size in planned.items()} if critical else {}
            drifts = tuple(Drift("memory", name, planned[name] / 2**20, size / 2**20) for name, size in less.items())
            self._remedy(self._controller.fault, drifts, memory_bytes=less)
        if state.level == MemoryLevel.OK:
            return []
        return [Fault("memory", "", f"{state.level}: {state.reason}", state.since_us)]

    def _refusal(self, model: str, backends: tuple[str, ...]) -> str:
        """Why a request is not taken; empty where it is."""
        if self._level == MemoryLevel.CRITICAL and self._runtime.in_flight >= self._runtime.n_cores:
            return "memory is critical, and as many requests are under way as there are cores"
        return self._health.refusal(model, backends, now_us())

    def _ended(self, record: RequestRecord) -> None:
        past = self._runtime.history.get(record.plan_version)
        if record.gated or record.hung:
            return  # it was not let through, so another one is the probe; or who gave it up counts it
        if record.refused or not record.segments:
            self._health.released(record.model)  # a probe that never ran makes room for another
        elif past is not None:
            on = {run.segment: past.backend(record.model, run.segment, run.gang) for run in record.segments}
            failed_on = on.get(record.failed_segment, "") if record.failed_segment is not None else ""
            self._health.ended(record.model, on.values(), record.finish_us, failed_on=failed_on, reason=record.error)

    def _backend(self, record: RequestRecord) -> str:
        past = self._runtime.history.get(record.plan_version)
        assert past is not None, "a plan with requests in flight is kept"
        return past.backend(record.model, record.segments[-1].segment, record.segments[-1].gang)

    def _remedy(self, act: Callable[..., object], *arguments: Any, **more: Any) -> None:
        """Act beside the watch, which must go on: a re-solve takes seconds."""

        def tried() -> None:
            try:
                act(*arguments, **more)
            except Exception as error:  # the fault stays, and what is served with it
                _log.warning("A remedy failed: %s", error)

        self._remedies.submit(tried)

    def _tell(self, fault: Fault, *, ended: bool) -> None:
        if self._on_fault is not None:
            self._on_fault(fault, ended)
