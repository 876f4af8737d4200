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
    Gang,
    Model,
    Order,
    Plan,
    PlanError,
    PlannedSegment,
    Problem,
    ScoredSegment,
    StalePlanError,
    capped,
    evaluate,
)
from ..profiles import Backend, SegmentStore, Session, open_backend
from .footprint import release_free_memory
from .pipeline import Pipeline

_Key = tuple[str, str, int, int, Configuration, tuple[int, ...]]


@dataclass(eq=False)
class _Entry:
    key: _Key
    session: Session
    users: int = 0
    abandoned: bool = False


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
    _held: dict[int, list[_Entry]] = field(default_factory=dict)  # by id of the pipeline
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def pipeline(
        self, model: Model, segments: tuple[ScoredSegment, ...], order: Order = "earliest_deadline"
    ) -> Pipeline:
        """Open what a model's plan needs.

        Raises
        ------
        EdgePlanError
            A backend does not load or refuses a segment, or the model's file is not the one that was planned for; what
            was opened for this pipeline is closed again.
        """
        entries: list[_Entry] = []
        sessions: list[tuple[Session, ...]] = []
        try:
            for segment in segments:
                ways = [self._acquire(model, key, entries) for key in _keys(model, segment.planned)]
                sessions.append(tuple(ways))
        except BaseException:
            self._let_go(entries)
            raise
        pipeline = Pipeline(model.name, model.graph, segments, tuple(sessions), order)
        with self._lock:
            self._held[id(pipeline)] = entries
        return pipeline

    def release(self, pipeline: Pipeline) -> None:
        """Let a pipeline's sessions go."""
        with self._lock:
            entries = self._held.pop(id(pipeline))
        self._let_go(entries)

    def forget(self, model: str, *, abandon: bool = False) -> None:
        """Give no open session of a model to later pipelines, and look at its file anew.

        With `abandon` its sessions are not closed either, when those who have them let go: one hangs in a call.
        """
        with self._opening, self._lock:
            self._stores.pop(model, None)
            for key in [key for key in self._open if key[0] == model]:
                self._open.pop(key).abandoned = abandon

    def _acquire(self, model: Model, key: _Key, entries: list[_Entry]) -> Session:
        _, _, start, stop, configuration, cores = key
        with self._opening:
            with self._lock:
                if entry := self._open.get(key):
                    entry.users += 1
                    entries.append(entry)
                    return entry.session
            store = self._store(model)
            backend = configuration.backend
            if backend not in self._backends:
                self._backends[backend] = open_backend(backend)
            files = store.segment(start, stop, configuration.batch)
            entry = _Entry(key, self._backends[backend].open(files, configuration, cores), users=1)
            with self._lock:
                self._open[key] = entry
            entries.append(entry)
            release_free_memory()  # opening leaves more behind than serving needs, and the next one adds to it
            return entry.session

    def _store(self, model: Model) -> SegmentStore:
        store = self._stores.get(model.name)
        if store is None or store.sha256 != model.sha256:
            store = SegmentStore(self.files[model.name], model.graph)
        if store.sha256 != model.sha256:
            raise StalePlanError(
                f"model {model.name!r}",
                expected=f"the file that was planned for (SHA-256 {model.sha256[:12]}…)",
                got=f"one with {store.sha256[:12]}…",
                remedy="Put the file back, or profile the new one and plan again.",
            )
        self._stores[model.name] = store
        return store

    def _let_go(self, entries: list[_Entry]) -> None:
        with self._lock:
            for entry in entries:
                entry.users -= 1
                if entry.users == 0:
                    if self._open.get(entry.key) is entry:
                        del self._open[entry.key]
                    if not entry.abandoned:
                        entry.session.close()


def _keys(model: Model, planned: PlannedSegment) -> list[_Key]:
    """What a segment opens: its own way of running first, then its gangs."""
    return [
        (model.name, model.sha256, planned.start, planned.stop, way.configuration, _bound_to(way))
        for way in (planned, *planned.gangs)
    ]


def _bound_to(way: PlannedSegment | Gang) -> tuple[int, ...]:
    """Cores that a session is for: one thread runs on whichever worker calls it, so its session serves any."""
    return way.cores if way.configuration.threads > 1 else ()


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
