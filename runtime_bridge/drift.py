"""When the world has drifted: tests of an observation against what the running plan assumes, with hysteresis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .observer import Observation


@dataclass(frozen=True)
class Assumptions:
    """What the running plan was made for.

    Attributes
    ----------
    rate_hz : dict of str to float
        By model.
    latency_ratio : dict of str to float
        By model; 1 where missing.
    slowdown : dict of (str, str) to float
        By model and configuration name; 1 where missing.
    taken : frozenset of int
        Cores considered taken by others.
    gone : frozenset of str
        Backends considered gone.
    memory_bytes : dict of str to float
        By memory, a limit below the scenario's own; that of the scenario where missing.
    """

    rate_hz: Mapping[str, float]
    latency_ratio: Mapping[str, float] = field(default_factory=dict)
    slowdown: Mapping[tuple[str, str], float] = field(default_factory=dict)
    taken: frozenset[int] = frozenset()
    gone: frozenset[str] = frozenset()
    memory_bytes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Drift:
    """One difference that was found: ``rate`` or ``slowdown`` of a model, a ``core`` taken or free again (1 or 0), a
    ``backend`` gone or back (1 or 0), a ``memory``'s limit in MiB."""

    kind: str
    subject: str
    assumed: float
    observed: float

    def __str__(self) -> str:
        if self.kind == "backend":
            return f"backend {self.subject} is {'gone' if self.observed else 'tried again'}"
        subject = self.subject if self.kind == "core" else f"{self.kind} of {self.subject}"
        unit = {"rate": " Hz", "memory": " MiB"}.get(self.kind, "")
        return f"{subject}: {self.observed:.3g}{unit} observed, {self.assumed:.3g}{unit} assumed"


@dataclass(frozen=True)
class DriftTest:
    """The thresholds.

    Attributes
    ----------
    rate_change : float
        Relative change of a rate that matters …
    rate_sigmas : float
        … and how many standard deviations of a Poisson count it must lie away.
    slowdown_change : float
        Factor between observed and assumed run time of a model's requests, either way.
    core_taken, core_free : float
        Share of a core that others use: from which it counts as taken, and down to which as free again.
    """

    rate_change: float = 0.25
    rate_sigmas: float = 3.0
    slowdown_change: float = 1.3
    core_taken: float = 0.35
    core_free: float = 0.15

    def drifts(self, seen: Observation, assumed: Assumptions) -> tuple[Drift, ...]:
        """All differences between an observation and the assumptions."""
        return (*self._rates(seen, assumed), *self._slowdowns(seen, assumed), *self._cores(seen, assumed))

    def updated(self, assumed: Assumptions, drifts: tuple[Drift, ...], seen: Observation) -> Assumptions:
        """Take over what drifted; what did not keeps its assumed value, so that noise does not wander in."""
        kinds = {drift.kind for drift in drifts}
        rates = {drift.subject: drift.observed for drift in drifts if drift.kind == "rate"}
        found: dict[str, Any] = {"rate_hz": {**assumed.rate_hz, **rates}}
        if "slowdown" in kinds:
            found["slowdown"] = {**assumed.slowdown, **seen.slowdown}
            found["latency_ratio"] = {**assumed.latency_ratio, **seen.latency_ratio}
        if "core" in kinds:
            found["taken"] = frozenset(core for core, share in seen.foreign.items() if share > self.core_taken)
        return replace(assumed, **found)

    def _rates(self, seen: Observation, assumed: Assumptions) -> list[Drift]:
        found = []
        for model, rate in assumed.rate_hz.items():
            expected = rate * seen.window_us / 1e6
            count = seen.arrivals.get(model, 0)
            apart = abs(count - expected)
            if apart > self.rate_sigmas * math.sqrt(max(expected, 1.0)) and apart > self.rate_change * expected:
                found.append(Drift("rate", model, rate, seen.rate_hz(model)))
        return found

    def _slowdowns(self, seen: Observation, assumed: Assumptions) -> list[Drift]:
        found = []
        for model, factor in seen.latency_ratio.items():
            before = assumed.latency_ratio.get(model, 1.0)
            if max(factor / before, before / factor) > self.slowdown_change:
                found.append(Drift("slowdown", model, before, factor))
        return found

    def _cores(self, seen: Observation, assumed: Assumptions) -> list[Drift]:
        found = []
        for core, share in seen.foreign.items():
            taken = core in assumed.taken
            if (share > self.core_taken and not taken) or (share < self.core_free and taken):
                found.append(Drift("core", f"core {core}", float(taken), share))
        return found


class Hysteresis:
    """Lets a drift through once it has lasted, and then rests.

    Parameters
    ----------
    persistence : int
        Checks in a row that must find a drift of the same kind and subject.
    rest_us : float
        Time after a decision during which nothing is let through.
    """

    def __init__(self, persistence: int = 3, rest_us: float = 2e6) -> None:
        self.persistence = persistence
        self.rest_us = rest_us
        self._streak: dict[tuple[str, str], int] = {}
        self._rest_until_us = -math.inf

    def admit(self, drifts: tuple[Drift, ...], at_us: float) -> tuple[Drift, ...]:
        """Drifts that have lasted, at the instant `at_us`; empty while it rests."""
        keys = {(d.kind, d.subject) for d in drifts}
        self._streak = {key: self._streak.get(key, 0) + 1 for key in keys}
        if at_us < self._rest_until_us:
            return ()
        return tuple(d for d in drifts if self._streak[d.kind, d.subject] >= self.persistence)

    def decided(self, at_us: float) -> None:
        """A decision was taken: start the rest."""
        self._streak.clear()
        self._rest_until_us = at_us + self.rest_us
