"""Batching windows: how a tenant's requests are gathered before the accelerator serves them together."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat


class Batching(BaseModel):
    """How a tenant's requests are gathered before the accelerator serves them together.

    Attributes
    ----------
    max_batch : int
        Most requests of a batch; 1: no batching.
    window_us : float
        Longest time that the oldest request waits for others while the accelerator could serve it.
    marginal : float
        Cost of each further request as a share of the first: a batch of b takes ``1 + marginal (b − 1)`` services. 1:
        batching saves no service, only reloads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_batch: int = Field(default=1, ge=1)
    window_us: FiniteFloat = Field(default=0.0, ge=0)
    marginal: FiniteFloat = Field(default=1.0, ge=0)
