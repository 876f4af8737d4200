"""What a scenario may say about serving with batches and instances, besides its models, streams and limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

ThroughputObjective = Literal["capacity", "throughput", "fair", "cost"]
"""``capacity``: the largest common factor of all streams' rates; ``throughput``: the weighted sum of rates; ``fair``:
the rate, relative to its weight, that every model gets; ``cost``: the cheapest cores and devices for the rates."""

_Positive = Annotated[FiniteFloat, Field(gt=0)]
_Price = Annotated[FiniteFloat, Field(ge=0)]
_Count = Annotated[int, Field(ge=1)]


class ServiceSettings(BaseModel):
    """Choices of throughput planning; every one has a default, so that any scenario can be planned.

    Attributes
    ----------
    objective : {'capacity', 'throughput', 'fair', 'cost'}
        What to aim for: the largest common factor of all rates, the weighted sum of rates, the rate that every model
        gets by its weight, or the cheapest cores and devices for the rates.
    min_rate_hz : dict
        Requests a second that a model must at least get.
    batches : dict
        Batch sizes to choose from, by model; all that its costs hold where left out.
    fixed_batch : dict
        Models whose graph has a fixed batch dimension, and its size: they run at no other.
    max_instances : dict
        Most instances of a model.
    max_stages : int
        1: models run whole. 2: also as pipelines of two stages on two processors.
    windows : tuple of float
        Shares of a model's deadline that the first request of a batch may wait for others.
    patience_us : float
        The window of models without a deadline, microseconds.
    weights : {'instance', 'processor'}
        Whether every instance keeps weights of its own, or a model's instances on one processor share one copy.
    hard_level : float
        Percentile that stands for a hard deadline: under random arrivals no queue keeps one always.
    processor_price : dict
        For ``cost``: what using a processor at all costs.
    core_price : dict
        For ``cost``: what each core of a processor in use costs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: ThroughputObjective = "capacity"
    min_rate_hz: dict[str, _Positive] = Field(default_factory=dict)
    batches: dict[str, tuple[_Count, ...]] = Field(default_factory=dict)
    fixed_batch: dict[str, _Count] = Field(default_factory=dict)
    max_instances: dict[str, _Count] = Field(default_factory=dict)
    max_stages: int = Field(default=2, ge=1, le=2)
    windows: tuple[Annotated[FiniteFloat, Field(ge=0, lt=1)], ...] = Field(default=(0.1, 0.3), min_length=1)
    patience_us: FiniteFloat = Field(default=1e6, gt=0)
    weights: Literal["instance", "processor"] = "instance"
    hard_level: FiniteFloat = Field(default=0.99, gt=0, lt=1)
    processor_price: dict[str, _Price] = Field(default_factory=dict)
    core_price: dict[str, _Price] = Field(default_factory=dict)
