"""Plans: data that says how every model is executed. A plan holds no handles and survives a JSON round trip."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from .costs import Configuration, Provenance
from .errors import PlanError, StalePlanError
from .files import read_json

PLAN_SCHEMA_VERSION = 1

Status = Literal["optimal", "feasible", "infeasible", "timeout"]


Order = Literal["earliest_deadline", "least_slack"]
"""Which ready segment goes first: that of the earliest deadline, or that with the least time to spare."""


class Gang(BaseModel):
    """Another way to run a segment: more threads at once, on cores that nothing else wants just then.

    Attributes
    ----------
    configuration : Configuration
        On the segment's processor, faster than the segment's own.
    cores : tuple of int
        As many as it has threads, all among the segment's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    configuration: Configuration
    cores: tuple[int, ...] = Field(min_length=2)


class PlannedSegment(BaseModel):
    """Layers ``[start, stop)`` (in topological order) under one configuration.

    Attributes
    ----------
    start : int
        First layer, counted from 0 in the profile's order.
    stop : int
        The layer after the last one.
    configuration : Configuration
        How it is executed.
    cores : tuple of int
        Cores of the configuration's processor that it may use: with one thread any number of them, of which it takes
        one that is free; with more threads (a gang) exactly as many, for a session's threads are bound as it opens.
    gangs : tuple of Gang
        How it runs instead, the first one that can, while no other ready segment is kept from a core by that. So
        segments run in parallel on an idle device and one by one on a busy one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: int = Field(ge=0)
    stop: int = Field(gt=0)
    configuration: Configuration
    cores: tuple[int, ...] = Field(min_length=1)
    gangs: tuple[Gang, ...] = ()


class ModelPlan(BaseModel):
    """How one model is executed.

    Attributes
    ----------
    model : str
        Name of the model.
    sha256 : str
        Digest of the model file; a plan for another file is refused.
    segments : tuple of PlannedSegment
        In order of execution; together they cover every layer once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    sha256: str
    segments: tuple[PlannedSegment, ...] = Field(min_length=1)


class SolverStamp(BaseModel):
    """Which solver made the plan and what it proved.

    Attributes
    ----------
    method : str
        Name of the solver.
    status : {'optimal', 'feasible', 'infeasible', 'timeout'}
        What it claims: proven best, found, proven impossible, or nothing in time.
    policy : str
        Way of sharing cores within which that was proven; empty where all were open.
    objective : float, optional
        Of the plan, in the objective's own unit.
    bound : float, optional
        Proven: no plan is below it. In the same unit.
    gap : float, optional
        Share of the objective that is not proven necessary.
    seed : int
        Of all that is random.
    runtime_s : float
        Seconds that the search took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    status: Status
    policy: str = ""
    objective: FiniteFloat | None = None
    bound: FiniteFloat | None = None
    gap: FiniteFloat | None = None
    seed: int = 0
    runtime_s: FiniteFloat = 0.0


class Plan(BaseModel):
    """A plan for all models of a problem.

    Attributes
    ----------
    schema_version : int
        Version of this schema; files of another one are refused.
    models : tuple of ModelPlan
        How each model is executed.
    platform_fingerprint : str
        Of the platform the costs were measured on; another machine refuses to run it. Empty: of none.
    provenance : tuple of Provenance
        Of each model's costs, in the order of `models`.
    solver : SolverStamp
        Who made it, and what was proven.
    order : {'earliest_deadline', 'least_slack'}
        Which ready segment goes first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = PLAN_SCHEMA_VERSION
    models: tuple[ModelPlan, ...] = Field(min_length=1)
    order: Order = "earliest_deadline"
    platform_fingerprint: str = ""
    provenance: tuple[Provenance, ...] = ()
    solver: SolverStamp

    def model_plan(self, model: str) -> ModelPlan:
        """Plan of one model.

        Raises
        ------
        PlanError
            The plan does not cover it.
        """
        for plan in self.models:
            if plan.model == model:
                return plan
        raise PlanError(
            "plan",
            expected=f"a part for model {model!r}",
            got=", ".join(p.model for p in self.models),
            remedy="Plan the scenario again.",
        )

    def save(self, path: str | Path) -> None:
        """Write the plan as JSON."""
        Path(path).write_text(self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan.

        Raises
        ------
        PlanError
            The file cannot be read, is truncated, or is not a plan.
        StalePlanError
            It was written with another schema version.
        """
        return read_json(
            cls,
            path,
            f"plan {path}",
            PlanError,
            expected=f"a plan of schema version {PLAN_SCHEMA_VERSION}",
            remedy="Write it again with `edgeplan plan`.",
            other_version=StalePlanError,
        )
