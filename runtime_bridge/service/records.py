"""What the service writes down of every request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..records import RequestRecord


@dataclass(slots=True)
class ServiceRecord(RequestRecord):
    """One request from its (scheduled) arrival to its end; see `RequestRecord` for the rest.

    Attributes
    ----------
    priority : int
    refused : bool
        It was not accepted; `error` says why.
    instance : int
        Position in the plan of the instance that ran its batch; −1 where none did.
    batch_size : int
        Requests in its batch; 0 where it was in none.
    left_us, start_us : float
        When its batch was sent to the instance, and when its first segment began. NaN where neither happened.
    """

    priority: int = 0
    refused: bool = False
    instance: int = -1
    batch_size: int = 0
    left_us: float = float("nan")
    start_us: float = float("nan")

    @property
    def queue_us(self) -> float:
        """From arrival to the begin of its first segment."""
        return self.start_us - self.arrival_us

    @property
    def service_us(self) -> float:
        """From the begin of its first segment to its end."""
        return self.finish_us - self.start_us


@dataclass(frozen=True)
class ServiceSummary:
    """Figures of accepted and refused requests. Times in microseconds, NaN where nothing was served.

    Attributes
    ----------
    offered, refused, failed, served : int
    missed : int
        Accepted requests that ended after their deadline or failed.
    served_hz, in_time_hz : float
        Served a second, and served within the deadline a second.
    mean_batch : float
        Requests in the batch of a served request, on average over batches.
    p50_us, p99_us : float
        Of the response of what was served.
    queue_us : float
        Mean time before the first segment.
    """

    offered: int
    refused: int
    failed: int
    served: int
    missed: int
    served_hz: float
    in_time_hz: float
    mean_batch: float
    p50_us: float
    p99_us: float
    queue_us: float

    @property
    def missed_share(self) -> float:
        """Of the accepted requests; 0 where none was accepted."""
        accepted = self.offered - self.refused
        return self.missed / accepted if accepted else 0.0

    @property
    def refused_share(self) -> float:
        """Of the offered requests; 0 where none was offered."""
        return self.refused / self.offered if self.offered else 0.0


def summarise_service(records: Iterable[ServiceRecord], duration_s: float) -> ServiceSummary:
    """Summarise the requests of a run.

    Parameters
    ----------
    records : iterable of ServiceRecord
    duration_s : float
        Time over which they were offered, seconds.
    """
    chosen = list(records)
    accepted = [r for r in chosen if not r.refused]
    served = [r for r in accepted if not r.error]
    missed = sum(r.missed for r in accepted)
    responses = np.array([r.response_us for r in served])
    p50_us, p99_us = np.quantile(responses, [0.5, 0.99]) if served else (float("nan"), float("nan"))
    batches = sum(1.0 / r.batch_size for r in served)
    return ServiceSummary(
        offered=len(chosen),
        refused=len(chosen) - len(accepted),
        failed=len(accepted) - len(served),
        served=len(served),
        missed=missed,
        served_hz=len(served) / duration_s,
        in_time_hz=(len(accepted) - missed) / duration_s,
        mean_batch=len(served) / batches if served else float("nan"),
        p50_us=float(p50_us),
        p99_us=float(p99_us),
        queue_us=float(np.mean([r.queue_us for r in served])) if served else float("nan"),
    )
