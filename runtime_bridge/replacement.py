"""Replaces the plan of a live runtime: by one that is solved for, or by one that is there already."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..formulation import EdgePlanError, Plan, PlannerCancelled, Problem
from .clock import now_us
from .decisions import Origin, WrittenPlans
from .drift import Assumptions
from .replan import Replan
from .resolver import Resolver
from .runtime import LiveRuntime


@dataclass(frozen=True)
class Order:
    """Why a plan is replaced, and what is asked of the next one.

    Attributes
    ----------
    origin : str
    reason : str
    best_effort : bool
        Whether a plan will do that does not keep all the scenario's limits.
    setup : object
        For the plan log.
    prove : callable, optional
        Called once the plan serves; where it raises, the plan before serves again.
    on_trial : bool
        Whether the plan has to prove itself before it is written down as good.
    """

    origin: Origin
    reason: str = ""
    best_effort: bool = True
    setup: Any = None
    prove: Callable[[], object] | None = None
    on_trial: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of it, for a `Decision`.

    Attributes
    ----------
    action : str
        ``switched``, ``kept``, ``failed`` or ``cancelled``.
    reason : str
    solve_s, swap_s : float
    replan : Replan or None
        What was found by solving.
    version_before : int
        Of the plan that served, where it was exchanged.
    """

    action: str
    reason: str
    solve_s: float = 0.0
    swap_s: float = 0.0
    replan: Replan | None = None
    version_before: int = 0


class Replacement:
    """Replaces the plan of one runtime. Nothing raises for a plan that cannot be had or opened: the outcome says so.

    Parameters
    ----------
    runtime : LiveRuntime
    resolver : Resolver
    written : WrittenPlans
    min_gain : float
        Gain that an exchange must be worth, as a share.
    seed : int
    """

    def __init__(
        self, runtime: LiveRuntime, resolver: Resolver, written: WrittenPlans, *, min_gain: float, seed: int
    ) -> None:
        self._runtime = runtime
        self._resolver = resolver
        self._written = written
        self._min_gain = min_gain
        self._seed = seed

    def by_solving(
        self,
        order: Order,
        scenario: Problem,
        files: Mapping[str, Path],
        assumed: Assumptions,
        time_limit_s: float,
        cancelled: threading.Event | None = None,
    ) -> Outcome:
        """Solve for a scenario in the world as it is assumed, and exchange the plan where that is worth it.

        A changed scenario (origin ``change``) takes its plan whatever it gains; without one it has failed.
        """
        began_us, runtime, changed = now_us(), self._runtime, order.origin == "change"
        same_models = {m.name: m.sha256 for m in scenario.models} == {m.name: m.sha256 for m in runtime.problem.models}
        running = runtime.plan if same_models else None
        try:
            found = self._resolver.ask(running, assumed, time_limit_s, self._seed, cancelled)
        except PlannerCancelled as error:
            return Outcome("cancelled", str(error), (now_us() - began_us) / 1e6)
        except EdgePlanError as error:
            return Outcome("failed", str(error), (now_us() - began_us) / 1e6)
        solve_s = (now_us() - began_us) / 1e6
        better, reason = found.worth_switching(self._min_gain)
        words = f"{order.reason}: {reason}" if order.reason else reason
        if found.unmet and not order.best_effort:
            words = f"{order.reason}: not every limit can be kept: {'; '.join(found.unmet)}"
        if found.plan is None or (not order.best_effort and found.unmet):
            return Outcome("failed" if changed else "kept", words, solve_s, 0.0, found)
        if not better and not changed:
            return Outcome("kept", words, solve_s, 0.0, found)
        exchanged = self.by_plan(replace(order, reason=words), found.problem, found.plan, scenario, files)
        return replace(exchanged, solve_s=solve_s, replan=found)

    def by_plan(
        self, order: Order, problem: Problem, plan: Plan, scenario: Problem, files: Mapping[str, Path]
    ) -> Outcome:
        """Exchange the plan; where it cannot be opened, or does not prove itself, the one before serves on.

        Parameters
        ----------
        order : Order
        problem : Problem
            What the plan was made for: the scenario with costs and rates as they were assumed.
        plan : Plan
        scenario : Problem
        files : mapping of str to Path
        """
        runtime, began_us = self._runtime, now_us()
        before = runtime.version
        back = runtime.planned_for, runtime.plan, runtime.problem, runtime.files
        number = self._written.begin(plan, order.origin, order.reason, order.setup)
        try:
            swap_s = runtime.swap(problem, plan, scenario=scenario, files=files)
            try:
                if order.prove is not None:
                    order.prove()
            except Exception:
                runtime.swap(back[0], back[1], scenario=back[2], files=back[3])
                raise
        except Exception as error:  # whatever a backend raises: the old plan serves on
            self._written.failed(number, str(error))
            words = f"{order.reason}; but it could not be opened: {error}"
            return Outcome("failed", words, 0.0, (now_us() - began_us) / 1e6)
        self._written.serves(number, runtime.version, proved=not order.on_trial)
        return Outcome("switched", order.reason, 0.0, swap_s, None, before)
