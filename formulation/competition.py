"""Which requests go before which: earliest deadline first, seen from the critical instant."""

from __future__ import annotations

import math

from .workload import Stream


def competing_releases(stream: Stream | None, other: Stream | None) -> int:
    """Requests of `other` that are due no later than a request of `stream` that arrives together with its first.

    The demand bound function of one sporadic stream at the other's deadline; 0 where `other` is due later, so that it
    can only block. Streams without a deadline are due last; among them one request counts.
    """
    if other is None or stream is None:
        return 0
    if other.deadline_us is None:
        return 1 if stream.deadline_us is None else 0
    if stream.deadline_us is None:
        return 1
    if other.deadline_us > stream.deadline_us:
        return 0
    period_us = 1e6 / other.rate_hz
    return math.floor((stream.deadline_us - other.deadline_us) / period_us + 1e-9) + 1
