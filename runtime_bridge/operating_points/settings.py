"""Settings of the joint policy, each with its unit."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ...formulation.operating_points import PointsObjective


class JointSettings(BaseModel):
    """When the joint policy believes a change, and when a switch is worth it.

    Attributes
    ----------
    objective : {'response', 'misses'}
    max_utilisation : float
        Of each processor, of what others leave.
    memory_reserve : float
        Share of what is available to the models that is kept free.
    reload_bytes_per_us : float
        How fast points are read.
    horizon_us : float
        So long a choice is taken to serve: what a switch costs is spread over it.
    min_gain : float
        Least relative gain, switching counted, that is worth a switch.
    persistence : int
        Looks in a row that must find a change worth it. Too little memory is acted on at once.
    rest_us : float
        After a switch, for so long none follows but for memory.
    forget_us : float
        A processor that nothing of ours runs on is taken to be unslowed again after so long.
    confidence : float
        Of all intervals.
    latency_factor : float
        Between observed and predicted time of an inference that matters, either way.
    rate_window_us : float
        Over which rates are counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: PointsObjective = "response"
    max_utilisation: FiniteFloat = Field(default=0.9, gt=0, lt=1)
    memory_reserve: FiniteFloat = Field(default=0.02, ge=0, lt=1)
    reload_bytes_per_us: FiniteFloat = Field(default=1e3, gt=0)
    horizon_us: FiniteFloat = Field(default=15e6, gt=0)
    min_gain: FiniteFloat = Field(default=0.05, ge=0)
    persistence: int = Field(default=2, ge=1)
    rest_us: FiniteFloat = Field(default=2e6, ge=0)
    forget_us: FiniteFloat = Field(default=15e6, gt=0)
    confidence: FiniteFloat = Field(default=0.999, gt=0, lt=1)
    latency_factor: FiniteFloat = Field(default=1.25, ge=1)
    rate_window_us: FiniteFloat = Field(default=3e6, gt=0)
