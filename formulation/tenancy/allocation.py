"""Allocations: for each tenant a partition point and cores. Plan data that survives a JSON round trip."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ..errors import PlanError, StalePlanError
from ..files import read_json
from ..plan import SolverStamp

ALLOCATION_SCHEMA_VERSION = 1


class TenantAllocation(BaseModel):
    """What one tenant gets.

    Attributes
    ----------
    tenant : str
        Its name.
    point : int
        Partition point: the accelerator runs the layers before it. 0: none.
    cores : int
        CPU cores of its own, `threads` to a request; 0 where the accelerator runs the whole model.
    threads : int
        Threads of a request's suffix; divides `cores`. ``cores / threads`` requests run at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str
    point: int = Field(ge=0)
    cores: int = Field(default=0, ge=0)
    threads: int = Field(default=1, ge=1)

    @property
    def servers(self) -> int:
        """Requests whose suffixes run at once."""
        return self.cores // self.threads


class Allocation(BaseModel):
    """How tenants share the accelerator and the cores.

    Attributes
    ----------
    schema_version : int
        Version of this schema; files of another one are refused.
    kind : 'allocation'
        Tells this file from plans of other kinds.
    tenants : tuple of TenantAllocation
        In the problem's order.
    co_compiled : tuple of tuple of str
        For `CoCompiledResidency`: the sets, each in the order in which it is given the memory; every tenant with a part
        on the accelerator is in one of them. Empty: one set of all, in the order of `tenants`. Only for this policy.
    solver : SolverStamp, optional
        Who made it, and what was proven.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = ALLOCATION_SCHEMA_VERSION
    kind: Literal["allocation"] = "allocation"
    tenants: tuple[TenantAllocation, ...] = Field(min_length=1)
    co_compiled: tuple[tuple[str, ...], ...] = ()
    solver: SolverStamp | None = None

    def save(self, path: str | Path) -> None:
        """Write the allocation as JSON."""
        Path(path).write_text(self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Allocation:
        """Read an allocation.

        Raises
        ------
        PlanError
            The file cannot be read, is truncated, or is not an allocation.
        StalePlanError
            It was written with another schema version.
        """
        return read_json(
            cls,
            path,
            f"plan {path}",
            PlanError,
            expected=f"an allocation of schema version {ALLOCATION_SCHEMA_VERSION}",
            remedy="Write it again with `edgeplan plan` for a scenario with an accelerator.",
            other_version=StalePlanError,
        )
