"""What the live runtime writes down of every request, and the figures made from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..formulation import InferenceError


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """One run of one segment.

    Attributes
    ----------
    segment : int
        Index in the model's plan.
    cores : tuple of int
    start_us, finish_us : float
        On the runtime's clock.
    cpu_us : float
        Time its thread really had the core. Much less than `finish_us − start_us` means that the core was taken away.
    gang : int, optional
        Which of the segment's gangs it ran as; none where it ran as planned.
    """

    segment: int
    cores: tuple[int, ...]
    start_us: float
    finish_us: float
    cpu_us: float
    gang: int | None = None


@dataclass(slots=True)
class RequestRecord:
    """One request from its (scheduled) arrival to its end.

    Attributes
    ----------
    request : int
    model : str
    plan_version : int
        Counts the plans that the runtime has run, from 0; −1 where no plan is involved.
    arrival_us : float
        When it should have been sent, whether or not the sender was late (no coordinated omission).
    deadline_us : float
        Absolute; ∞ where there is none.
    finish_us : float
        NaN until it ends.
    segments : list of SegmentRecord
    error : str
        Empty unless it failed or was refused.
    refused : bool
        Whether it was not taken at all.
    label : str
        The caller's own name for the request; empty where it gave none.
    failed_segment : int, optional
        Which of its segments failed or hung.
    hung : bool
        Whether a segment of it was given up.
    gated : bool
        Whether it was refused for what is wrong with its model or the device, before anything else was looked at.
    """

    request: int
    model: str
    plan_version: int
    arrival_us: float
    deadline_us: float
    finish_us: float = float("nan")
    segments: list[SegmentRecord] = field(default_factory=list)
    error: str = ""
    refused: bool = False
    label: str = ""
    failed_segment: int | None = None
    hung: bool = False
    gated: bool = False

    @property
    def response_us(self) -> float:
        """From arrival to end; NaN for a request that failed."""
        return float("nan") if self.error else self.finish_us - self.arrival_us

    @property
    def missed(self) -> bool:
        """Whether it ended after its deadline, failed, or was refused."""
        return bool(self.error) or not self.finish_us <= self.deadline_us


def refuse_no_time(record: RequestRecord) -> None:
    """Refuse a request whose arrival or deadline is no point in time: beside it no other could be put in order.

    Raises
    ------
    InferenceError
    """
    if not math.isfinite(record.arrival_us) or math.isnan(record.deadline_us):
        raise InferenceError(
            f"request for model {record.model!r}",
            expected="a finite arrival and a deadline, infinite where there is none",
            got=f"arrival {record.arrival_us:g} µs, deadline {record.deadline_us:g} µs",
            remedy="Correct the times, or leave them out.",
        )


@dataclass(frozen=True)
class ResponseSummary:
    """Figures of a set of requests. Times in microseconds, NaN where nothing was served.

    Attributes
    ----------
    model : str
        ``all`` for all models together.
    offered, served, missed, failed : int
        Missed includes failed; only requests with a deadline can miss it.
    throughput_hz : float
        Served a second.
    mean_us, p50_us, p95_us, p99_us : float
        Of the response.
    """

    model: str
    offered: int
    served: int
    missed: int
    failed: int
    throughput_hz: float
    mean_us: float
    p50_us: float
    p95_us: float
    p99_us: float

    @property
    def miss_ratio(self) -> float:
        """Share of the offered requests that missed their deadline; 0 where none was offered."""
        return self.missed / self.offered if self.offered else 0.0


def summarise(records: Iterable[RequestRecord], duration_s: float, model: str | None = None) -> ResponseSummary:
    """Summarise the requests of one model, or of all.

    Parameters
    ----------
    records : iterable of RequestRecord
    duration_s : float
        Time over which they were offered, seconds.
    model : str, optional
    """
    chosen = [r for r in records if model is None or r.model == model]
    responses = np.array([r.response_us for r in chosen if not r.error], dtype=np.float64)
    quantiles = np.quantile(responses, [0.5, 0.95, 0.99]) if len(responses) else np.full(3, np.nan)
    return ResponseSummary(
        model or "all",
        len(chosen),
        len(responses),
        sum(r.missed for r in chosen),
        sum(bool(r.error) for r in chosen),
        len(responses) / duration_s,
        float(responses.mean()) if len(responses) else float("nan"),
        *(float(q) for q in quantiles),
    )


def summaries(records: Sequence[RequestRecord], duration_s: float) -> list[ResponseSummary]:
    """One summary a model, in order of first appearance, then one of all."""
    models = dict.fromkeys(r.model for r in records)
    return [*(summarise(records, duration_s, m) for m in models), summarise(records, duration_s)]
