"""What users run today: one ONNX Runtime session a model, requests served as they come."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from .clock import now_us
from .records import RequestRecord


class ThreadPerModel:
    """One session and one serving thread a model, first come first served; the operating system shares the cores.

    Parameters
    ----------
    files : mapping of str to Path
    deadlines_us : mapping of str to float
        Relative; ∞ where there is none. They are only recorded: nothing here looks at them.
    intra_op_threads : int
        0 keeps ONNX Runtime's default: as many threads as cores, spinning while they wait.
    """

    def __init__(self, files: Mapping[str, Path], deadlines_us: Mapping[str, float], intra_op_threads: int = 0) -> None:
        import onnxruntime

        self.records: list[RequestRecord] = []
        self._deadlines_us = deadlines_us
        self._ids = itertools.count()
        self._inboxes: dict[str, SimpleQueue[tuple[float, Mapping[str, np.ndarray]] | None]] = {}
        self._idle = threading.Condition()
        self._waiting = 0
        self._threads: list[threading.Thread] = []
        for name, path in files.items():
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = intra_op_threads
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self._inboxes[name] = SimpleQueue()
            thread = threading.Thread(target=self._serve, args=(name, session), name=f"baseline-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def __enter__(self) -> ThreadPerModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, model: str, feeds: Mapping[str, np.ndarray], arrival_us: float) -> None:
        """Queue a request that was due at `arrival_us`."""
        with self._idle:
            self._waiting += 1
        self._inboxes[model].put((arrival_us, feeds))

    def drain(self) -> None:
        """Wait until all that is queued has been served."""
        with self._idle:
            self._idle.wait_for(lambda: self._waiting == 0)

    def close(self) -> None:
        """Serve what is queued and stop."""
        for inbox in self._inboxes.values():
            inbox.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, model: str, session: Any) -> None:
        inbox, deadline_us = self._inboxes[model], self._deadlines_us[model]
        while (request := inbox.get()) is not None:
            arrival_us, feeds = request
            record = RequestRecord(next(self._ids), model, -1, arrival_us, arrival_us + deadline_us)
            try:
                session.run(None, feeds)
            except Exception as error:  # one request's failure is written down and the next one is served
                record.error = str(error)
            record.finish_us = now_us()
            self.records.append(record)
            with self._idle:
                self._waiting -= 1
                self._idle.notify_all()
