"""What decides online which points are loaded, and which of them serves a request. Clock-free, so that a simulator
and a live controller can drive it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .point import ModelPoints

Loaded = Mapping[str, tuple[int, ...]]
"""For models by name: indices of the points that are, or shall be, ready to serve. Nothing changes for other models."""


@dataclass(frozen=True)
class Sight:
    """What a policy may look at.

    Attributes
    ----------
    at_us : float
    models : mapping of str to ModelPoints
        With the rates that were stated, and the points' own figures.
    loaded : mapping of str to tuple of int
        Points that are ready to serve, or will be when what is under way has ended.
    memory_bytes : mapping of str to float
        Bytes of each memory still available beside all that is loaded; less than 0 where too much is loaded.
    arrivals : mapping of str to int
        Requests of each model so far.
    in_flight : mapping of (str, int) to int
        Requests at each loaded point that have not ended.
    foreign_cores : mapping of str to float
        Threads of others that run on processors where that can be seen.
    """

    at_us: float
    models: Mapping[str, ModelPoints]
    loaded: Loaded
    memory_bytes: Mapping[str, float]
    arrivals: Mapping[str, int] = field(default_factory=dict)
    in_flight: Mapping[tuple[str, int], int] = field(default_factory=dict)
    foreign_cores: Mapping[str, float] = field(default_factory=dict)

    def available(self, point_memories: Mapping[str, float]) -> float:
        """Bytes available in the memories that a point uses, together."""
        return sum(self.memory_bytes.get(memory, float("inf")) for memory in point_memories)


class Policy(Protocol):
    """Chooses points online."""

    @property
    def name(self) -> str:
        """For tables."""
        ...

    def start(self, sight: Sight) -> Loaded:
        """Points of every model to begin with; nothing is loaded yet."""
        ...

    def route(self, model: str, sight: Sight) -> int:
        """Which of the loaded points a request that has just come goes to."""
        ...

    def served(self, model: str, point: int, execution_us: float, sight: Sight) -> Loaded:
        """Called after each inference with its time from start to end; changes to make."""
        ...

    def look(self, sight: Sight) -> Loaded:
        """Called at regular intervals; changes to make."""
        ...
