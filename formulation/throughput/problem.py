"""The problem of serving several models with batches and concurrent instances, validated as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contention import ContentionModel
from ..costs import Configuration
from ..errors import CostError, PlatformError, WorkloadError, capped
from ..platform import Platform
from ..problem import Limits, Model
from ..workload import Stream
from .settings import ServiceSettings


@dataclass(frozen=True, eq=False)
class ThroughputProblem:
    """Batch size, window and instances of each model on a platform. Immutable; make variants with `replace`.

    Attributes
    ----------
    models : tuple of Model
        Their cost tables hold configurations by processor, threads and batch.
    platform : Platform
        A cluster of accelerators is several processors, each with a memory of its own.
    streams : tuple of Stream
        One a model: its share of the mix (rate), its weight, its deadline and percentile. Arrivals count as random.
    limits : Limits
        Of memory, utilisation and threads.
    service : ServiceSettings
    contention : ContentionModel
        Slowdown of what runs at once on one processor; none where left out.

    Raises
    ------
    CostError, PlatformError, WorkloadError
        Parts that do not fit together.
    """

    models: tuple[Model, ...]
    platform: Platform
    streams: tuple[Stream, ...]
    limits: Limits = field(default_factory=Limits)
    service: ServiceSettings = field(default_factory=ServiceSettings)
    contention: ContentionModel = field(default_factory=ContentionModel)

    def __post_init__(self) -> None:
        names = [model.name for model in self.models]
        if not names or len(set(names)) < len(names):
            raise WorkloadError(
                "models", expected="at least one, each once", got=capped(names) or "none", remedy="Name each once."
            )
        streamed = [stream.model for stream in self.streams]
        if sorted(streamed) != sorted(names):
            raise WorkloadError(
                "streams",
                expected=f"one for each of the models {capped(names)}",
                got=capped(streamed) or "none",
                remedy="Say how often each model is asked, relative to the others.",
            )
        for stream in self.streams:
            if stream.percentile == 1.0 and stream.arrival.kind == "poisson" and stream.deadline_us is not None:
                raise WorkloadError(
                    f"percentile of stream {stream.model!r}",
                    expected="below 1, for random arrivals",
                    got="1, which no plan can hold: any queue may grow for a while",
                    remedy="Ask for instance for 0.99.",
                )
        self._check_names(names)
        for i, model in enumerate(self.models):
            self._check_batches(i)
            usable = self.usable[i]
            if not len(usable) or np.any(np.all(np.isnan(model.costs.layer_us[:, usable]), axis=1)):
                raise CostError(
                    f"costs of model {model.name!r}",
                    expected="every layer to have a cost under a configuration that this platform and these batch "
                    "sizes allow",
                    got=f"configurations {capped(c.name for c in model.costs.configurations)}",
                    remedy="Profile the model on this platform, at these batch sizes.",
                )

    def _check_names(self, names: list[str]) -> None:
        for label in ("min_rate_hz", "batches", "fixed_batch", "max_instances"):
            _refuse_unknown(f"service.{label}", getattr(self.service, label), names, "models", WorkloadError)
        processors = [p.name for p in self.platform.processors]
        for label in ("processor_price", "core_price"):
            _refuse_unknown(f"service.{label}", getattr(self.service, label), processors, "processors", PlatformError)
        memories = [m.name for m in self.platform.memories]
        _refuse_unknown("limits.memory_bytes", self.limits.memory_bytes, memories, "memories", PlatformError)
        cores = sum(len(p.cores) for p in self.platform.processors)
        for name, most in self.service.max_instances.items():
            if most > cores:
                raise PlatformError(
                    f"instances of model {name!r}",
                    expected=f"at most {cores}, one a core of the platform's processors",
                    got=f"{most}",
                    remedy="Ask for fewer instances, or leave their number to the planner.",
                )

    def _check_batches(self, i: int) -> None:
        model, name = self.models[i], self.models[i].name
        held = sorted({c.batch for c in model.costs.configurations})
        fixed = self.service.fixed_batch.get(name)
        wanted = self.service.batches.get(name, ())
        if fixed is not None and any(b != fixed for b in wanted):
            raise CostError(
                f"batch sizes of model {name!r}",
                expected=f"{fixed}, the fixed batch dimension of its graph",
                got=capped(b for b in wanted if b != fixed),
                remedy="Use that size, or export the model with a free batch dimension.",
            )
        missing = [b for b in wanted if b not in held]
        if missing or (fixed is not None and fixed not in held):
            raise CostError(
                f"batch sizes of model {name!r}",
                expected=f"sizes that its costs hold: {capped(held)}",
                got=capped(missing or [fixed]),
                remedy="Profile the model at these sizes; its graph must take them.",
            )

    def replace(self, **changes: Any) -> ThroughputProblem:
        """Copy with some parts exchanged, validated again."""
        return replace(self, **changes)

    @cached_property
    def stream_of(self) -> tuple[Stream, ...]:
        """Streams in the order of the models."""
        by_name = {stream.model: stream for stream in self.streams}
        return tuple(by_name[model.name] for model in self.models)

    @cached_property
    def mix_hz(self) -> NDArray[np.float64]:
        """Requests a second of each model's stream, shape (models,)."""
        return np.array([stream.rate_hz for stream in self.stream_of])

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        """Weight of each model's stream, shape (models,)."""
        return np.array([stream.weight for stream in self.stream_of])

    @cached_property
    def min_rate_hz(self) -> NDArray[np.float64]:
        """Least requests a second of each model, shape (models,); for objective ``cost`` the streams' rates."""
        least = np.array([self.service.min_rate_hz.get(model.name, 0.0) for model in self.models])
        return np.maximum(least, self.mix_hz) if self.service.objective == "cost" else least

    @cached_property
    def deadline_us(self) -> NDArray[np.float64]:
        """Deadline of each model, shape (models,); ∞ where there is none."""
        return np.array([np.inf if s.deadline_us is None else s.deadline_us for s in self.stream_of])

    @cached_property
    def level(self) -> NDArray[np.float64]:
        """Share of each model's requests that must keep the deadline, shape (models,), below 1."""
        return np.array(
            [self.service.hard_level if s.is_hard else (s.percentile or 0.95) for s in self.stream_of], dtype=np.float64
        )

    @cached_property
    def usable(self) -> tuple[NDArray[np.int64], ...]:
        """By model: indices of the configurations that platform, limits and batch sizes allow."""
        most = self.limits.max_threads or max(len(p.cores) for p in self.platform.processors)
        cores = {p.name: len(p.cores) for p in self.platform.processors}

        def allowed(name: str, c: Configuration) -> bool:
            fixed = self.service.fixed_batch.get(name)
            wanted = (fixed,) if fixed is not None else self.service.batches.get(name)
            return c.threads <= min(most, cores.get(c.processor, 0)) and (wanted is None or c.batch in wanted)

        return tuple(
            np.array([k for k, c in enumerate(m.costs.configurations) if allowed(m.name, c)], dtype=np.int64)
            for m in self.models
        )

    @cached_property
    def memory_limit(self) -> dict[str, int]:
        """Bytes that all instances may use of each memory."""
        return {
            m.name: min(int(m.capacity_bytes), int(self.limits.memory_bytes.get(m.name, m.capacity_bytes)))
            for m in self.platform.memories
        }

    @cached_property
    def model_index(self) -> dict[str, int]:
        """Position of each model."""
        return {model.name: i for i, model in enumerate(self.models)}


def _refuse_unknown(
    subject: str, given: Iterable[str], known: list[str], kind: str, error: type[PlatformError] | type[WorkloadError]
) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise error(subject, expected=f"{kind} named {capped(known)}", got=capped(unknown), remedy="Correct the names.")
