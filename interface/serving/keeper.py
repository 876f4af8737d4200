"""Writes down what is served and decided, in a state that outlives the process, and finds the plan to start with."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from ...formulation import EdgePlanError, Plan, Scenario
from ...profiles import Profile
from ...runtime_bridge import Decision
from ...runtime_bridge.decisions import Origin
from ...runtime_bridge.state import Setup, StateStore
from ..case import Case


def base_key(*files: Path | None) -> str:
    """Digest of the files that a user gave: with others, what is kept is no answer."""
    digest = hashlib.sha256()
    for file in files:
        data = b"" if file is None else file.read_bytes()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


class Keeper:
    """A service's state: its plans with what they were made for, and its decisions; a `PlanLog` for the controller.

    Parameters
    ----------
    store : StateStore
    key : str
        See `base_key`.
    case : Case
        What is served.
    """

    def __init__(self, store: StateStore, key: str, case: Case) -> None:
        self.store = store
        self.case = case
        self._key = key
        self._begun: dict[int, Case] = {}
        self._newest = -1  # of the plans found good

    def begin(self, plan: Plan, origin: Origin, reason: str, setup: Any = None) -> int:
        """See `PlanLog`; `setup` is the case after a change."""
        case = setup or self.case
        kept = Setup(self._key, case.scenario.model_dump_json(), case.profile.model_dump_json())
        number = self.store.begin(kept, plan.model_dump_json(), origin, reason)
        self._begun[number] = case
        return number

    def mark(self, number: int, status: Literal["good", "failed", "rolled_back"], reason: str = "") -> None:
        """See `PlanLog`."""
        case = self._begun.pop(number, None)
        if status != "good":
            self.store.mark(number, status, reason)
        elif number < self._newest:  # it has proved itself after another had taken its place
            self.store.mark(number, "retired", f"plan {self._newest} is good")
        else:
            self._newest, self.case = number, case or self.case
            self.store.mark(number, "good", reason)

    def decided(self, decision: Decision) -> None:
        """Write a decision down."""
        self.store.decide(decision_data(decision), kind=decision.origin)

    def happened(self, kind: str, what: Mapping[str, Any]) -> None:
        """Write a fault, or its end, down."""
        self.store.decide(what, kind=kind)


def decision_data(decision: Decision) -> dict[str, Any]:
    """A decision as plain data."""
    return {
        "at_us": decision.at_us,
        "origin": decision.origin,
        "drifts": [str(drift) for drift in decision.drifts],
        "action": decision.action,
        "reason": decision.reason,
        "plan_version": decision.plan_version,
        "solve_s": decision.solve_s,
        "swap_s": decision.swap_s,
        "expected": None if decision.expected is None else asdict(decision.expected),
        "before": None if decision.before is None else asdict(decision.before),
    }


def good_plans(store: StateStore, key: str, folder: Path) -> Iterator[tuple[Case, Plan]]:
    """What to start with, the best first: the last good plan with its case.

    Who asks for the next has begun the one before, and marked it as failed; a plan is tried twice at most.
    """
    tried: Counter[tuple[str, ...]] = Counter()
    while (stored := store.last_good(key)) is not None and tried[stored.row.content] < 2:
        tried[stored.row.content] += 1
        try:
            scenario = Scenario.model_validate_json(stored.setup.scenario)
            case = Case.of(scenario, Profile.model_validate_json(stored.setup.profile), folder)
            plan = Plan.model_validate_json(stored.plan)
        except (ValueError, EdgePlanError):  # of another version of this package: plan anew
            return
        yield case, plan
