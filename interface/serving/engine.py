"""What a server serves: a live runtime by a plan, its controller, and what both did."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...formulation import Plan, Problem
from ...profiles import sample_inputs
from ...runtime_bridge import Controller, Decision, LiveRuntime, RequestRecord
from .. import logs
from .inference import ServedModel, TensorForm
from .metrics import LiveMetrics
from .statistics import Statistics

PLATFORM = "edgeplan_onnx"
DRAIN_TIMEOUT_S = 30.0
_KEPT_DECISIONS = 1000
_KEPT_RECORDS = 5000


@dataclass(frozen=True)
class EngineSettings:
    """How an engine serves.

    Attributes
    ----------
    max_in_flight : int
        Requests taken and not ended; more are refused.
    admission : bool
        Whether a request is refused that cannot be in time.
    adapt : bool
        Whether the controller re-plans.
    seed : int
    """

    max_in_flight: int = 256
    admission: bool = True
    adapt: bool = True
    seed: int = 0


class Engine:
    """Serves a problem's models. Use it as a context manager.

    Parameters
    ----------
    problem : Problem
    plan : Plan
    files : mapping of str to Path
    settings : EngineSettings, optional
    on_record : callable, optional
        Takes the record of every request as it ends; must be quick.
    """

    def __init__(
        self,
        problem: Problem,
        plan: Plan,
        files: Mapping[str, Path],
        settings: EngineSettings | None = None,
        on_record: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        self.settings = settings or EngineSettings()
        self.statistics = Statistics(model.name for model in problem.models)
        self.decisions: deque[Decision] = deque(maxlen=_KEPT_DECISIONS)
        self.records: deque[RequestRecord] = deque(maxlen=_KEPT_RECORDS)
        self._on_record = on_record
        self.runtime = LiveRuntime(
            problem,
            plan,
            files,
            self.settings.max_in_flight,
            admission=self.settings.admission,
            on_record=self._ended,
        )
        self.statistics.compare_with(self.runtime.history)
        self.statistics.registry.register(LiveMetrics(self))
        self._serving = False
        try:
            self.models = {model.name: self._described(model.name, files[model.name]) for model in problem.models}
        except BaseException:
            self.runtime.close()
            raise
        self._controller = Controller(self.runtime, problem, seed=self.settings.seed, on_decision=self._decided)
        if self.settings.adapt:
            self._controller.__enter__()
        self._serving = True

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return self._serving

    def submit(
        self, model: str, feeds: Mapping[str, np.ndarray], deadline_us: float | None = None, label: str = ""
    ) -> Future[dict[str, np.ndarray]]:
        """Ask a model; see `LiveRuntime.submit`."""
        return self.runtime.submit(model, feeds, deadline_us=deadline_us, label=label)

    def close(self) -> bool:
        """Refuse further requests, end those in flight. Returns whether all of them ended in time."""
        self._serving = False
        self._controller.close()
        return self.runtime.close(DRAIN_TIMEOUT_S)

    def _described(self, name: str, path: Path) -> ServedModel:
        """Ask the model once, which also warms it up, and look at what comes."""
        feeds = sample_inputs(path)
        # It has all the time it needs: nothing of the first run says what later ones take.
        outputs = self.runtime.submit(name, feeds, deadline_us=float("inf")).result()
        return ServedModel(name, "1", PLATFORM, _forms(feeds), _forms(outputs))

    def _decided(self, decision: Decision) -> None:
        self.decisions.append(decision)
        self.statistics.decided(decision)
        logs.decided(decision)

    def _ended(self, record: RequestRecord) -> None:
        if self._serving:
            self.statistics.ended(record, time.time_ns() // 1_000_000)
            self.records.append(record)
            if self._on_record is not None:
                self._on_record(record)


def _forms(tensors: Mapping[str, Any]) -> tuple[TensorForm, ...]:
    return tuple(TensorForm(name, np.asarray(a).dtype, np.asarray(a).shape) for name, a in tensors.items())
