"""An accelerator with little memory: what stays in it between requests, and what bringing weights in costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from ..validation import SizeInBytes


class TokenResidency(BaseModel):
    """All or nothing: separately compiled models evict each other, even where both would fit.

    The accelerator holds the weights of one model. A request of any other model clears them and reloads its own in
    full. Time alone evicts nothing. This is how the Edge TPU's driver treats models without a common caching token.

    Attributes
    ----------
    kind : 'token'
        Tells this policy from the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["token"] = "token"


class CoCompiledResidency(BaseModel):
    """Models compiled together share the memory, split among them in the order in which they are listed.

    An allocation lists one or more sets. Within a set the first model gets what it can use, the next what is left, and
    so on; what a model does not get is streamed with every request. Sets evict each other as single models do under
    `TokenResidency`; the models of a set that comes back are reloaded one by one, each with its first request.

    Attributes
    ----------
    kind : 'co_compiled'
        Tells this policy from the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["co_compiled"] = "co_compiled"


class LruResidency(BaseModel):
    """Whole segments stay while there is room; those used longest ago leave first.

    Each tenant's part on the accelerator is one segment. A request of a segment that is not there evicts the least
    recently used ones until it fits, and loads it in full. A segment larger than the memory evicts all others, keeps
    what fits and streams the rest.

    Attributes
    ----------
    kind : 'lru'
        Tells this policy from the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lru"] = "lru"


Residency = Annotated[TokenResidency | CoCompiledResidency | LruResidency, Field(discriminator="kind")]


class Accelerator(BaseModel):
    """A processor that serves one request at a time, first come first served, with a memory for weights of its own.

    Attributes
    ----------
    name : str
        For people; names the processor in output.
    weight_capacity_bytes : int
        What weights may take of its memory. Text with a unit is read too, for instance ``"6.9 MiB"``.
    residency : TokenResidency, CoCompiledResidency or LruResidency
        What stays in its memory between requests.
    reload_fixed_us : float
        Microseconds to bring in a tenant's resident weights when they are not there, before its request can start,
        whatever their size. A tenant may have measured times instead.
    reload_us_per_byte : float
        The same for each byte of them.
    streaming_fixed_us : float
        Microseconds that a request takes longer where some of its weights do not fit and are streamed from the host
        with every request, however many. A tenant may have measured times instead.
    streaming_us_per_byte : float, optional
        The same for each byte that is streamed. None: the device cannot stream, and a prefix that does not fit cannot
        run.
    handover_fixed_us : float
        Microseconds between the accelerator's end and the CPU's start where the CPU runs the rest of a model, whatever
        is handed over. They occupy neither.
    handover_us_per_byte : float
        The same for each byte that is handed over.
    source : str
        Where these figures come from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    weight_capacity_bytes: SizeInBytes = Field(gt=0)
    residency: Residency = TokenResidency()
    reload_fixed_us: FiniteFloat = Field(default=0.0, ge=0)
    reload_us_per_byte: FiniteFloat = Field(default=0.0, ge=0)
    streaming_fixed_us: FiniteFloat = Field(default=0.0, ge=0)
    streaming_us_per_byte: FiniteFloat | None = Field(default=None, ge=0)
    handover_fixed_us: FiniteFloat = Field(default=0.0, ge=0)
    handover_us_per_byte: FiniteFloat = Field(default=0.0, ge=0)
    source: str = ""
