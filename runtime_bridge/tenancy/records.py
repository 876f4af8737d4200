"""What the runtime of tenants writes down of every request, and the figures made from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

_NAN = float("nan")


@dataclass(slots=True)
class TenantRecord:
    """One request. Instants are emulated microseconds on one clock; NaN for what it did not do.

    Attributes
    ----------
    request : int
    tenant : str
    version : int
        Of the allocation that served it; counts exchanges from 0.
    arrival_us : float
        When it was due, whether or not the sender was late.
    accelerator_start_us, accelerator_end_us : float
        From the start of the reload, where there is one, to the end of the prefix.
    swapped : bool
        Whether its weights had to be brought in.
    reload_us : float
        Time that took; 0 without a swap.
    cpu_start_us, cpu_end_us : float
        Of the suffix.
    finish_us : float
    error : str
        Empty unless it failed or was refused.
    """

    request: int
    tenant: str
    version: int
    arrival_us: float
    accelerator_start_us: float = _NAN
    accelerator_end_us: float = _NAN
    swapped: bool = False
    reload_us: float = 0.0
    cpu_start_us: float = _NAN
    cpu_end_us: float = _NAN
    finish_us: float = _NAN
    error: str = ""

    @property
    def response_us(self) -> float:
        """From arrival to end; NaN for a request that failed."""
        return _NAN if self.error else self.finish_us - self.arrival_us

    @property
    def service_us(self) -> float:
        """Time on the accelerator without the reload; NaN without a visit."""
        return self.accelerator_end_us - self.accelerator_start_us - self.reload_us

    @property
    def suffix_us(self) -> float:
        """Time on the CPU; NaN without a visit."""
        return self.cpu_end_us - self.cpu_start_us


@dataclass(frozen=True)
class TenantSummary:
    """Figures of a set of requests. Times in microseconds, NaN where nothing was served.

    Attributes
    ----------
    tenant : str
        ``all`` for all tenants together.
    requests, served, failed : int
    mean_us, p50_us, p95_us, p99_us : float
        Of the response.
    swap_fraction : float
        Share of the visits to the accelerator that had to bring weights in; NaN without visits.
    """

    tenant: str
    requests: int
    served: int
    failed: int
    mean_us: float
    p50_us: float
    p95_us: float
    p99_us: float
    swap_fraction: float


def summarise_tenant(records: Iterable[TenantRecord], tenant: str | None = None) -> TenantSummary:
    """Summarise the requests of one tenant, or of all."""
    chosen = [r for r in records if tenant is None or r.tenant == tenant]
    responses = np.array([r.response_us for r in chosen if not r.error], dtype=np.float64)
    visits = [r.swapped for r in chosen if not np.isnan(r.accelerator_start_us)]
    quantiles = np.quantile(responses, [0.5, 0.95, 0.99]).tolist() if len(responses) else [_NAN] * 3
    return TenantSummary(
        tenant or "all",
        len(chosen),
        len(responses),
        sum(bool(r.error) for r in chosen),
        float(responses.mean()) if len(responses) else _NAN,
        quantiles[0],
        quantiles[1],
        quantiles[2],
        float(np.mean(visits)) if visits else _NAN,
    )
