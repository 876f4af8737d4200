"""How a service starts: by the plan that served well before, where one is kept, else by a new one."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ...formulation import Plan, Problem, evaluate, refuse_stale
from ...runtime_bridge import prepare_plan
from ...runtime_bridge.footprint import limit_heaps
from ...runtime_bridge.state import StateStore
from ..case import Case
from .engine import Engine, EngineSettings
from .keeper import Keeper, good_plans

_log = logging.getLogger(__name__)

PROOF_S = 5.0
"""How long a plan must serve after a start to be good: one that brings the process down sooner, twice in a row, is
passed over."""

_LEAST_HEAPS = 2
"""Answers are written while segments run."""


def started(
    case: Case,
    first_plan: Callable[[], Plan],
    settings: EngineSettings,
    store: StateStore | None = None,
    key: str = "",
) -> Engine:
    """An engine that serves.

    Where the state has a plan that was serving well, it goes on with that, and with the scenario as it had become: its
    sessions are opened, and nothing is solved or prepared. A plan that cannot be opened is passed over. The process is
    taken to be the service's own: its heaps are limited (`edgeplan.runtime_bridge.footprint.limit_heaps`).

    Parameters
    ----------
    case : Case
        What the user's files say.
    first_plan : callable
        Asked for a plan of it, where none is kept.
    settings : EngineSettings
    store : StateStore, optional
    key : str
        See `edgeplan.interface.serving.keeper.base_key`.

    Raises
    ------
    EdgePlanError
        No plan can be served.
    """
    limit_heaps(max(_LEAST_HEAPS, sum(len(processor.cores) for processor in case.problem.platform.processors)))
    if store is not None:
        for kept, plan in good_plans(store, key, case.folder):
            try:
                return _opened(kept.here(), plan, settings, Keeper(store, key, kept), "the last good plan")
            except Exception as error:  # whatever a backend or the system raises: another plan may do
                _log.warning("The plan that was kept cannot be served: %s", error)
        if any(row.base_key != key for row in store.plans(1)):
            _log.warning("The files are others than those of the state: what is kept for those is not taken over.")
    plan = first_plan()
    refuse_stale(case.problem, plan)
    prepare_plan(case.problem, plan, case.files)
    keeper = None if store is None else Keeper(store, key, case)
    return _opened(case, plan, settings, keeper, "a new plan")


def _opened(case: Case, plan: Plan, settings: EngineSettings, keeper: Keeper | None, reason: str) -> Engine:
    number = keeper.begin(plan, "start", reason) if keeper else -1
    try:
        engine = Engine(case.problem, _fitting(case.problem, plan), case.files, settings, case=case, keeper=keeper)
    except Exception as error:  # who interrupts it says nothing against the plan
        if keeper is not None:
            keeper.mark(number, "failed", str(error) or repr(error))
        raise
    if keeper is not None:
        engine.controller.knows(number)
        engine.when_proved(PROOF_S, lambda: keeper.mark(number, "good"))
    return engine


def _fitting(problem: Problem, plan: Plan) -> Plan:
    """The plan, without gangs where it cannot run with them.

    It may have been made for times that were observed, by which a gang was faster that by the measured ones is not.
    """
    if evaluate(problem, plan).models:
        return plan
    parts = (
        part.model_copy(update={"segments": tuple(s.model_copy(update={"gangs": ()}) for s in part.segments)})
        for part in plan.models
    )
    return plan.model_copy(update={"models": tuple(parts)})
