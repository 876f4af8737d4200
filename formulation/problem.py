"""A planning problem: models with costs, a platform, streams, limits and an objective, validated as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from .costs import CostTable
from .cuts import CutChain, cut_chain
from .errors import CostError, PlatformError, WorkloadError, capped
from .graph import LayerGraph
from .platform import Platform
from .validation import SizeInBytes
from .workload import Stream

Objective = Literal["latency", "response", "front"]
"""What to minimise: ``latency``, the weighted sum of each model's time on an idle device; ``response``, the weighted
sum of each stream's response at the critical instant; ``front``, one model's latency and memory together."""


class Limits(BaseModel):
    """What a plan must keep to, besides deadlines.

    Attributes
    ----------
    memory_bytes : dict
        Bytes that all models together may use of a memory, where less than its capacity.
    max_utilisation : float
        Largest share of each core's time that the streams may ask for on average.
    core_sets : {'any', 'all'}
        Which cores a segment may be given: any set of its processor's, or only all of them.
    max_threads : int, optional
        Most threads of a segment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory_bytes: dict[str, SizeInBytes] = Field(default_factory=dict)
    max_utilisation: FiniteFloat = Field(default=0.9, gt=0, le=1)
    core_sets: Literal["any", "all"] = "any"
    max_threads: int | None = Field(default=None, ge=1)


@dataclass(frozen=True, eq=False)
class Model:
    """A model to plan: its graph, its costs, the cuts on offer and the digest of the file they come from.

    Attributes
    ----------
    name : str
    graph : LayerGraph
    costs : CostTable
    sha256 : str
        Of the model file; of the graph where there is no file.
    cuts : CutChain
        Where the model may be cut; by default wherever a single tensor crosses.

    Raises
    ------
    CostError
        The cost table has another number of layers than the graph.
    """

    name: str
    graph: LayerGraph
    costs: CostTable
    sha256: str = ""
    # None only until __post_init__ derives it from the graph, which a field's default cannot see. `CutChain | None`
    # would make every reader of a finished model test for a None that cannot be there.
    cuts: CutChain = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.costs.n_layers != self.graph.n_layers:
            raise CostError(
                f"costs of model {self.name!r}",
                expected=f"one row for each of its {self.graph.n_layers} layers",
                got=f"{self.costs.n_layers} rows",
                remedy="Profile this model again; a profile of another model does not fit.",
            )
        if self.cuts is None:
            object.__setattr__(self, "cuts", cut_chain(self.graph))
        if not self.sha256:
            object.__setattr__(self, "sha256", self.graph.sha256)


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything a solver may know. Immutable; make variants with `replace`.

    Attributes
    ----------
    models : tuple of Model
    platform : Platform
    streams : tuple of Stream
        At most one a model; objectives other than ``response`` need none.
    limits : Limits
    objective : Objective

    Raises
    ------
    CostError, PlatformError, WorkloadError
        Parts that do not fit together.
    """

    models: tuple[Model, ...]
    platform: Platform
    streams: tuple[Stream, ...] = ()
    limits: Limits = field(default_factory=Limits)
    objective: Objective = "response"

    def __post_init__(self) -> None:
        names = [model.name for model in self.models]
        if not names or len(set(names)) < len(names):
            raise WorkloadError(
                "models",
                expected="at least one, each once",
                got=capped(names) or "none",
                remedy="Name each model once.",
            )
        self._check_streams(names)
        unknown = sorted(set(self.limits.memory_bytes) - {m.name for m in self.platform.memories})
        if unknown:
            raise PlatformError(
                "limits on memory",
                expected=f"memories named {capped(m.name for m in self.platform.memories)}",
                got=capped(unknown),
                remedy="Correct the names under limits.memory_bytes.",
            )
        for model in self.models:
            costs = model.costs.layer_us[:, self.usable[model.name]]
            if np.any(np.all(np.isnan(costs), axis=1)):
                raise CostError(
                    f"costs of model {model.name!r}",
                    expected="every layer to have a cost under a configuration that this platform can run",
                    got=f"configurations {capped(c.name for c in model.costs.configurations)} "
                    f"for processors {capped(p.name for p in self.platform.processors)}",
                    remedy="Profile the model on this platform.",
                )

    def _check_streams(self, names: list[str]) -> None:
        streamed = [stream.model for stream in self.streams]
        unknown = sorted(set(streamed) - set(names))
        if unknown or len(set(streamed)) < len(streamed):
            raise WorkloadError(
                "streams",
                expected=f"at most one stream for each of the models {capped(names)}",
                got=capped(unknown or streamed),
                remedy="Correct the model names; merge streams for one model.",
            )
        if self.objective == "response" and set(streamed) != set(names):
            raise WorkloadError(
                "streams",
                expected="one for every model, to minimise response",
                got=f"none for {capped(sorted(set(names) - set(streamed)))}",
                remedy="Say how often each model is asked.",
            )
        if self.objective == "front" and len(names) != 1:
            raise WorkloadError("front", expected="one model", got=capped(names), remedy="Ask for one front a model.")

    def replace(self, **changes: Any) -> Problem:
        """Copy with some parts exchanged, validated again."""
        return replace(self, **changes)

    @cached_property
    def usable(self) -> dict[str, NDArray[np.int64]]:
        """For each model the indices of the configurations that this platform can run and the limits allow.

        A request is one sample, so configurations of larger batches are left out.
        """
        processors = self.platform.processor_by_name
        most_threads = self.limits.max_threads or max(len(p.cores) for p in self.platform.processors)
        # A gang is bound to as many cores as it has threads, so where it must have all cores it needs as many threads.
        everywhere = self.limits.core_sets == "all"
        return {
            model.name: np.array(
                [
                    k
                    for k, c in enumerate(model.costs.configurations)
                    if c.processor in processors
                    and c.threads <= min(most_threads, len(processors[c.processor].cores))
                    and (not everywhere or c.threads in (1, len(processors[c.processor].cores)))
                    and c.batch == 1
                ],
                dtype=np.int64,
            )
            for model in self.models
        }

    @cached_property
    def stream_of(self) -> dict[str, Stream]:
        """Streams by model."""
        return {stream.model: stream for stream in self.streams}

    @cached_property
    def memory_limit(self) -> dict[str, int]:
        """Bytes that the models may use of each memory."""
        return {
            m.name: min(int(m.capacity_bytes), int(self.limits.memory_bytes.get(m.name, m.capacity_bytes)))
            for m in self.platform.memories
        }
