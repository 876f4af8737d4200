"""A live runtime's new plan on trial: what to compare it with, and the plan to go back to."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from .clock import now_us
from .records import RequestRecord
from .runtime import LiveRuntime
from .trial import Prediction, Trial, TrialSettings

_KEPT_BLOCKS = 120


@dataclass(frozen=True)
class Worse:
    """A plan that did worse, the one before it, and the reason in words."""

    version: int
    before: int
    reason: str


class Probation:
    """Keeps a sample of the last requests, and tries one plan at a time (`edgeplan.runtime_bridge.trial`).

    The trial counts one request a block of time, drawn at random; so no more are kept.

    Parameters
    ----------
    runtime : LiveRuntime
    settings : TrialSettings, optional
    """

    def __init__(self, runtime: LiveRuntime, settings: TrialSettings | None = None) -> None:
        self._runtime = runtime
        self._settings = settings or TrialSettings()
        self._random = random.Random(0)
        self._recent: deque[RequestRecord] = deque(maxlen=_KEPT_BLOCKS)
        self._block, self._in_block = -1, 0
        self._trial: Trial | None = None
        self._versions = (0, 0)
        self._lock = threading.Lock()
        runtime.listeners.append(self._ended)

    def begin(self, predicted: Mapping[str, Prediction], before: int, since_us: float) -> None:
        """Try the plan that serves now against requests under the one before that ended since an instant."""
        with self._lock:
            version = self._runtime.version
            old = [r for r in list(self._recent) if r.plan_version == before and r.finish_us >= since_us]
            self._versions = before, version
            self._trial = Trial(old, predicted, plan_version=version, began_us=now_us(), settings=self._settings)

    @property
    def under_way(self) -> bool:
        """Whether a plan is on trial."""
        return self._trial is not None

    def end(self) -> None:
        """Try no more: another decision was taken."""
        with self._lock:
            self._trial = None

    def check(self) -> Worse | None:
        """Look at the plan on trial; not None where it should go."""
        with self._lock:
            verdict = self._trial.check(now_us()) if self._trial else None
            if verdict is None:
                return None
            self._trial = None
            before, version = self._versions
            return Worse(version, before, verdict.reason) if verdict.action == "roll back" else None

    def _ended(self, record: RequestRecord) -> None:
        if record.segments or record.refused:  # what did not fit its model says nothing
            with self._lock:
                block = int(record.finish_us // self._settings.block_us)
                if block != self._block:
                    self._block, self._in_block = block, 0
                    self._recent.append(record)
                self._in_block += 1
                if self._random.random() * self._in_block < 1:
                    self._recent[-1] = record
        if (trial := self._trial) is not None:
            trial.ended(record)
