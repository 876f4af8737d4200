"""The emulated accelerator's parameter memory: which weights are there, and which a request has to bring in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...formulation.tenancy import Allocation, Demands, Residency, TenancyProblem


@dataclass(frozen=True)
class ResidentPart:
    """Weights of one prefix as the memory sees them.

    Attributes
    ----------
    key : hashable
        Equal for prefixes whose weights are the same ones: same tenant, partition point and bytes.
    group : hashable
        What the part is compiled with; parts of one group do not evict each other under co-compiled residency.
    resident_bytes : int
    """

    key: Hashable
    group: Hashable
    resident_bytes: int


class ParameterMemory(Protocol):
    """What is resident."""

    def bring_in(self, part: ResidentPart) -> bool:
        """Make a part resident; whether it was not there before, so that it has to be reloaded."""
        ...


class TokenMemory:
    """Holds one part. Every other part clears it."""

    def __init__(self) -> None:
        self._key: Hashable = None

    def bring_in(self, part: ResidentPart) -> bool:
        """See `ParameterMemory.bring_in`."""
        missing = self._key != part.key
        self._key = part.key
        return missing


class CoCompiledMemory:
    """Holds parts of one set. A part of another set clears them all; its companions come with their own requests."""

    def __init__(self) -> None:
        self._group: Hashable = None
        self._loaded: set[Hashable] = set()

    def bring_in(self, part: ResidentPart) -> bool:
        """See `ParameterMemory.bring_in`."""
        if self._group != part.group:
            self._group = part.group
            self._loaded.clear()
        missing = part.key not in self._loaded
        self._loaded.add(part.key)
        return missing


class LruMemory:
    """Holds parts while there is room; those used longest ago leave first.

    Parameters
    ----------
    capacity_bytes : int
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._room = capacity_bytes
        self._held: OrderedDict[Hashable, int] = OrderedDict()

    def bring_in(self, part: ResidentPart) -> bool:
        """See `ParameterMemory.bring_in`."""
        if part.key in self._held:
            self._held.move_to_end(part.key)
            return False
        while self._held and self._room < part.resident_bytes:
            _, freed = self._held.popitem(last=False)
            self._room += freed
        self._held[part.key] = part.resident_bytes
        self._room -= part.resident_bytes
        return True


def parameter_memory(residency: Residency, capacity_bytes: int) -> ParameterMemory:
    """An empty memory with a residency policy."""
    if residency.kind == "token":
        return TokenMemory()
    if residency.kind == "co_compiled":
        return CoCompiledMemory()
    return LruMemory(capacity_bytes)


def resident_parts(problem: TenancyProblem, allocation: Allocation, asked: Demands) -> Sequence[ResidentPart | None]:
    """The part of each tenant, shape (tenants,); None where it does not visit the accelerator.

    An exchange of the allocation leaves in place what is the same in both: a set of co-compiled models is the same
    where its members, their partition points and their shares are.
    """
    keys = [
        (planned.tenant, planned.point, int(held))
        for planned, held in zip(allocation.tenants, asked.resident_bytes, strict=True)
    ]
    sets = asked.residency_set.tolist()
    parts: list[ResidentPart | None] = []
    for i, key in enumerate(keys):
        if not asked.on_accelerator[i]:
            parts.append(None)
            continue
        members = tuple(keys[j] for j in range(len(keys)) if sets[j] == sets[i])
        parts.append(ResidentPart(key, members, int(asked.resident_bytes[i])))
    return parts
