"""Which models and backends fail: circuit breakers by model and backend.

A segment that fails once may be chance; one that fails again and again costs its callers their time and the other
models their cores. So its model is refused for a while, then asked once, and taken in again when that works. Where all
models fail that use one backend, it is the backend that has gone (a provider that lost its device, for instance).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class BreakerSettings:
    """When a model is refused, and for how long.

    Attributes
    ----------
    failures : int
        In a row that open the breaker.
    successes : int
        Of probes in a row that close it again.
    first_wait_us, longest_wait_us : float
        Before the first probe; doubled by each probe that fails, up to the longest.
    longest_hang_wait_us : float
        The longest where probes hang: each leaves a thread behind, with a session.
    probe_timeout_us : float
        After which a probe that has not ended makes room for another.
    """

    failures: int = 5
    successes: int = 2
    first_wait_us: float = 1e6
    longest_wait_us: float = 60e6
    longest_hang_wait_us: float = 3600e6
    probe_timeout_us: float = 30e6


@dataclass(frozen=True)
class Quarantine:
    """A model that is refused on a backend.

    Attributes
    ----------
    model, backend : str
    since_us : float
        When the first of the failures happened.
    reason : str
        With the last failure.
    state : {'open', 'half-open'}
        Refused altogether, or asked by single probes.
    probe_us : float
        When the next probe is let through, or was.
    """

    model: str
    backend: str
    since_us: float
    reason: str
    state: Literal["open", "half-open"]
    probe_us: float


@dataclass(frozen=True)
class BackendLoss:
    """A backend on which every model fails.

    Attributes
    ----------
    backend : str
    since_us, last_us : float
        From when on nothing has succeeded there, and when it failed last.
    models : tuple of str
    reason : str
    """

    backend: str
    since_us: float
    last_us: float
    models: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class HealthReport:
    """What is broken; both empty where nothing is."""

    quarantined: tuple[Quarantine, ...]
    gone: tuple[BackendLoss, ...]


@dataclass
class _Breaker:
    failed: int = 0  # in a row
    succeeded: int = 0  # in a row, of probes
    since_us: float = 0.0
    last_us: float = 0.0
    last: str = ""
    wait_us: float = 0.0  # 0 while closed
    probe_us: float = 0.0  # when the next probe may go
    probing: bool = False

    @property
    def closed(self) -> bool:
        return self.wait_us == 0.0


class Health:
    """Collects how requests end and says which models to refuse. Safe to use from several threads.

    Only what segments do counts: whoever feeds it leaves out requests that did not fit their model or were refused.

    Parameters
    ----------
    settings : BreakerSettings, optional
    """

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self.settings = settings or BreakerSettings()
        self._lock = threading.Lock()
        self._breakers: dict[tuple[str, str], _Breaker] = {}
        self._last_success_us: dict[str, float] = {}

    def ended(
        self, model: str, backends: Iterable[str], at_us: float, *, failed_on: str = "", reason: str = ""
    ) -> None:
        """A request has ended.

        It counts as a whole: were its segments counted one by one, a first one that works would hide a second one on
        the same backend that never does.

        Parameters
        ----------
        model : str
        backends : iterable of str
            On which its segments have run.
        at_us : float
        failed_on : str
            Backend of the segment that failed; empty where none did.
        reason : str
            Why it failed.
        """
        with self._lock:
            ran = {*backends}
            for backend in ran - {failed_on}:
                self._succeeded(model, backend, at_us)
            # A probe may go another way than the broken one (as planned, not as a gang): with it that was probed too.
            for other in [b for (m, b), found in self._breakers.items() if m == model and found.probing]:
                if other not in ran and other != failed_on:
                    self._probed(model, other, at_us, worked=not failed_on)
            if failed_on:
                self._failed(model, failed_on, at_us, reason, self.settings.longest_wait_us)

    def hung(self, model: str, backend: str, at_us: float, reason: str) -> None:
        """A segment hangs: its model is refused at once, for each further request would cost a core for seconds."""
        with self._lock:
            known = self._breakers.get((model, backend))
            for _ in range(max(1, self.settings.failures - (known.failed if known else 0))):
                self._failed(model, backend, at_us, reason, self.settings.longest_hang_wait_us)

    def refusal(self, model: str, backends: Iterable[str], at_us: float) -> str:
        """Why a request is to be refused now; empty where it may go, as a probe where it has to be one.

        Parameters
        ----------
        model : str
        backends : iterable of str
            That the serving plan uses for it: one that fails is of no concern to a plan that goes without.
        at_us : float
        """
        with self._lock:
            broken = [(b, found) for b in backends if (found := self._breakers.get((model, b))) and not found.closed]
            for backend, breaker in broken:
                since_probe_us = at_us - breaker.probe_us
                busy = breaker.probing and since_probe_us < self.settings.probe_timeout_us
                if since_probe_us < 0 or busy:
                    wait_s = max(0.0, -since_probe_us) / 1e6
                    when = "a probe is under way" if busy else f"tried again in {wait_s:.1f} s"
                    return f"it failed {breaker.failed} times in a row on {backend} ({breaker.last}); {when}"
            for _, breaker in broken:
                breaker.probing, breaker.probe_us = True, at_us
            return ""

    def released(self, model: str) -> None:
        """A request that `refusal` let through never ran, so that another may be the probe."""
        with self._lock:
            for (broken, _), breaker in self._breakers.items():
                if broken == model:
                    breaker.probing = False

    def keep(self, models: Iterable[str]) -> None:
        """Forget all models but these: what goes has no faults, and what comes under its name is another one."""
        kept = frozenset(models)
        with self._lock:
            for key in [key for key in self._breakers if key[0] not in kept]:
                del self._breakers[key]

    def check(self, at_us: float) -> HealthReport:
        """What is broken now.

        A backend counts as gone where at least two models are quarantined on it and nothing has succeeded there since
        the last of them began to fail. With one model alone it cannot be told from that model, which is then what is
        reported.
        """
        with self._lock:
            broken = {key: breaker for key, breaker in sorted(self._breakers.items()) if not breaker.closed}
            quarantined = tuple(
                Quarantine(
                    model,
                    backend,
                    breaker.since_us,
                    f"failed {breaker.failed} times in a row: {breaker.last}",
                    "half-open" if at_us >= breaker.probe_us else "open",
                    breaker.probe_us,
                )
                for (model, backend), breaker in broken.items()
            )
            last_success_us = dict(self._last_success_us)
            last_us = {key: breaker.last_us for key, breaker in broken.items()}
        gone = []
        for backend in dict.fromkeys(q.backend for q in quarantined):
            failing = [q for q in quarantined if q.backend == backend]
            since_us = max(q.since_us for q in failing)
            if len(failing) > 1 and last_success_us.get(backend, -float("inf")) < since_us:
                models = tuple(q.model for q in failing)
                failed_us = max(last_us[model, backend] for model in models)
                gone.append(BackendLoss(backend, since_us, failed_us, models, failing[0].reason))
        return HealthReport(quarantined, tuple(gone))

    def _succeeded(self, model: str, backend: str, at_us: float) -> None:
        self._last_success_us[backend] = max(at_us, self._last_success_us.get(backend, at_us))
        self._probed(model, backend, at_us, worked=True)

    def _probed(self, model: str, backend: str, at_us: float, *, worked: bool) -> None:
        breaker = self._breakers.get((model, backend))
        if breaker is None:
            return
        if breaker.closed:
            breaker.failed = 0
            return
        breaker.probing = False
        if at_us < breaker.probe_us or not worked:
            return  # began before the breaker opened, or failed elsewhere: says nothing about now
        breaker.succeeded += 1
        if breaker.succeeded >= self.settings.successes:
            del self._breakers[model, backend]

    def _failed(self, model: str, backend: str, at_us: float, reason: str, longest_us: float) -> None:
        breaker = self._breakers.setdefault((model, backend), _Breaker())
        if breaker.failed == 0:
            breaker.since_us = at_us
        breaker.failed += 1
        breaker.last, breaker.last_us = reason, at_us
        if breaker.closed:
            if breaker.failed >= self.settings.failures:
                self._open(breaker, at_us, self.settings.first_wait_us)
        elif at_us >= breaker.probe_us:
            self._open(breaker, at_us, min(2 * breaker.wait_us, longest_us))

    @staticmethod
    def _open(breaker: _Breaker, at_us: float, wait_us: float) -> None:
        breaker.wait_us, breaker.probe_us = wait_us, at_us + wait_us
        breaker.succeeded, breaker.probing = 0, False
