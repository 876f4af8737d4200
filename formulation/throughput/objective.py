"""What plans are compared by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .layout import Layout
from .problem import ThroughputProblem


def value_of(problem: ThroughputProblem, rate_hz: NDArray[np.float64], cost: float) -> float:
    """Value of serving the models at these rates, shape (models,), in the objective's own unit."""
    objective = problem.service.objective
    if objective == "cost":
        return cost
    if objective == "throughput":
        return float(problem.weight @ rate_hz)
    return float(np.min(rate_hz / (problem.mix_hz if objective == "capacity" else problem.weight)))


def cost_of(problem: ThroughputProblem, layout: Layout) -> float:
    """Price of the processors and cores that lanes use."""
    service = problem.service
    used = {lane.processor for lane in layout.lanes}
    devices = sum(service.processor_price.get(name, 0.0) for name in used)
    return devices + sum(service.core_price.get(lane.processor, 0.0) * lane.threads for lane in layout.lanes)
