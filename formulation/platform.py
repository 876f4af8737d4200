"""The device: processors with cores, memories with capacity and residency policy, directed links."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from .errors import PlatformError, capped
from .validation import SizeInBytes


class Memory(BaseModel):
    """A memory that models share.

    Attributes
    ----------
    name : str
        By which processors, links and limits speak of it.
    capacity_bytes : int
        What models may use. Text with a unit is read too, for instance ``"512 MiB"``.
    residency : {'resident', 'token', 'shared', 'lru'}
        What happens to weights between requests: all stay resident; each separately compiled model evicts the others
        (token); a co-compiled set shares a cache; least recently used segments leave.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    capacity_bytes: SizeInBytes = Field(gt=0)
    residency: Literal["resident", "token", "shared", "lru"] = "resident"


class Processor(BaseModel):
    """Something that runs segments.

    Attributes
    ----------
    name : str
        By which configurations speak of it.
    kind : str
        Free text for people: ``cpu``, ``gpu``, ``npu``.
    cores : tuple of int
        Ids of its cores, for a CPU as the operating system numbers them. What runs one thing at a time has one.
    memory : str
        The memory it works in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str = "cpu"
    cores: tuple[int, ...]
    memory: str


class Link(BaseModel):
    """A directed way from one memory to another: ``fixed_us + bytes / bytes_per_us`` microseconds a tensor set.

    Attributes
    ----------
    source : str
        Memory that bytes leave.
    target : str
        Memory that they reach.
    fixed_us : float
        Microseconds that each transfer takes whatever its size.
    bytes_per_us : float
        Bytes moved in a microsecond.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    target: str
    fixed_us: FiniteFloat = Field(default=0.0, ge=0)
    bytes_per_us: FiniteFloat = Field(gt=0)


class Platform(BaseModel):
    """A device that several models share.

    Attributes
    ----------
    name : str
        For people; ``local`` for the machine at hand.
    processors : tuple of Processor
        What runs segments.
    memories : tuple of Memory
        What weights and tensors take.
    links : tuple of Link
        Ways between memories; between two without one nothing can be moved.
    fingerprint : str
        Digest of what costs depend on (processor model, cores, versions); empty for a platform that is only thought of.

    Raises
    ------
    PlatformError
        No processor or memory; no cores; a core that two processors claim; an unknown or repeated name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    processors: tuple[Processor, ...]
    memories: tuple[Memory, ...]
    links: tuple[Link, ...] = ()
    fingerprint: str = ""

    @model_validator(mode="after")
    def _check(self) -> Platform:
        subject = f"platform {self.name!r}"
        if not self.processors or not self.memories:
            raise PlatformError(
                subject,
                expected="at least one processor and one memory",
                got=f"{len(self.processors)} processors and {len(self.memories)} memories",
                remedy="Add them, or use `edgeplan.profiles.local_platform()`.",
            )
        _refuse_repeats(subject, "processors", [p.name for p in self.processors])
        _refuse_repeats(subject, "memories", [m.name for m in self.memories])
        for processor in self.processors:
            if not processor.cores:
                raise PlatformError(
                    f"processor {processor.name!r}",
                    expected="at least one core",
                    got="none",
                    remedy="List its core ids under `cores`.",
                )
        _refuse_repeats(subject, "cores", [core for p in self.processors for core in p.cores])
        known = {m.name for m in self.memories}
        named = [p.memory for p in self.processors] + [end for link in self.links for end in (link.source, link.target)]
        unknown = sorted(set(named) - known)
        if unknown:
            raise PlatformError(
                subject,
                expected=f"memories named {capped(sorted(known))}",
                got=capped(unknown),
                remedy="Declare these memories, or correct the names.",
            )
        return self

    @cached_property
    def processor_by_name(self) -> dict[str, Processor]:
        """Processors by name."""
        return {p.name: p for p in self.processors}

    @cached_property
    def _link(self) -> dict[tuple[str, str], Link]:
        return {(link.source, link.target): link for link in self.links}

    def transfer_us(self, source: str, target: str, n_bytes: float) -> float:
        """Microseconds to move `n_bytes` from processor `source` to processor `target`; 0 within one memory.

        Raises
        ------
        PlatformError
            No link joins the two memories.
        """
        a, b = self.processor_by_name[source].memory, self.processor_by_name[target].memory
        if a == b:
            return 0.0
        link = self._link.get((a, b))
        if link is None:
            raise PlatformError(
                f"platform {self.name!r}",
                expected=f"a link from memory {a!r} to memory {b!r}",
                got="none",
                remedy="Add the link, or keep the model on one side.",
            )
        return link.fixed_us + n_bytes / link.bytes_per_us


def _refuse_repeats(subject: str, kind: str, names: Sequence[object]) -> None:
    repeats = sorted({str(name) for name in names if names.count(name) > 1})
    if repeats:
        raise PlatformError(f"{kind} of {subject}", expected="each once", got=capped(repeats), remedy="Rename them.")
