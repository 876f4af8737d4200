"""One batch on its way through the executor and back to those who asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from ...formulation import InferenceError
from ..clock import now_us
from ..executor import Executor
from .batching import BatchRun, Outputs, parted
from .desk import Departure
from .generation import Generation
from .records import ServiceRecord


@dataclass(slots=True)
class Request:
    """What was asked, what is written down of it, and who waits."""

    feeds: Mapping[str, np.ndarray]
    record: ServiceRecord
    future: Future[Outputs] = field(default_factory=Future)


class Sending:
    """A batch that left.

    Parameters
    ----------
    generation : Generation
    departure : Departure
    records : list of ServiceRecord
        Where each request's record goes before its future is set.
    on_leg_end : callable
        Called on the worker's thread when a segment has ended, before its cores are free.
    on_end : callable
        Called once with this and whether it failed, after the requests' futures are set.

    Attributes
    ----------
    ran_us : float
        Time its segments have run, without what it waited between them.
    """

    def __init__(
        self,
        generation: Generation,
        departure: Departure[Request],
        records: list[ServiceRecord],
        on_leg_end: Callable[[Departure[Request]], None],
        on_end: Callable[[Sending, bool], None],
    ) -> None:
        self.generation = generation
        self.departure = departure
        self.ran_us = 0.0
        self._stage_start_us = 0.0
        self._records = records
        self._requests = departure.batch.requests
        self._on_leg_end = on_leg_end
        self._on_end = on_end
        self._open_size, self._pipeline = generation.pipeline(
            departure.model, departure.flight.instance.number, departure.batch.size
        )

    def send(self, executor: Executor) -> None:
        """Hand the batch over."""
        departure, left_us = self.departure, now_us()
        for request in self._requests:
            record = request.record
            record.left_us, record.plan_version = left_us, self.generation.version
            record.instance, record.batch_size = departure.flight.instance.number, departure.batch.size
        run = BatchRun(
            self._pipeline,
            self._open_size,
            [request.feeds for request in self._requests],
            [leg.cores for leg in departure.flight.legs],
            self._begun,
            self._ended,
        )
        # The executor goes by the same order as the desk: priorities first, then deadlines.
        future = executor.submit(
            departure.model, run, {}, arrival_us=left_us, deadline_us=departure.batch.urgency_us - left_us
        )
        future.add_done_callback(self._done)

    def _begun(self, stage: int) -> None:
        self._stage_start_us = self.departure.flight.began_us = now_us()
        if stage == 0:
            for request in self._requests:
                request.record.start_us = self._stage_start_us

    def _ended(self, stage: int) -> None:
        self.ran_us += now_us() - self._stage_start_us
        self._on_leg_end(self.departure)

    def _done(self, future: Future[Outputs]) -> None:
        finish_us = now_us()
        error: InferenceError | None = None
        answers: list[Outputs] = []
        try:
            answers = parted(future.result(), len(self._requests), self._open_size)
        except Exception as failure:  # whatever went wrong concerns this batch only
            error = self._failure(failure)
        for k, request in enumerate(self._requests):
            request.record.finish_us = finish_us
            request.record.error = "" if error is None else str(error)
            self._records.append(request.record)
            if error is None:
                request.future.set_result(answers[k])
            else:
                request.future.set_exception(error)
        self._on_end(self, error is not None)

    def _failure(self, failure: Exception) -> InferenceError:
        batch = self.departure.batch
        return InferenceError(
            f"batch of {batch.size} requests for model {self.departure.model!r}",
            expected="every segment to run",
            got=failure.got if isinstance(failure, InferenceError) else str(failure),
            remedy="The requests of this batch failed, no others. Look at the backend's message.",
        )
