"""Settings of the online controller, each with its unit. They are written into every journal."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator


class ControllerSettings(BaseModel):
    """When the controller believes a change, and when an exchange is worth it.

    Attributes
    ----------
    interval_s : float
        Between two looks at what happened.
    rate_windows_s : tuple of float
        Windows over which a rate is taken, ascending. The longest is used whose rate lies in the interval of every
        shorter one, so that a step is seen soon and a constant rate is known well.
    confidence : float
        Of all intervals.
    companion_confidence : float
        Of the interval that decides on the other rates once one has drifted: where the load changes, it seldom changes
        for one tenant alone, and to wait for each to be as certain would mean to decide on half of the change.
    settling_s : float
        So long after a rate has drifted for certain that interval decides on all rates: the first windows after a
        change still hold some of what was before.
    floor_rate_hz : float
        What a tenant counts for that nobody asked in the window: it keeps its place, at next to no weight.
    rate_change : float
        Relative change of a rate that matters, besides lying outside the interval.
    cost_samples, min_cost_samples : int
        Latest timings that a median is taken over, and the fewest.
    cost_change : float
        Factor between observed and believed cost, either way, that matters where the whole interval lies beyond it.
    persistence : int
        Looks in a row that must find the same drift.
    rest_s : float
        After an exchange nothing is decided for so long.
    min_gain : float
        Least relative gain in mean response that is worth an exchange.
    horizon_s : float
        For so long a new allocation is taken to serve: what it saves in that time must exceed what the exchange costs.
    opening_us_per_session : float
        Time to open a session, until exchanges have shown it.
    disturbance : float
        By how much of itself a response grows while sessions are opened beside it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval_s: FiniteFloat = Field(default=0.5, gt=0)
    rate_windows_s: tuple[Annotated[FiniteFloat, Field(gt=0)], ...] = Field(default=(2.0, 4.0, 8.0, 16.0), min_length=1)
    confidence: FiniteFloat = Field(default=0.999, gt=0, lt=1)
    companion_confidence: FiniteFloat = Field(default=0.95, gt=0, lt=1)
    settling_s: FiniteFloat = Field(default=6.0, ge=0)
    floor_rate_hz: FiniteFloat = Field(default=0.02, gt=0)
    rate_change: FiniteFloat = Field(default=0.15, ge=0)
    cost_samples: int = Field(default=60, ge=6)
    min_cost_samples: int = Field(default=12, ge=6)
    cost_change: FiniteFloat = Field(default=1.15, ge=1)
    persistence: int = Field(default=3, ge=1)
    rest_s: FiniteFloat = Field(default=4.0, ge=0)
    min_gain: FiniteFloat = Field(default=0.03, ge=0)
    horizon_s: FiniteFloat = Field(default=30.0, gt=0)
    opening_us_per_session: FiniteFloat = Field(default=50_000.0, ge=0)
    disturbance: FiniteFloat = Field(default=0.5, ge=0)

    @field_validator("rate_windows_s")
    @classmethod
    def _ascending(cls, windows_s: tuple[float, ...]) -> tuple[float, ...]:
        if any(b <= a for a, b in pairwise(windows_s)):
            raise ValueError(f"windows must ascend, got {windows_s}")
        return windows_s
