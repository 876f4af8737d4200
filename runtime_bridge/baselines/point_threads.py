"""Models that move along their fronts by an online policy: a serving thread a model, each at its own point."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ...formulation import Plan, Problem, SolverStamp, evaluate
from ...formulation.operating_points import ModelPoints, Policy, Sight
from ..clock import now_us
from ..operating_points.feedback import MemAvailable
from ..pipeline import Pipeline
from ..records import RequestRecord
from ..sessions import SessionPool
from .server import BookedServer, Feeds

_Queued = tuple[RequestRecord, Feeds, Future[Any]]


@dataclass(frozen=True)
class PointThreads:
    """Each model has a thread that runs its present point; a policy changes points, as after every inference.

    Opening a point's sessions takes the model's own thread, so its requests wait meanwhile, as they do where every
    switch compiles the model anew; here segments that were prepared before only have to be opened, which is quicker.

    Attributes
    ----------
    models : tuple of ModelPoints
        With points that hold plans, made for a platform of one memory.
    policy : Policy
        A fresh one.
    """

    models: tuple[ModelPoints, ...]
    policy: Policy

    def open(self, problem: Problem, files: Mapping[str, Path]) -> _PointThreads:
        """Open the points that the policy begins with and start the threads."""
        return _PointThreads(self, problem, files)


class _PointThreads(BookedServer):
    def __init__(self, options: PointThreads, problem: Problem, files: Mapping[str, Path]) -> None:
        super().__init__(problem)
        self._problem, self._policy = problem, options.policy
        self._models = {model.model: model for model in options.models}
        self._memory = problem.platform.memories[0].name
        self._available = MemAvailable()
        self._pool = SessionPool(files)
        self._lock = threading.Lock()  # the policy decides for one model at a time
        self._arrivals: Counter[str] = Counter()
        self._loaded: dict[str, tuple[int, ...]] = {}
        self._loaded = dict(self._policy.start(self._sight()))
        self._inboxes: dict[str, SimpleQueue[_Queued | None]] = {}
        self._threads = []
        self.switches = 0
        for name in files:
            self._inboxes[name] = SimpleQueue()
            pipeline = self._open(name, self._loaded[name][0])
            thread = threading.Thread(target=self._serve, args=(name, pipeline), name=f"points-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def submit(self, model: str, feeds: Feeds, arrival_us: float | None = None) -> Future[Any]:
        """See `BookedServer.submit`."""
        future: Future[Any] = Future()
        self._arrivals[model] += 1
        self._inboxes[model].put((self._book.begin(model, arrival_us), feeds, future))
        return future

    def close(self) -> None:
        """See `BookedServer.close`."""
        for inbox in self._inboxes.values():
            inbox.put(None)
        for thread in self._threads:
            thread.join()

    def _sight(self) -> Sight:
        return Sight(
            at_us=now_us(),
            models=self._models,
            loaded=dict(self._loaded),
            memory_bytes={self._memory: self._available.bytes()},
            arrivals=dict(self._arrivals),
        )

    def _open(self, name: str, point: int) -> Pipeline:
        part = self._models[name].points[point].plan
        assert part is not None, "points of live models hold plans"
        model = next(model for model in self._problem.models if model.name == name)
        alone = self._problem.replace(models=(model,), streams=(), objective="latency")
        plan = Plan(models=(part,), solver=SolverStamp(method="front", status="feasible"))
        return self._pool.pipeline(model, evaluate(alone, plan).models[name].segments)

    def _serve(self, name: str, pipeline: Pipeline) -> None:
        inbox, point = self._inboxes[name], self._loaded[name][0]
        while (queued := inbox.get()) is not None:
            record, feeds, future = queued
            outputs, error, tensors = None, "", dict(feeds)
            began_us = now_us()
            try:
                pipeline.check(feeds)
                for step in range(len(pipeline.segments)):
                    pipeline.run_step(step, tensors)
                outputs = list(pipeline.outputs(tensors).values())
            except Exception as failure:  # one request's failure is written down and the next one is served
                error = str(failure) or repr(failure)
            took_us = now_us() - began_us
            self._book.end(record, future, outputs, error)
            if error:
                continue
            with self._lock:
                self._loaded.update(self._policy.served(name, point, took_us, self._sight()))
            if self._loaded[name][0] != point:
                point = self._loaded[name][0]
                self.switches += 1
                old, pipeline = pipeline, self._open(name, point)
                self._pool.release(old)
