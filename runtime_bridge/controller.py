"""The controller: watches a live runtime, decides whether the world has drifted, re-solves and swaps the plan."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..formulation import EdgePlanError, Plan, Problem
from .clock import now_us
from .drift import Assumptions, Drift, DriftTest, Hysteresis
from .observer import Observation
from .planner import Planner
from .replan import Replan
from .runtime import LiveRuntime

Solve = Callable[[Plan, Assumptions, float, int], Replan]
"""Re-solves for a running plan and assumptions, within seconds, with a seed."""


@dataclass(frozen=True)
class Decision:
    """One decision and its reason.

    Attributes
    ----------
    at_us : float
        On the runtime's clock, when the drift was let through.
    drifts : tuple of Drift
    action : {'switched', 'kept', 'failed'}
    reason : str
    plan_version : int
        That serves afterwards.
    solve_s, swap_s : float
        Time to solve, and to open the new plan's sessions.
    """

    at_us: float
    drifts: tuple[Drift, ...]
    action: str
    reason: str
    plan_version: int
    solve_s: float
    swap_s: float


class Controller:
    """Re-plans a runtime as rates, costs and free cores change. Use it as a context manager.

    Every `interval_s` the last window is tested against what the running plan assumes. A drift that lasts for
    `Hysteresis.persistence` checks leads to one re-solve in another process (`Planner`); the plan is exchanged
    where that is worth it (`Replan.worth_switching`). Either way the observed world is what is assumed from then on,
    and the controller rests.

    Parameters
    ----------
    runtime : LiveRuntime
    problem : Problem
        The scenario's own; every re-solve starts from it.
    test : DriftTest
    hysteresis : Hysteresis
    interval_s : float
    time_limit_s : float
        For one solve.
    min_gain : float
        Gain that an exchange must be worth, as a share.
    seed : int
    on_decision : callable, optional
        Called with each decision on the controller's thread.
    solve : callable, optional
        What re-solves, instead of a `Planner` of this controller's own.
    """

    def __init__(
        self,
        runtime: LiveRuntime,
        problem: Problem,
        *,
        test: DriftTest | None = None,
        hysteresis: Hysteresis | None = None,
        interval_s: float = 0.5,
        time_limit_s: float = 2.0,
        min_gain: float = 0.05,
        seed: int = 0,
        on_decision: Callable[[Decision], None] | None = None,
        solve: Solve | None = None,
    ) -> None:
        self.runtime = runtime
        self.problem = problem
        self.decisions: list[Decision] = []
        self.assumed = Assumptions({s.model: s.rate_hz for s in problem.streams})
        self._test = test or DriftTest()
        self._hysteresis = hysteresis or Hysteresis()
        self._interval_s = interval_s
        self._time_limit_s = time_limit_s
        self._min_gain = min_gain
        self._seed = seed
        self._on_decision = on_decision
        self._solve = solve
        self._planner: Planner | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="edgeplan-controller", daemon=True)

    def __enter__(self) -> Controller:
        if self._solve is None:
            self._start_planner()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching; a solve under way is ended."""
        self._stop.set()
        if self._planner is not None:
            self._planner.close()
        if self._thread.is_alive():
            self._thread.join()

    def _start_planner(self) -> None:
        self._planner = Planner(self.problem, self.runtime.files)
        self.runtime.observer.own_pids.add(self._planner.pid)
        self._solve = self._planner.replan

    def _watch(self) -> None:
        # A full window of history, or the first checks would take an empty past for silence.
        if self._stop.wait(self.runtime.observer.window_us / 1e6):
            return
        while not self._stop.wait(self._interval_s):
            self.check(self.runtime.observer.observe())

    def check(self, seen: Observation) -> Decision | None:
        """Test one observation and act on it. Returns the decision, where one was taken."""
        at_us = now_us()
        drifts = self._hysteresis.admit(self._test.drifts(seen, self.assumed), at_us)
        if not drifts:
            return None
        self.assumed = self._updated(drifts, seen)
        decision = self._decide(at_us, drifts)
        if self._stop.is_set():
            return None  # closing ended the planner in the middle of a solve
        self._hysteresis.decided(now_us())
        self.decisions.append(decision)
        if self._on_decision is not None:
            self._on_decision(decision)
        return decision

    def _updated(self, drifts: tuple[Drift, ...], seen: Observation) -> Assumptions:
        """Take over what drifted; what did not keeps its assumed value, so that noise does not wander in."""
        rates, slowdown, taken = dict(self.assumed.rate_hz), dict(self.assumed.slowdown), set(self.assumed.taken)
        for drift in drifts:
            if drift.kind == "rate":
                rates[drift.subject] = drift.observed
        latency_ratio = dict(self.assumed.latency_ratio)
        if any(drift.kind == "slowdown" for drift in drifts):
            slowdown.update(seen.slowdown)
            latency_ratio.update(seen.latency_ratio)
        if any(drift.kind == "core" for drift in drifts):
            taken = {core for core, share in seen.foreign.items() if share > self._test.core_taken}
        return replace(
            self.assumed, rate_hz=rates, latency_ratio=latency_ratio, slowdown=slowdown, taken=frozenset(taken)
        )

    def _decide(self, at_us: float, drifts: tuple[Drift, ...]) -> Decision:
        began_us = now_us()
        try:
            assert self._solve is not None, "the controller is not started"
            outcome = self._solve(self.runtime.plan, self.assumed, self._time_limit_s, self._seed)
            solve_s = (now_us() - began_us) / 1e6
            better, reason = outcome.worth_switching(self._min_gain)
            swap_s = self._swap(outcome) if better else 0.0
            action = "switched" if better else "kept"
        except EdgePlanError as error:
            solve_s, swap_s = (now_us() - began_us) / 1e6, 0.0
            action, reason = "failed", str(error)
        except (EOFError, OSError) as error:
            solve_s, swap_s = (now_us() - began_us) / 1e6, 0.0
            action, reason = "failed", f"the planner's process has ended ({error!r}); another is started"
            if not self._stop.is_set():
                self._start_planner()
        return Decision(at_us, drifts, action, reason, self.runtime.version, solve_s, swap_s)

    def _swap(self, outcome: Replan) -> float:
        assert outcome.plan is not None
        return self.runtime.swap(outcome.problem, outcome.plan)
