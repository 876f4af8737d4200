"""The problem of tenants that share an accelerator and the CPU's cores, validated as a whole."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import PlatformError, WorkloadError, capped
from .accelerator import Accelerator
from .tenant import Tenant


@dataclass(frozen=True, eq=False)
class TenancyProblem:
    """Which part of each model runs on the accelerator, and which cores run the rest, for the least mean response time.

    Requests of each tenant arrive at random (Poisson). The accelerator serves them first come first served; the CPU
    runs each tenant's suffixes on cores that are that tenant's own.

    Attributes
    ----------
    tenants : tuple of Tenant
    rate_hz : ndarray, shape (tenants,)
        Mean requests a second of each, more than 0.
    accelerator : Accelerator
    cpu_cores : int
        Cores for suffixes, all tenants together; 0 or more.

    Raises
    ------
    WorkloadError
        No tenant, a name twice, or a rate that is not positive.
    PlatformError
        A tenant none of whose partition points can run here.
    """

    tenants: tuple[Tenant, ...]
    rate_hz: NDArray[np.float64]
    accelerator: Accelerator
    cpu_cores: int

    @classmethod
    def create(
        cls, tenants: tuple[Tenant, ...] | list[Tenant], rate_hz: ArrayLike, accelerator: Accelerator, cpu_cores: int
    ) -> TenancyProblem:
        """Make a problem from sequences."""
        return cls(tuple(tenants), np.asarray(rate_hz, dtype=np.float64), accelerator, cpu_cores)

    def __post_init__(self) -> None:
        names = [tenant.name for tenant in self.tenants]
        if not names or len(set(names)) < len(names):
            raise WorkloadError(
                "tenants",
                expected="at least one, each name once",
                got=capped(names) or "none",
                remedy="Name each tenant once; the same model may be there under two names.",
            )
        self._check_rates()
        if self.cpu_cores < 0:
            raise PlatformError(
                "CPU", expected="0 or more cores", got=f"{self.cpu_cores}", remedy="Correct the number of cores."
            )
        for tenant, runnable in zip(self.tenants, self.runnable, strict=True):
            if not np.any(runnable):
                raise PlatformError(
                    f"tenant {tenant.name!r}",
                    expected="a partition point that this device can run",
                    got=f"{self.cpu_cores} CPU cores and prefixes of which none fits "
                    f"{int(self.accelerator.weight_capacity_bytes)} bytes of weights (the accelerator cannot stream)",
                    remedy="Give the accelerator a streaming cost, or the CPU a core.",
                )

    def _check_rates(self) -> None:
        names = [tenant.name for tenant in self.tenants]
        if self.rate_hz.shape != (len(names),):
            raise WorkloadError(
                "rates",
                expected=f"one for each of {len(names)} tenants",
                got=f"shape {self.rate_hz.shape}",
                remedy="Give each tenant a rate.",
            )
        wrong = ~(np.isfinite(self.rate_hz) & (self.rate_hz > 0))
        if np.any(wrong):
            k = int(np.flatnonzero(wrong)[0])
            raise WorkloadError(
                f"rate of tenant {names[k]!r}",
                expected="more than 0 requests a second",
                got=f"{self.rate_hz[k]:g}",
                remedy="Leave out a tenant that is never asked.",
            )

    @cached_property
    def total_rate_hz(self) -> float:
        """Requests a second of all tenants together."""
        return float(self.rate_hz.sum())

    @cached_property
    def usable_bytes(self) -> tuple[NDArray[np.int64], ...]:
        """By tenant, shape (points,): bytes it can use of the memory, at most the capacity."""
        capacity = int(self.accelerator.weight_capacity_bytes)
        return tuple(
            np.minimum(t.weight_bytes if t.resident_bytes is None else t.resident_bytes, capacity) for t in self.tenants
        )

    @cached_property
    def runnable(self) -> tuple[NDArray[np.bool_], ...]:
        """By tenant, shape (points,): whether the device can run it at that partition point."""
        found = []
        for tenant, usable in zip(self.tenants, self.usable_bytes, strict=True):
            fits = np.ones(tenant.n_points, dtype=np.bool_)
            if self.streaming_us_per_byte(tenant) is None:
                table = np.full(tenant.n_points, np.nan) if tenant.streaming_us is None else tenant.streaming_us
                fits = (tenant.weight_bytes <= usable) | ~np.isnan(table)
            runs = np.isfinite(tenant.accelerator_us) & np.isfinite(tenant.cpu_us) & fits
            if self.cpu_cores == 0:
                runs &= tenant.cpu_us == 0
            found.append(runs)
        return tuple(found)

    def streaming_us_per_byte(self, tenant: Tenant) -> float | None:
        """What streaming a byte of a tenant's weights adds to a request; None where the device cannot stream."""
        own = tenant.streaming_us_per_byte
        return own if own is not None else self.accelerator.streaming_us_per_byte

    def at_rates(self, rate_hz: ArrayLike) -> TenancyProblem:
        """Copy at other rates; what was derived from costs is kept, so that this takes microseconds.

        Raises
        ------
        WorkloadError
            A rate that is not positive, or not one a tenant.
        """
        other = copy(self)
        object.__setattr__(other, "rate_hz", np.array(rate_hz, dtype=np.float64))
        other.__dict__.pop("total_rate_hz", None)
        other._check_rates()
        return other

    def replace(self, **changes: Any) -> TenancyProblem:
        """Copy with some parts exchanged, validated again."""
        return replace(self, **changes)
