"""How a service takes requests."""

from __future__ import annotations

from dataclasses import dataclass

from ...formulation.batch_queue import PATIENCE_US


@dataclass(frozen=True)
class ServiceSettings:
    """How a service takes requests.

    Attributes
    ----------
    admission : bool
        Whether a request is refused at once if its deadline cannot be met by prediction.
    capacity : int
        Most requests of one model that wait; more are refused in any case.
    time_factor : float
        Predicted times are multiplied by it: room for what the costs do not know.
    adapt : bool
        Whether predictions follow what batches really take; see `ServedInstance.observe`.
    patience_us : float
        How long a request lets all of higher priority pass, microseconds; see `urgency_us`.
    """

    admission: bool = True
    capacity: int = 256
    time_factor: float = 1.1
    adapt: bool = True
    patience_us: float = PATIENCE_US
