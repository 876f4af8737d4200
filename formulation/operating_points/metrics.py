"""Figures of a simulated run of a policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ModelRun:
    """One model's requests.

    Attributes
    ----------
    response_us : ndarray, shape (served,)
        Of the requests that ended within the run.
    refused : int
        Because too many were in flight.
    deadline_us : float
        ∞ where there is none.
    """

    response_us: NDArray[np.float64]
    refused: int
    deadline_us: float

    @property
    def missed(self) -> int:
        """Requests that ended after the deadline or were refused."""
        return int(np.sum(self.response_us > self.deadline_us)) + self.refused


@dataclass(frozen=True, eq=False)
class PolicyRun:
    """What became of a world under a policy.

    Attributes
    ----------
    policy : str
    models : mapping of str to ModelRun
    duration_us : float
    switches : int
        Changes of a model's points after the start.
    over_limit_us : float
        Time during which more was loaded than was available in some memory.
    history : tuple of (float, str, tuple of int)
        When which model's points were changed to what.
    """

    policy: str
    models: Mapping[str, ModelRun]
    duration_us: float
    switches: int
    over_limit_us: float
    history: tuple[tuple[float, str, tuple[int, ...]], ...]

    @property
    def responses_us(self) -> NDArray[np.float64]:
        """Of all requests that ended, shape (served,)."""
        return np.concatenate([run.response_us for run in self.models.values()])

    @property
    def throughput_hz(self) -> float:
        """Requests that ended, a second."""
        return len(self.responses_us) * 1e6 / self.duration_us

    @property
    def mean_us(self) -> float:
        """Mean response; NaN where nothing ended."""
        responses = self.responses_us
        return float(responses.mean()) if len(responses) else float("nan")

    @property
    def p99_us(self) -> float:
        """Response that 99 of 100 requests keep to; NaN where nothing ended."""
        responses = self.responses_us
        return float(np.quantile(responses, 0.99)) if len(responses) else float("nan")

    @property
    def miss_ratio(self) -> float:
        """Share of requests that ended after their deadline or were refused."""
        asked = len(self.responses_us) + sum(run.refused for run in self.models.values())
        return sum(run.missed for run in self.models.values()) / asked if asked else 0.0

    @property
    def in_time_hz(self) -> float:
        """Requests that ended by their deadline, a second."""
        late = sum(int(np.sum(run.response_us > run.deadline_us)) for run in self.models.values())
        return (len(self.responses_us) - late) * 1e6 / self.duration_us
