"""Locks: what made a plan, so that another machine can refuse other inputs and tell whether it finds the same plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ..formulation import EdgePlanError, Plan, Status
from ..formulation.files import read_json
from ..profiles.cache import written_whole
from .case import Case
from .identity import part_digest, plan_digest, planned_with, profile_digest, scenario_digest

LOCK_SCHEMA_VERSION = 1
ABSENT = "none"


class LockError(EdgePlanError):
    """A lock that cannot be read, or that names other inputs."""


@dataclass(frozen=True)
class Mismatch:
    """Something that a lock names otherwise than it is here."""

    what: str
    locked: str
    here: str

    def __str__(self) -> str:
        return f"{self.what} {shortened(self.here)} instead of {shortened(self.locked)}"


class LockedInputs(BaseModel):
    """All that a plan may depend on.

    Attributes
    ----------
    scenario : str
        Digest of what it says; neither its name nor where its profile and its models lie counts.
    profile : str
        Digest of what it says.
    models : dict of str to str
        SHA-256 of each model's file, as it was profiled.
    platform_fingerprint : str
        Of the platform that is planned for; empty where that is no measured machine.
    method : str
        Solver, as it was asked for.
    time_limit_s : float
        Seconds for the search.
    seed : int
        Of all that is random.
    versions : dict of str to str
        Of what plans, another distribution that the method comes from among it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: str
    profile: str
    models: dict[str, str]
    platform_fingerprint: str
    method: str
    time_limit_s: FiniteFloat = Field(gt=0)
    seed: int = Field(ge=0)
    versions: dict[str, str]

    @classmethod
    def of(cls, case: Case, method: str, time_limit_s: float, seed: int) -> LockedInputs:
        """What a plan that is made now depends on.

        Raises
        ------
        StalePlanError
            A model changed since it was profiled.
        """
        refuse_changed_models(case)
        return cls(
            scenario=scenario_digest(case.scenario),
            profile=profile_digest(case.profile),
            models={model.name: model.sha256 for model in case.problem.models},
            platform_fingerprint=case.problem.platform.fingerprint,
            method=method,
            time_limit_s=time_limit_s,
            seed=seed,
            versions=planned_with(method),
        )

    def mismatches(self, here: LockedInputs) -> tuple[Mismatch, ...]:
        """Everything that is otherwise here, each by itself."""
        pairs = [
            ("scenario", self.scenario, here.scenario),
            ("profile", self.profile, here.profile),
            *_by_name("model ", self.models, here.models),
            ("platform", self.platform_fingerprint or ABSENT, here.platform_fingerprint or ABSENT),
            ("method", self.method, here.method),
            ("time limit", f"{self.time_limit_s} s", f"{here.time_limit_s} s"),
            ("seed", str(self.seed), str(here.seed)),
            *_by_name("", self.versions, here.versions),
        ]
        return tuple(Mismatch(*pair) for pair in pairs if pair[1] != pair[2])


class LockedOutcome(BaseModel):
    """The plan that was found, as digests, and what was proven of it.

    Attributes
    ----------
    plan : str
        Digest of what the plan says to do, whoever made it.
    parts : dict of str to str
        The same for each model.
    method : str
        Solver that found it.
    policy : str
        Its way of sharing cores; empty where all were open.
    status : {'optimal', 'feasible', 'infeasible', 'timeout'}
        What the solver claimed.
    objective : float, optional
        Of the plan, in the objective's own unit.
    bound : float, optional
        Proven: no plan is below it.
    gap : float, optional
        Share of the objective that is not proven necessary.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: str
    parts: dict[str, str]
    method: str
    policy: str = ""
    status: Status
    objective: FiniteFloat | None = None
    bound: FiniteFloat | None = None
    gap: FiniteFloat | None = None

    @classmethod
    def of(cls, plan: Plan) -> LockedOutcome:
        """Of a stamped plan."""
        stamp = plan.solver.model_dump(include={"method", "policy", "status", "objective", "bound", "gap"})
        return cls(plan=plan_digest(plan), parts={part.model: part_digest(part) for part in plan.models}, **stamp)

    def mismatches(self, here: LockedOutcome) -> tuple[Mismatch, ...]:
        """Everything that came out otherwise here."""
        pairs = [
            *_by_name("plan of ", self.parts, here.parts),
            ("solver", self.method, here.method),
            ("policy", self.policy or ABSENT, here.policy or ABSENT),
            ("status", self.status, here.status),
            ("objective", _figure(self.objective), _figure(here.objective)),
            ("bound", _figure(self.bound), _figure(here.bound)),
        ]
        if self.parts == here.parts:
            pairs.append(("plan", self.plan, here.plan))  # the order of dispatch is of the whole plan
        return tuple(Mismatch(*pair) for pair in pairs if pair[1] != pair[2])


class Lock(BaseModel):
    """What made a plan, and which plan it was.

    Attributes
    ----------
    schema_version : int
        Version of this schema; files of another one are refused.
    kind : 'lock'
        Tells this file from others.
    inputs : LockedInputs
        What the plan was made from.
    outcome : LockedOutcome
        The plan that was found.
    reproducible : bool
        Whether the same inputs give the same plan: the clock had no part in any search.
    reason : str
        Why, or why not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = LOCK_SCHEMA_VERSION
    kind: Literal["lock"] = "lock"
    inputs: LockedInputs
    outcome: LockedOutcome
    reproducible: bool
    reason: str

    @classmethod
    def of(cls, inputs: LockedInputs, plan: Plan, doubt: str) -> Lock:
        """Lock a plan.

        Parameters
        ----------
        inputs : LockedInputs
        plan : Plan
        doubt : str
            Why the plan may not be found again; from `why_not_reproducible`.
        """
        sure = "every search ended by itself, long before its time was over"
        return cls(inputs=inputs, outcome=LockedOutcome.of(plan), reproducible=not doubt, reason=doubt or sure)

    def save(self, path: str | Path) -> None:
        """Write the lock, whole or not at all."""
        with written_whole(Path(path)) as temporary:
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Lock:
        """Read a lock.

        Raises
        ------
        LockError
            The file cannot be read, is truncated, is no lock, or was written with another schema version.
        """
        return read_json(
            cls,
            path,
            f"lock {path}",
            LockError,
            expected=f"a lock of schema version {LOCK_SCHEMA_VERSION}",
            remedy="Write it again with `edgeplan plan --lock`.",
        )

    def refuse_other_inputs(self, here: LockedInputs, path: str | Path) -> None:
        """Refuse to plan from anything else.

        Raises
        ------
        LockError
            Every difference is named.
        """
        found = self.inputs.mismatches(here)
        if found:
            raise LockError(
                f"lock {path}",
                expected="the inputs and versions that it names",
                got="; ".join(map(str, found)),
                remedy="Plan from what it names, or, where the change is meant, write a new lock with `--lock`.",
            )

    def verify(self, plan: Plan, doubt: str) -> Verification:
        """Hold a plan that was made from the same inputs against the one that is locked; `doubt` as for `of`."""
        return Verification(self, self.outcome.mismatches(LockedOutcome.of(plan)), plan_digest(plan), doubt)


@dataclass(frozen=True)
class Verification:
    """A plan held against a lock.

    Attributes
    ----------
    lock : Lock
    mismatches : tuple of Mismatch
        What came out otherwise.
    plan : str
        Digest of the plan made here.
    doubt : str
        Why the search here may not give the same plan again; empty where it must.
    """

    lock: Lock
    mismatches: tuple[Mismatch, ...]
    plan: str
    doubt: str

    @property
    def same(self) -> bool:
        """Whether it is the plan that is locked."""
        return self.plan == self.lock.outcome.plan

    @property
    def failed(self) -> bool:
        """Whether it is another plan though it should be the same."""
        return not self.same and self.lock.reproducible

    @property
    def sentence(self) -> str:
        """What it comes to, for people."""
        if self.same:
            return "The plan is the one that is locked."
        if not self.lock.reproducible:
            return (
                "Inputs and versions are those of the lock, the plan is another one. That may be, for the lock says "
                f"that it cannot be made again for sure: {self.lock.reason}."
            )
        slower = f" Here {self.doubt}: lock with a longer --time-limit." if self.doubt else ""
        return f"The plan is another one than the locked one, though inputs and versions are the same.{slower}"


def refuse_changed_models(case: Case) -> tuple[str, ...]:
    """Models whose file lies where the scenario says, each the one that was profiled; planning itself needs none.

    Raises
    ------
    StalePlanError
        A file is not the one that was profiled.
    """
    there = tuple(m for m in case.scenario.models if (case.folder / (m.path or m.name)).is_file())
    return tuple(replace(case, scenario=case.scenario.model_copy(update={"models": there})).files)


def shortened(text: str) -> str:
    """The beginning of a digest; whatever else there is, whole."""
    return f"{text[:12]}…" if len(text) == 64 else text


def _by_name(prefix: str, locked: dict[str, str], here: dict[str, str]) -> list[tuple[str, str, str]]:
    names = sorted(locked.keys() | here.keys())
    return [(f"{prefix}{name}", locked.get(name, ABSENT), here.get(name, ABSENT)) for name in names]


def _figure(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.9g}"
