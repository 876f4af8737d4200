"""Open sessions, shared by the plans that use the same segment in the same way and closed when the last one lets go."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ..formulation import (
    Configuration,
    Evaluation,
    Model,
    Order,
    Plan,
    PlanError,
    PlannedSegment,
    Problem,
    ScoredSegment,
    capped,
    evaluate,
)
from ..profiles import Backend, SegmentStore, Session, open_backend
from .footprint import release_free_memory
from .pipeline import Pipeline

_Key = tuple[str, int, int, Configuration, tuple[int, ...]]


@dataclass
class _Entry:
    session: Session
    users: int = 0


@dataclass
class SessionPool:
    """Opens a session a segment, once for all plans that need it.

    Opening takes up to seconds; nobody who lets go of a session, as workers do, waits for that.

    Parameters
    ----------
    files : mapping of str to Path
        ONNX file of each model.
    """

    files: Mapping[str, Path]
    _stores: dict[str, SegmentStore] = field(default_factory=dict)
    _backends: dict[str, Backend] = field(default_factory=dict)
    _open: dict[_Key, _Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def pipeline(
        self, model: Model, segments: tuple[ScoredSegment, ...], order: Order = "earliest_deadline"
    ) -> Pipeline:
        """Open what a model's plan needs.

        Raises
        ------
        EdgePlanError
            A backend does not load or refuses a segment; what was opened for this pipeline is closed again.
        """
        opened: list[_Key] = []
        sessions: list[tuple[Session, ...]] = []
        try:
            for segment in segments:
                ways = []
                for key in _keys(model.name, segment.planned):
                    ways.append(self._acquire(model, key))
                    opened.append(key)
                sessions.append(tuple(ways))
        except BaseException:
            for key in opened:
                self._release(key)
            raise
        return Pipeline(model.name, model.graph, segments, tuple(sessions), order)

    def release(self, pipeline: Pipeline) -> None:
        """Let a pipeline's sessions go."""
        for segment in pipeline.segments:
            for key in _keys(pipeline.model, segment.planned):
                self._release(key)

    def _acquire(self, model: Model, key: _Key) -> Session:
        _, start, stop, configuration, cores = key
        with self._opening:
            with self._lock:
                if entry := self._open.get(key):
                    entry.users += 1
                    return entry.session
            if model.name not in self._stores:
                self._stores[model.name] = SegmentStore(self.files[model.name], model.graph)
            backend = configuration.backend
            if backend not in self._backends:
                self._backends[backend] = open_backend(backend)
            files = self._stores[model.name].segment(start, stop, configuration.batch)
            session = self._backends[backend].open(files, configuration, cores)
            with self._lock:
                self._open[key] = _Entry(session, users=1)
            release_free_memory()  # opening leaves more behind than serving needs, and the next one adds to it
            return session

    def _release(self, key: _Key) -> None:
        with self._lock:
            entry = self._open[key]
            entry.users -= 1
            if entry.users == 0:
                del self._open[key]
                entry.session.close()


def _keys(model: str, planned: PlannedSegment) -> list[_Key]:
    """What a segment opens: its own way of running first, then its gangs."""
    return [
        # One thread runs on whichever worker calls it, so its session serves any cores.
        (model, planned.start, planned.stop, way.configuration, way.cores if way.configuration.threads > 1 else ())
        for way in (planned, *planned.gangs)
    ]


def prepare_segments(problem: Problem, evaluation: Evaluation, files: Mapping[str, Path]) -> None:
    """Open a plan's sessions once and close them: the cache then has all that opening them again needs."""
    pool = SessionPool(files)
    for model in problem.models:
        pool.release(pool.pipeline(model, evaluation.models[model.name].segments))


def prepare_plan(problem: Problem, plan: Plan, files: Mapping[str, Path]) -> None:
    """Prepare a plan's segments in a process that ends afterwards.

    Optimising and compiling takes several times the memory that serving does; a process that serves should not keep the
    mark of it.

    Raises
    ------
    EdgePlanError
        The plan does not fit, or a backend refuses a segment.
    """
    evaluation = evaluate(problem, plan)
    if not evaluation.models:
        raise PlanError(
            "plan", expected="segments that can run", got=capped(evaluation.violations), remedy="Plan again."
        )
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        process.submit(prepare_segments, problem, evaluation, dict(files)).result()
