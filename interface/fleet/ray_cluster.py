"""Workers of a Ray cluster, or of a Ray that is started here."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from ...formulation import UnsupportedError
from .engine import MAX_ATTEMPTS, Batches, Done, EngineError, Task, Work, attempt

_IN_FLIGHT = 2
"""Batches handed over for each worker: one runs, one waits; no worker waits and nothing piles up."""

_KNOCK_S = 5.0


class RayCluster:
    """Hands batches to Ray, which starts workers where there is room and starts them again when they die.

    What tasks share is put into the object store once, however often `run` is called. A batch whose worker dies is run
    again by Ray; one that keeps dying is taken apart, so that the task that is to blame fails alone.

    Parameters
    ----------
    workers : int, optional
        Cores to use of a Ray that is started here; on a cluster at most so many batches run at once.
    address : str, optional
        Of a running cluster (``auto``, ``host:port``); left out, a Ray is started here.

    Raises
    ------
    UnsupportedError
        Ray is not installed.
    """

    name = "ray"

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise UnsupportedError(
                "engine ray",
                expected="Ray to be installed",
                got="none",
                remedy="pip install 'edgeplan[fleet]', or use the processes of this machine.",
            )
        self._wanted = workers
        self._address = address
        self._is_ours = False
        self._stored: dict[str, tuple[Any, Any]] = {}
        self.workers = workers or len(os.sched_getaffinity(0))
        self._in_flight = _IN_FLIGHT * self.workers

    def __enter__(self) -> Self:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine unasked
        # Ray tries for ever what it ended for want of memory, unless it is told.
        os.environ.setdefault("RAY_task_oom_retries", str(MAX_ATTEMPTS - 1))
        ray = _ray()
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            if self._address is not None:
                _knock(self._address)
            if not ray.is_initialized():
                if self._address is None:
                    ray.init(num_cpus=self.workers, include_dashboard=False, **quiet)
                else:
                    ray.init(address=self._address, **quiet)
                self._is_ours = True
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise EngineError(
                f"Ray at {self._address or 'this machine'}",
                expected="a cluster that answers",
                got=" ".join(str(error).split()) or type(error).__name__,
                remedy="Check --address, or leave it out to start Ray here.",
            ) from error
        available = int(ray.cluster_resources().get("CPU", 1))
        self.workers = max(1, min(available, self._wanted or available))
        # Where there are more cores than shall be used, what is handed over runs at once.
        self._in_flight = self.workers * (_IN_FLIGHT if self.workers >= available else 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stored.clear()
        if self._is_ours:
            _ray().shutdown()

    def run(self, work: Work, shared: Mapping[str, Any], tasks: Sequence[Task]) -> Iterator[Done]:
        """Run the tasks."""
        ray = _ray()
        RayError, RayTaskError = ray.exceptions.RayError, ray.exceptions.RayTaskError

        batches = Batches(tasks, self.workers)
        remote = ray.remote(num_cpus=1, max_retries=MAX_ATTEMPTS - 1)(_run_batch)
        running: dict[Any, list[Task]] = {}
        try:
            while len(batches) or running:
                while len(batches) and len(running) < self._in_flight:
                    batch = batches.take()
                    held = self._reference(batch[0].shared, shared)
                    running[remote.remote(work, held, [task.payload for task in batch])] = batch
                (ended, *_), _ = ray.wait(list(running), num_returns=1)
                batch = running.pop(ended)
                try:
                    answers = ray.get(ended)
                except RayTaskError as error:  # errors of the work come back as words: this batch could not be read
                    why = f"{type(error.cause).__name__}: {error.cause}"
                    yield from (Done(task.key, None, why) for task in batch)
                    continue
                except RayError as error:  # the worker, not the work
                    if len(batch) > 1:
                        for task in batch:
                            batches.alone(task)
                        continue
                    why = f"its worker died ({type(error).__name__}), {MAX_ATTEMPTS} times"
                    yield Done(batch[0].key, None, why, attempts=MAX_ATTEMPTS)
                    continue
                for task, answer in zip(batch, answers, strict=True):
                    batches.took(answer[2])
                    yield Done(task.key, *answer)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _reference(self, key: str, shared: Mapping[str, Any]) -> Any:
        """Where the object store has what tasks share."""
        value = shared[key]
        known = self._stored.get(key)
        if known is None or known[0] is not value:
            known = self._stored[key] = (value, _ray().put(value))
        return known[1]


def _knock(address: str) -> None:
    """Raise the system's error where nobody listens: Ray itself would go on asking for many minutes."""
    host, separator, port = address.rpartition("://")[2].rpartition(":")
    if separator and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


def _run_batch(work: Work, shared: Any, payloads: list[Any]) -> list[tuple[Any, str, float]]:
    return [attempt(work, shared, payload) for payload in payloads]


def _ray() -> Any:
    """Ray, which is an extra: types are checked without it."""
    return importlib.import_module("ray")
