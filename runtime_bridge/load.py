"""Load: open loop, where requests are sent when they are due whatever became of the earlier ones, and closed loop.

A request's arrival is the scheduled instant, not the instant at which the generator got round to it, so a stall shows
in the responses instead of vanishing (no coordinated omission).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..formulation import Stream, arrival_times
from .clock import now_us, sleep_until_us

Submit = Callable[[str, float], object]
"""Called with the model and the scheduled arrival in microseconds on `now_us`'s clock."""

Ask = Callable[[str, Mapping[str, np.ndarray], float | None], Future[Any]]
"""Called with the model, its inputs and the arrival, which is now where there is none."""


@dataclass(frozen=True)
class Arrivals:
    """A merged, seeded sequence of requests.

    Attributes
    ----------
    models : tuple of str
    offsets_us : ndarray, shape (requests,)
        From the start, ascending.
    """

    models: tuple[str, ...]
    offsets_us: np.ndarray

    @classmethod
    def of(cls, streams: Sequence[Stream], duration_us: float, seed: int) -> Arrivals:
        """Draw every stream's arrivals, each from its own child of the seed, as `simulate` does."""
        drawn = [
            (float(time), stream.model)
            for k, stream in enumerate(streams)
            for time in arrival_times(stream.arrival, duration_us, np.random.default_rng([seed, k]))
        ]
        drawn.sort()
        return cls(tuple(model for _, model in drawn), np.array([time for time, _ in drawn]))

    def rates_hz(self, duration_us: float) -> Mapping[str, float]:
        """Requests a second that each model really gets."""
        return {m: self.models.count(m) * 1e6 / duration_us for m in dict.fromkeys(self.models)}


def offer(arrivals: Arrivals, submit: Submit, stop: threading.Event | None = None) -> float:
    """Send every request when it is due.

    Parameters
    ----------
    arrivals : Arrivals
    submit : callable
        Must return at once.
    stop : threading.Event, optional
        Set it to end early.

    Returns
    -------
    float
        The instant that the offsets count from, on `now_us`'s clock.
    """
    start_us = now_us() + 1000.0
    for model, offset_us in zip(arrivals.models, arrivals.offsets_us.tolist(), strict=True):
        if stop is not None:
            if stop.wait(max(0.0, start_us + offset_us - now_us()) / 1e6):
                break
        else:
            sleep_until_us(start_us + offset_us)
        submit(model, start_us + offset_us)
    return start_us


def ask_in_turn(submit: Ask, feeds: Mapping[str, Mapping[str, np.ndarray]], duration_us: float) -> None:
    """Closed loop: one caller a model, each asking again as soon as it has its answer, for `duration_us`.

    What is under way at the end is still answered. An answer that is an error is none of the caller's business.
    """
    end_us = now_us() + duration_us

    def call(model: str) -> None:
        while now_us() < end_us:
            submit(model, feeds[model], None).exception()

    callers = [threading.Thread(target=call, args=(model,), name=f"caller-{model}") for model in feeds]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
