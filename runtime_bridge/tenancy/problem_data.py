"""A problem of tenants as plain data, so that a journal stands on its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat

from ...formulation.tenancy import Accelerator, TenancyProblem, Tenant
from ...formulation.tenancy.tenant import CostBasis

Figures = tuple[FiniteFloat | None, ...]


class TenantData(BaseModel):
    """A `Tenant`. A time of None is ∞ (it cannot run there); a measured time of None was not measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    accelerator_us: Figures
    cpu_us: Figures
    weight_bytes: tuple[int, ...]
    handover_bytes: tuple[int, ...]
    points: tuple[str, ...] = ()
    reload_us: Figures | None = None
    streaming_us: Figures | None = None
    resident_bytes: tuple[int, ...] | None = None
    streaming_us_per_byte: FiniteFloat | None = None
    speedup: tuple[FiniteFloat, ...] = (1.0,)
    accelerator_scv: FiniteFloat = 0.0
    cpu_scv: FiniteFloat = 0.0
    basis: CostBasis = "measured"
    source: str = ""

    @classmethod
    def of(cls, tenant: Tenant) -> TenantData:
        """The data of a tenant."""
        return cls(
            name=tenant.name,
            accelerator_us=_written(tenant.accelerator_us),
            cpu_us=_written(tenant.cpu_us),
            weight_bytes=tuple(tenant.weight_bytes.tolist()),
            handover_bytes=tuple(tenant.handover_bytes.tolist()),
            points=tenant.points,
            reload_us=None if tenant.reload_us is None else _written(tenant.reload_us),
            streaming_us=None if tenant.streaming_us is None else _written(tenant.streaming_us),
            resident_bytes=None if tenant.resident_bytes is None else tuple(tenant.resident_bytes.tolist()),
            streaming_us_per_byte=tenant.streaming_us_per_byte,
            speedup=tenant.speedup,
            accelerator_scv=tenant.accelerator_scv,
            cpu_scv=tenant.cpu_scv,
            basis=tenant.basis,
            source=tenant.source,
        )

    def to_tenant(self) -> Tenant:
        """The tenant.

        Raises
        ------
        CostError
            The figures make no tenant.
        """
        return Tenant(
            self.name,
            _read(self.accelerator_us, math.inf),
            _read(self.cpu_us, math.inf),
            np.array(self.weight_bytes, dtype=np.int64),
            np.array(self.handover_bytes, dtype=np.int64),
            self.points,
            None if self.reload_us is None else _read(self.reload_us, math.nan),
            None if self.streaming_us is None else _read(self.streaming_us, math.nan),
            None if self.resident_bytes is None else np.array(self.resident_bytes, dtype=np.int64),
            self.streaming_us_per_byte,
            self.speedup,
            self.accelerator_scv,
            self.cpu_scv,
            self.basis,
            self.source,
        )


class ProblemData(BaseModel):
    """A `TenancyProblem`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenants: tuple[TenantData, ...]
    rate_hz: tuple[FiniteFloat, ...]
    accelerator: Accelerator
    cpu_cores: int

    @classmethod
    def of(cls, problem: TenancyProblem) -> ProblemData:
        """The data of a problem."""
        return cls(
            tenants=tuple(TenantData.of(tenant) for tenant in problem.tenants),
            rate_hz=tuple(problem.rate_hz.tolist()),
            accelerator=problem.accelerator,
            cpu_cores=problem.cpu_cores,
        )

    def to_problem(self) -> TenancyProblem:
        """The problem.

        Raises
        ------
        CostError, WorkloadError, PlatformError
            The figures make no problem.
        """
        tenants = [tenant.to_tenant() for tenant in self.tenants]
        return TenancyProblem.create(tenants, self.rate_hz, self.accelerator, self.cpu_cores)


def _written(figures: np.ndarray) -> Figures:
    return tuple(x if math.isfinite(x) else None for x in figures.tolist())


def _read(figures: Sequence[float | None], missing: float) -> np.ndarray:
    return np.array([missing if x is None else x for x in figures], dtype=np.float64)
