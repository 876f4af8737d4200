"""Decisions about operating points, and the journal they are written to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat

from ...formulation.files import readable
from ..tenancy.journal import JournalError


class PointsDecision(BaseModel):
    """A decision with its reason.

    Attributes
    ----------
    at_us : float
    action : {'switch', 'keep'}
    cause : {'start', 'memory', 'latency', 'rate', 'background', 'gain'}
        What led to it: too little memory, or a processor's slowdown, a rate or foreign threads that changed, or nothing
        but a choice that is now seen to be better.
    points : mapping of str to str
        Name of each model's point afterwards.
    predicted, predicted_before : float or None
        Objective of these points, switching included, and of those before; None where queues would grow for ever or a
        limit would break.
    gain : float or None
        Relative.
    switch_us : float
        Longest time to make a new point ready.
    reason : str
        One sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_us: FiniteFloat
    action: Literal["switch", "keep"]
    cause: Literal["start", "memory", "latency", "rate", "background", "gain"]
    points: Mapping[str, str]
    predicted: FiniteFloat | None
    predicted_before: FiniteFloat | None
    gain: FiniteFloat | None
    switch_us: FiniteFloat
    reason: str


class DecisionJournal:
    """JSON lines, one a decision, written as they are taken; kept in memory too.

    Parameters
    ----------
    path : str or Path, optional
        Without one they are only kept.

    Raises
    ------
    JournalError
        It cannot be written there.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.decisions: list[PointsDecision] = []
        self._path = None if path is None else Path(path)
        if self._path is not None:
            with readable(f"journal {path}", JournalError, "Choose a place that can be written to."):
                self._path.write_text("", encoding="utf-8")

    def note(self, decision: PointsDecision) -> None:
        """Write a decision."""
        self.decisions.append(decision)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(decision.model_dump_json() + "\n")
