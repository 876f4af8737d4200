"""News of a solve on their way to the store: the latest of each moment, fewer as it goes on."""

from __future__ import annotations

import time
from typing import Any

_EVERY_S = 0.2
_GROWTH = 0.005
"""Share of the time so far that lies between two news: their number grows with its logarithm only."""


class News:
    """Keeps what was told last, until it is due.

    What belongs to different parts of a job (policies, models) is kept apart, so that the last word on each is told.
    """

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._told_s = -float("inf")
        self._waiting: list[dict[str, Any]] = []

    def add(self, data: dict[str, Any]) -> None:
        """There are news; those of the same part that wait are out of date then, but for a front."""
        part = (data["policy"], data["model"])
        if self._waiting and part == (self._waiting[-1]["policy"], self._waiting[-1]["model"]):
            before = self._waiting.pop()
            if data["front"] is None and before["front"] is not None:
                data = {**data, "front": before["front"]}
        self._waiting.append(data)

    def is_due(self, now_s: float) -> bool:
        """Whether something should be told."""
        between_s = max(_EVERY_S, _GROWTH * (now_s - self._began_s))
        return bool(self._waiting) and now_s - self._told_s >= between_s

    def due(self, now_s: float) -> list[dict[str, Any]]:
        """What should be told now; it waits no more then."""
        if not self.is_due(now_s):
            return []
        self._told_s = now_s
        return self.last()

    def last(self) -> list[dict[str, Any]]:
        """All that waits."""
        waiting, self._waiting = self._waiting, []
        return waiting
