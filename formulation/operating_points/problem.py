"""The choice of an operating point for each of several models that share a device, validated as a whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from ..errors import PlatformError, WorkloadError, capped
from .point import ModelPoints
from .tables import PointTables

PointsObjective = Literal["response", "misses"]
"""What to minimise: the mean response, or the share of requests that miss their deadline, both weighted."""


@dataclass(frozen=True)
class SharedProcessor:
    """A processor that the models share.

    Attributes
    ----------
    name : str
    cores : int
    background_cores : float
        Threads of others that run there all the time; they get the same share of a core as ours.
    slowdown : float
        How much longer everything takes than was measured, for instance by thermal throttling; above 0.
    """

    name: str
    cores: int = 1
    background_cores: float = 0.0
    slowdown: float = 1.0

    def cores_left(self, cores: int) -> float:
        """Cores' worth that requests of a width get beside the background when there are always some.

        What the background leaves idle, or a fair share by threads where that is more.
        """
        return max(self.cores - self.background_cores, self.cores * cores / (cores + self.background_cores))

    def stretch(self, cores: int) -> float:
        """Time of a request that holds so many cores, alone beside the background, over that on an idle device."""
        return self.slowdown * max(1.0, (cores + self.background_cores) / self.cores)


@dataclass(frozen=True, eq=False)
class OperatingPointProblem:
    """Which point of its front each model runs at.

    Attributes
    ----------
    models : tuple of ModelPoints
    processors : tuple of SharedProcessor
    memory_limit_bytes : mapping of str to float
        What all models together may take of each memory; a memory that is not named here has no limit.
    objective : {'response', 'misses'}
    max_utilisation : float
        Largest share of each processor's time that requests may ask for of what background leaves, in (0, 1).
    reload_bytes_per_us : float
        How fast a point's bytes are read when it is made ready.
    horizon_us : float
        For so long a choice is taken to serve: what a switch costs is spread over it.

    Raises
    ------
    WorkloadError
        No models, a name twice, a horizon that is not positive, or misses asked for without any deadline.
    PlatformError
        Processors that are missing, named twice or too small for a point; limits that are not positive.
    """

    models: tuple[ModelPoints, ...]
    processors: tuple[SharedProcessor, ...]
    memory_limit_bytes: Mapping[str, float] = field(default_factory=dict)
    objective: PointsObjective = "response"
    max_utilisation: float = 0.95
    reload_bytes_per_us: float = math.inf
    horizon_us: float = 30e6

    def __post_init__(self) -> None:
        names = [model.model for model in self.models]
        if not names or len(set(names)) < len(names):
            raise WorkloadError(
                "models",
                expected="at least one, each once",
                got=capped(names) or "none",
                remedy="Name each model once.",
            )
        if not (self.horizon_us > 0 and self.reload_bytes_per_us > 0 and 0 < self.max_utilisation < 1):
            raise WorkloadError(
                "operating-point problem",
                expected="a horizon and a bandwidth above 0, and a utilisation limit between 0 and 1",
                got=f"{self.horizon_us:g} µs, {self.reload_bytes_per_us:g} bytes/µs, {self.max_utilisation:g}",
                remedy="Correct these settings.",
            )
        if self.objective == "misses" and all(model.deadline_us is None for model in self.models):
            raise WorkloadError(
                "objective 'misses'",
                expected="a deadline of at least one model",
                got="none",
                remedy="Minimise the response, or state deadlines.",
            )
        self._check_processors()
        for memory, limit in self.memory_limit_bytes.items():
            if not limit > 0:
                raise PlatformError(
                    f"limit on memory {memory!r}", expected="more than 0 bytes", got=f"{limit:g}", remedy="Correct it."
                )

    def _check_processors(self) -> None:
        names = [processor.name for processor in self.processors]
        if len(set(names)) < len(names) or any(
            p.cores < 1 or not (math.isfinite(p.background_cores) and p.background_cores >= 0 and p.slowdown > 0)
            for p in self.processors
        ):
            raise PlatformError(
                "processors",
                expected="each once, with one core or more, a background of 0 or more and a slowdown above 0",
                got=capped(f"{p.name} ({p.cores} cores, background {p.background_cores:g})" for p in self.processors),
                remedy="Correct the processors.",
            )
        cores = {processor.name: processor.cores for processor in self.processors}
        for model in self.models:
            for point in model.points:
                for use in point.uses:
                    if use.cores > cores.get(use.processor, 0):
                        raise PlatformError(
                            f"operating point {point.name!r} of model {model.model!r}",
                            expected=f"processors and cores among {capped(f'{n}: {c}' for n, c in cores.items())}",
                            got=f"{use.processor}: {use.cores}",
                            remedy="Leave this point out, or add the processor.",
                        )

    @cached_property
    def tables(self) -> PointTables:
        """Everything that the evaluator and the solvers need, as arrays."""
        return PointTables.of(self)

    @property
    def n_choices(self) -> float:
        """Number of combinations."""
        return math.prod(float(len(model.points)) for model in self.models)

    def choice(self, names: Mapping[str, str]) -> tuple[int, ...]:
        """Indices of points given by name."""
        return tuple([p.name for p in model.points].index(names[model.model]) for model in self.models)

    def replace(self, **changes: Any) -> OperatingPointProblem:
        """Copy with some parts exchanged, validated again."""
        return replace(self, **changes)

    def with_current(self, choice: Sequence[int]) -> OperatingPointProblem:
        """Copy in which these points are in force."""
        models = zip(self.models, choice, strict=True)
        return self.replace(models=tuple(replace(model, current=int(k)) for model, k in models))
