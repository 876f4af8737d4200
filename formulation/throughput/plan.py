"""Service plans: which instances of each model run where, in what batches. Data that survives a JSON round trip."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ..costs import Provenance
from ..errors import PlanError, StalePlanError
from ..files import read_json
from ..plan import PlannedSegment, SolverStamp

SERVICE_PLAN_SCHEMA_VERSION = 1


class Instance(BaseModel):
    """One copy of a model that takes a batch at a time.

    Attributes
    ----------
    segments : tuple of PlannedSegment
        One that spans all layers where the model runs whole; several, in order of execution, where it is partitioned.
        The configurations' batch is the largest that the instance takes in one run; a larger batch of the model runs
        in several, one after the other.
    rate_hz : float
        Requests a second that the plan counts on here, 0 where it does not say. Predictions hold where batches are
        routed in these proportions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    segments: tuple[PlannedSegment, ...] = Field(min_length=1)
    rate_hz: FiniteFloat = Field(default=0.0, ge=0)


class ModelService(BaseModel):
    """How one model is served.

    Attributes
    ----------
    model : str
        Name of the model.
    sha256 : str
        Digest of the model file; empty where there is none.
    instances : tuple of Instance
        They need not be alike. Among those that are, a batch goes to the one that is expected to end it first.
    max_batch : int
        Most requests in one batch.
    window_us : float
        Longest time that the first request of a batch waits for others, microseconds.
    rate_hz : float
        Requests a second that the plan counts on for this model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    sha256: str = ""
    instances: tuple[Instance, ...] = Field(min_length=1)
    max_batch: int = Field(default=1, ge=1)
    window_us: FiniteFloat = Field(default=0.0, ge=0)
    rate_hz: FiniteFloat = Field(default=0.0, ge=0)


class ServicePlan(BaseModel):
    """A plan that serves several models with batches and concurrent instances.

    Attributes
    ----------
    schema_version : int
        Version of this schema; files of another one are refused.
    services : tuple of ModelService
        How each model is served.
    platform_fingerprint : str
        Of the platform the costs were measured on.
    provenance : tuple of Provenance
        Of each model's costs, in the order of `services`.
    solver : SolverStamp
        Who made it, and what was proven.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = SERVICE_PLAN_SCHEMA_VERSION
    services: tuple[ModelService, ...] = Field(min_length=1)
    platform_fingerprint: str = ""
    provenance: tuple[Provenance, ...] = ()
    solver: SolverStamp

    def service(self, model: str) -> ModelService:
        """The service of one model.

        Raises
        ------
        PlanError
            The plan does not serve it.
        """
        for service in self.services:
            if service.model == model:
                return service
        raise PlanError(
            "service plan",
            expected=f"a service for model {model!r}",
            got=", ".join(s.model for s in self.services),
            remedy="Plan again with this model.",
        )

    def save(self, path: str | Path) -> None:
        """Write the plan as JSON."""
        Path(path).write_text(self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> ServicePlan:
        """Read a plan.

        Raises
        ------
        PlanError
            The file cannot be read, is truncated, or is not a service plan.
        StalePlanError
            It was written with another schema version.
        """
        return read_json(
            cls,
            path,
            f"service plan {path}",
            PlanError,
            expected=f"a service plan of schema version {SERVICE_PLAN_SCHEMA_VERSION}",
            remedy="Write it again with `edgeplan capacity`.",
            other_version=StalePlanError,
        )
