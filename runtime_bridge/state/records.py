"""What the state of a service consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ...formulation import EdgePlanError

Status = Literal["starting", "good", "failed", "retired", "rolled_back", "stopped"]
STATUSES: tuple[str, ...] = get_args(Status)


class StateError(EdgePlanError):
    """A state folder that cannot be used, or a question about it that makes no sense."""


@dataclass(frozen=True)
class Setup:
    """What was planned for.

    Attributes
    ----------
    base_key : str
        Digest of the files that the user gave: with other files, a stored plan is no answer.
    scenario : str
        The scenario as it was then, changes during operation included (JSON).
    profile : str
        Measured costs (JSON).
    """

    base_key: str
    scenario: str
    profile: str


@dataclass(frozen=True)
class PlanRow:
    """One attempt to serve by a plan; later attempts have larger ids, whatever the clock says.

    Attributes
    ----------
    id : int
    base_key : str
        See `Setup`.
    scenario_sha256, profile_sha256, plan_sha256 : str
        The documents.
    origin : str
        What led to it: ``start``, ``drift``, ``request``, ``change``, ``rollback``, …
    reason : str
        In words.
    predicted : mapping
        Figures that were predicted, as the caller chose.
    begun_at_s, changed_at_s : float
        Wall clock, seconds since 1970: when it began, and when its status last changed.
    status : str
        ``starting`` until it is found ``good`` or ``failed``, or the process ends in order before that (``stopped``);
        a good one is ``retired`` when another turns good, or ``rolled_back`` when it was found worse than that.
    status_reason : str
        Why it has this status.
    """

    id: int
    base_key: str
    scenario_sha256: str
    profile_sha256: str
    plan_sha256: str
    origin: str
    reason: str
    predicted: Mapping[str, Any]
    begun_at_s: float
    changed_at_s: float
    status: Status = "starting"
    status_reason: str = ""

    @property
    def content(self) -> tuple[str, str, str]:
        """Digests of scenario, profile and plan: attempts that agree in it are the same plan tried again."""
        return self.scenario_sha256, self.profile_sha256, self.plan_sha256


@dataclass(frozen=True)
class StoredPlan:
    """A row with its documents.

    Attributes
    ----------
    row : PlanRow
    setup : Setup
    plan : str
        JSON, as it was given.
    """

    row: PlanRow
    setup: Setup
    plan: str


@dataclass(frozen=True)
class StoredDecision:
    """One decision, fault or change; later ones have larger ids.

    Attributes
    ----------
    id : int
    at_s : float
        Wall clock, seconds since 1970.
    kind : str
        ``plan``, ``fault``, ``change``, …
    decision : Any
        What was given, after a round trip through JSON.
    """

    id: int
    at_s: float
    kind: str
    decision: Any
