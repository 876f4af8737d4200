"""What is on its way to the disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from .records import PlanRow, StoredDecision

DECISION_BYTES = 64
"""What a decision takes beside its text, generously."""


@dataclass(frozen=True)
class Waiting:
    """A decision on its way to the disk: `body` is its JSON."""

    id: int
    at_s: float
    kind: str
    body: str

    @property
    def stored(self) -> StoredDecision:
        """As it is read back."""
        return StoredDecision(self.id, self.at_s, self.kind, json.loads(self.body))

    @property
    def n_bytes(self) -> int:
        """Room it takes, generously."""
        return len(self.body) + len(self.kind) + DECISION_BYTES


@dataclass(frozen=True)
class Change:
    """What is to be written: plans dropped, plans new or changed with the documents they need, decisions."""

    gone: frozenset[int] = frozenset()
    rows: tuple[PlanRow, ...] = ()
    documents: Mapping[str, bytes] = field(default_factory=dict)
    decisions: tuple[Waiting, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.gone or self.rows or self.decisions)
