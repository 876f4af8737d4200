"""The controller: watches a live runtime, decides whether the world has drifted, re-solves and swaps the plan."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..formulation import PlanError, Problem, evaluate
from .clock import now_us
from .decisions import Decision, Origin, PlanLog, WrittenPlans
from .drift import Assumptions, Drift, DriftTest, Hysteresis
from .observer import Observation
from .probation import Probation
from .replacement import Order, Outcome, Replacement
from .resolver import Resolver, Solve
from .runtime import LiveRuntime

_log = logging.getLogger(__name__)

KEPT_DECISIONS = 1000
_ON_PROBATION: tuple[Origin, ...] = ("drift", "fault")
"""Plans that nobody asked for are good, as the plan log has it, only when their probation is over."""
_DRIFT_US, _QUIET_US = 2e6, 30e6
"""How long before a decision its world was there already: a drift was seen for a while, otherwise nothing changed."""


class Controller:
    """Re-plans a runtime as rates, costs and free cores change, and when it is asked to. Use it as a context manager.

    Every `interval_s` the last window is tested against what the running plan assumes. A drift that lasts for
    `Hysteresis.persistence` checks leads to one re-solve in another process (`Planner`); the plan is exchanged
    where that is worth it (`Replan.worth_switching`). Either way the observed world is what is assumed from then on,
    and the controller rests. A plan that was exchanged is on probation: where it does worse than was predicted and than
    the one before, that one comes back (`edgeplan.runtime_bridge.trial`).

    One decision is taken at a time; who asks for another waits.

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
        Called with each decision on the thread that took it.
    solve : callable, optional
        What re-solves, instead of a `Planner` of this controller's own.
    plan_log : PlanLog, optional
        Where plans are written down.
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
        plan_log: PlanLog | None = None,
    ) -> None:
        self.runtime = runtime
        self.problem = problem
        self.decisions: deque[Decision] = deque(maxlen=KEPT_DECISIONS)
        self.assumed = Assumptions({s.model: s.rate_hz for s in problem.streams})
        self._test = test or DriftTest()
        self._hysteresis = hysteresis or Hysteresis()
        self._interval_s = interval_s
        self._time_limit_s = time_limit_s
        self._on_decision = on_decision
        self._files = runtime.files
        self.resolver = Resolver(runtime.observer, problem, self._files, solve)
        self._written = WrittenPlans(plan_log, runtime.history)
        self._replacement = Replacement(runtime, self.resolver, self._written, min_gain=min_gain, seed=seed)
        self._probation = Probation(runtime)
        self._deciding = threading.Lock()
        self._for_drift = False  # whether what is being solved was nobody's question
        self._adapts = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="edgeplan-controller", daemon=True)

    def __enter__(self) -> Controller:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, *, watch: bool = True) -> None:
        """Start to look for drift, and the planner's process.

        Without `watch` only plans on probation are looked after, and the process starts when it is first needed.
        """
        self._adapts = watch
        if watch:
            self.resolver.start()
        self._thread.start()

    def close(self) -> None:
        """Stop watching; a solve under way is ended."""
        self._stop.set()
        self.resolver.close()
        if self._thread.is_alive():
            self._thread.join()

    def cancel(self, asked: threading.Event | None = None) -> bool:
        """End the solve under way, with `asked` only that of its question. Returns whether there was one."""
        return self.resolver.cancel(asked)

    def check(self, seen: Observation) -> Decision | None:
        """Test one observation and act on it. Returns the decision, where one was taken."""
        at_us = now_us()
        with self._deciding:  # while somebody else decides, what was seen comes to be of another plan or scenario
            if drifts := self._hysteresis.admit(self._test.drifts(seen, self.assumed), at_us):
                self.assumed = self._test.updated(self.assumed, drifts, seen)
                self._for_drift = True
                try:
                    outcome = self._solved(self._order("drift"))
                finally:
                    self._for_drift = False
                return self._decided("drift", at_us, outcome, drifts)
        return self._try_out()

    def resolve(
        self, reason: str = "", *, time_limit_s: float | None = None, cancelled: threading.Event | None = None
    ) -> Decision:
        """Re-solve now, for the world as it is assumed; the plan is exchanged where that is worth it.

        Parameters
        ----------
        reason : str
        time_limit_s : float, optional
        cancelled : Event, optional
            Set before `cancel` is called with it: the question is dropped, whether it is being solved or waits.
        """
        with self._deciding:
            at_us = now_us()
            outcome = self._solved(self._order("request"), time_limit_s, cancelled)
            words = f"{reason}: {outcome.reason}" if reason else outcome.reason
            return self._decided("request", at_us, replace(outcome, reason=words))

    def fault(self, drifts: tuple[Drift, ...], **assumed: Any) -> Decision:
        """Take over what a fault changes in the assumptions, and re-solve."""
        with self._deciding:
            at_us = now_us()
            self.assumed = replace(self.assumed, **assumed)
            return self._decided("fault", at_us, self._solved(self._order("fault")), drifts)

    def change(
        self,
        problem: Problem,
        files: Mapping[str, Path],
        reason: str,
        *,
        time_limit_s: float | None = None,
        best_effort: bool = False,
        setup: Any = None,
        prove: Callable[[], object] | None = None,
        cancelled: threading.Event | None = None,
    ) -> Decision:
        """Serve another scenario: plan it and exchange the plan. Where that fails, all stays as it is.

        Parameters
        ----------
        problem : Problem
        files : mapping of str to Path
        reason : str
        time_limit_s : float, optional
        best_effort : bool
            Whether a plan will do that does not keep all the scenario's limits.
        setup : object
            For the plan log.
        prove : callable, optional
            Called once the plan serves; where it raises, the plan before serves again.
        cancelled : Event, optional
            See `resolve`.
        """
        with self._deciding:
            at_us, before = now_us(), (self.problem, self._files, self.assumed)
            rates = {s.model: s.rate_hz for s in problem.streams}
            old = {s.model: s.rate_hz for s in self.problem.streams}
            # What was observed stays assumed where nobody said anything else.
            kept = {m: self.assumed.rate_hz.get(m, rate) if old.get(m) == rate else rate for m, rate in rates.items()}
            try:
                self._adopt(problem, files, replace(self.assumed, rate_hz=kept))
                order = Order("change", reason, best_effort, setup, prove)
                outcome = self._solved(order, time_limit_s, cancelled)
            except BaseException:
                self._adopt(*before)
                raise
            if outcome.action != "switched":
                self._adopt(*before)
            return self._decided("change", at_us, outcome)

    def knows(self, number: int) -> None:
        """The plan that serves has this number in the plan log."""
        self._written.serves(number, self.runtime.version)

    def disbelieve(self) -> None:
        """Forget what was measured lately: this process was stopped meanwhile."""
        self.runtime.observer.forget()
        self._hysteresis.decided(now_us())
        self._probation.end()

    def go_back(self, version: int, reason: str, origin: Origin = "rollback") -> Decision:
        """Serve by an earlier plan again.

        Raises
        ------
        PlanError
            There is none of that version, or it is for other models.
        """
        if self._for_drift:
            self.cancel()  # whoever asks for a certain plan does not want to wait for another
        with self._deciding:
            return self._gone_back(version, reason, origin)

    def _watch(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                if self._adapts:
                    self.check(self.runtime.observer.observe())
                else:
                    self._try_out()
            except Exception:  # a look that fails is no reason to look no more
                _log.exception("A look at the plan that serves failed.")

    def _try_out(self) -> Decision | None:
        """Look whether the plan that is on probation should go."""
        with self._deciding:  # else a plan could be found good between its exchange and its probation
            if (worse := self._probation.check()) is None:
                if not self._probation.under_way:
                    self._written.proved()
                return None
            if self.runtime.version != worse.version:
                return None  # somebody exchanged it meanwhile
            return self._gone_back(worse.before, worse.reason, "trial")

    def _gone_back(self, version: int, reason: str, origin: Origin) -> Decision:
        at_us, plan, left = now_us(), self.runtime.history.plans.get(version), self.runtime.version
        served = {part.model for part in self.runtime.plan.models}
        if plan is None or version == left or {part.model for part in plan.models} != served:
            raise PlanError(
                f"plan version {version}",
                expected="an earlier plan for the models that are served",
                got="none" if plan is None else "the one that serves" if version == left else "one for others",
                remedy="Look at the plans that have served, or change the scenario back.",
            )
        # By times that were observed, a gang may be no faster any more than one core: nobody would plan it so now, but
        # it has served, and can again.
        seen = self.runtime.planned_for
        made_for = seen if evaluate(seen, plan).models else self.problem
        outcome = self._replacement.by_plan(self._order(origin, reason), made_for, plan, self.problem, self._files)
        if outcome.action == "switched":
            self._written.gone_back_from(left, reason)
        return self._decided(origin, at_us, outcome)

    def _solved(
        self, order: Order, time_limit_s: float | None = None, cancelled: threading.Event | None = None
    ) -> Outcome:
        limit_s = time_limit_s or self._time_limit_s
        return self._replacement.by_solving(order, self.problem, self._files, self.assumed, limit_s, cancelled)

    def _order(self, origin: Origin, reason: str = "") -> Order:
        return Order(origin, reason, on_trial=origin in _ON_PROBATION and self._thread.is_alive())

    def _decided(self, origin: Origin, at_us: float, outcome: Outcome, drifts: tuple[Drift, ...] = ()) -> Decision:
        found = outcome.replan
        decision = Decision(
            at_us,
            drifts,
            outcome.action,
            outcome.reason,
            self.runtime.version,
            outcome.solve_s,
            outcome.swap_s,
            origin,
            found.best.judgement if found else None,
            found.judged if found else None,
        )
        self._probation.end()
        if decision.action == "switched" and found is not None and origin != "change":
            since_us = at_us - (_DRIFT_US if drifts else _QUIET_US)
            self._probation.begin(found.predictions, outcome.version_before, since_us)
        if not self._stop.is_set():  # else closing ended the planner in the middle of a solve
            self._hysteresis.decided(now_us())
            self.decisions.append(decision)
            if self._on_decision is not None:
                self._on_decision(decision)
        return decision

    def _adopt(self, problem: Problem, files: Mapping[str, Path], assumed: Assumptions) -> None:
        self.problem, self._files, self.assumed = problem, files, assumed
        self.resolver.replace(problem, files)
