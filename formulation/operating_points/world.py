"""Worlds to try policies in: how models are asked, and what others do to processors and memories meanwhile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import WorkloadError
from .point import ModelPoints
from .problem import SharedProcessor


@dataclass(frozen=True)
class Phase:
    """A stretch of time in which others behave in one way.

    Attributes
    ----------
    start_us : float
        It lasts until the next phase starts.
    memory_bytes : mapping of str to float
        What is available of each memory to all models together; a memory that is not named is unlimited.
    background_cores : mapping of str to float
        Threads of others that run on a processor all the time.
    slowdown : mapping of str to float
        Of a processor, 1 where left out.
    rate_factor : float
        On the models' rates.
    """

    start_us: float = 0.0
    memory_bytes: Mapping[str, float] = field(default_factory=dict)
    background_cores: Mapping[str, float] = field(default_factory=dict)
    slowdown: Mapping[str, float] = field(default_factory=dict)
    rate_factor: float = 1.0


@dataclass(frozen=True)
class World:
    """A device, its models and what happens to them.

    Attributes
    ----------
    models : tuple of ModelPoints
        Requests of each come at random (Poisson).
    processors : tuple of SharedProcessor
        Cores only; background and slowdown are the phases'.
    phases : tuple of Phase
        Ascending, the first at 0.
    duration_us : float
    interval_us : float
        Between two looks of a policy.
    reload_bytes_per_us : float
        How fast a point's bytes are read when it is loaded.
    paging_bytes_per_us : float
        How fast storage gives back what does not fit: while more is loaded than is available, a request reads the share
        of its own point that is out. ∞: to load too much costs no time.
    max_in_flight : int
        Requests of a model that are not finished; further ones are refused, and count as missed.
    time_scv : float
        Squared coefficient of variation of a request's time on processors (lognormal).
    foreign_seen : tuple of str
        Processors on which policies can see what others run.

    Raises
    ------
    WorkloadError
        Phases out of order or not from 0, or settings that are not positive.
    """

    models: tuple[ModelPoints, ...]
    processors: tuple[SharedProcessor, ...]
    phases: tuple[Phase, ...]
    duration_us: float
    interval_us: float = 250e3
    reload_bytes_per_us: float = math.inf
    paging_bytes_per_us: float = math.inf
    max_in_flight: int = 16
    time_scv: float = 0.01
    foreign_seen: tuple[str, ...] = ("cpu",)

    def __post_init__(self) -> None:
        starts = [phase.start_us for phase in self.phases]
        if not starts or starts[0] != 0 or starts != sorted(starts):
            raise WorkloadError(
                "phases", expected="the first at 0 and each later than the one before", got=f"{starts}", remedy="Sort."
            )
        if not (self.duration_us > 0 and self.interval_us > 0 and self.max_in_flight > 0 and self.time_scv >= 0):
            raise WorkloadError(
                "world",
                expected="a duration, an interval and a number of requests in flight above 0, a variation of 0 or more",
                got=f"{self.duration_us:g} µs, {self.interval_us:g} µs, {self.max_in_flight}, {self.time_scv:g}",
                remedy="Correct these settings.",
            )
