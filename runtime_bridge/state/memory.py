"""What a state is in memory, the truth while the process lives, and what of it is not yet on the disk."""

from __future__ import annotations

import itertools
import json
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .changes import Change, Waiting
from .database import Database
from .history import PlanHistory
from .records import PlanRow, Status, StoredDecision
from .texts import Document, as_json, clean

_DECISIONS_AT_ONCE = 32
_PAGE_BYTES = 4096


class StateMemory:
    """Rows of all plans, documents that are needed again, decisions that wait. Not safe for several threads at once.

    Parameters
    ----------
    max_bytes : int
        Bound of the database: a quarter is for plans, and none of them may take more than a sixteenth.

    Attributes
    ----------
    dropped_decisions : int
        Decisions that were dropped because too many waited for the disk.
    longest_json : int
        Characters that a decision or a prediction may have.
    """

    def __init__(self, max_bytes: int) -> None:
        self.history = PlanHistory()
        self.dropped_decisions = 0
        self._max_bytes = max_bytes
        self.longest_json = min(2**16, max_bytes // 256)
        self._next_plan = 1
        self._next_decision = 1
        self._documents: dict[str, bytes] = {}  # compressed
        self._document_bytes: dict[str, int] = {}
        self._unsaved: dict[int, PlanRow] = {}
        self._never_saved: set[int] = set()
        self._too_large: set[int] = set()
        self._gone: set[int] = set()
        self._waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0

    @property
    def empty(self) -> bool:
        """Whether nothing has happened yet."""
        return self._next_plan == self._next_decision == 1

    @property
    def too_large(self) -> list[int]:
        """Plans in use that are kept in memory only, for they would take more than their share of the bound."""
        rows = self.history.rows
        return sorted(plan for plan in self._too_large if rows[plan].status in ("starting", "good"))

    def load(self, database: Database) -> None:
        """Begin with what earlier processes left. What they left starting has failed: perhaps it ended them."""
        history = PlanHistory(database.plans())
        document_bytes = {digest: _room(n) for digest, n in database.document_bytes().items()}
        digests = {digest for plan in history.protected() for digest in history.rows[plan].content}
        documents = {digest: database.document(digest) for digest in digests}
        self.history, self._document_bytes = history, document_bytes
        self._documents = {digest: body for digest, body in documents.items() if body is not None}
        self._next_plan = max(self.history.rows, default=0) + 1
        self._next_decision = database.last_decision + 1
        died = self.history.mark_starting("failed", "the process ended while it was starting", time.time())
        self._unsaved.update((row.id, row) for row in died)
        self._tidy()

    def reconcile(self, database: Database) -> None:
        """Find out what is missing in a database that was opened again or anew."""
        saved = {row.id: row for row in database.plans()}
        present = self._documents.keys() | database.document_bytes().keys()
        for row in list(self.history.rows.values()):
            if row.id in self._too_large or saved.get(row.id) == row:
                continue
            if row.id not in saved:
                self._never_saved.add(row.id)
            if present.issuperset(row.content):
                self._unsaved[row.id] = row
            else:
                self._forget(row.id)
                del self.history.rows[row.id]
        self._gone = saved.keys() - self.history.rows.keys()

    def begin(
        self, base_key: str, documents: Sequence[Document], origin: str, reason: str, predicted: Mapping[str, Any]
    ) -> int:
        """Add a plan; the documents are scenario, profile and plan. Returns its id."""
        plan, now = self._next_plan, time.time()
        self._next_plan += 1
        scenario, profile, planned = (document.sha256 for document in documents)
        prediction = json.loads(as_json(predicted, self.longest_json))
        row = PlanRow(
            plan, clean(base_key), scenario, profile, planned, clean(origin), clean(reason), prediction, now, now
        )
        self.history.rows[plan] = row
        self._never_saved.add(plan)
        self._documents.update((document.sha256, document.body) for document in documents)
        if sum(_room(len(document.body)) for document in documents) > self._max_bytes // 16:
            self._too_large.add(plan)
        else:
            self._document_bytes.update((document.sha256, _room(len(document.body))) for document in documents)
            self._unsaved[plan] = row
        self._tidy()
        return plan

    def mark(self, plan: int, status: Status, reason: str) -> None:
        """Give a plan a status; nothing happens where it has been dropped since."""
        self._changed(self.history.mark(plan, status, clean(reason), time.time()))

    def stop(self) -> None:
        """The process ends in order: what is starting is no longer."""
        reason = "the process was stopped before it was found good"
        self._changed(self.history.mark_starting("stopped", reason, time.time()))

    def decide(self, kind: str, body: str) -> None:
        """Add a decision; where too much waits, the oldest is dropped."""
        decision = Waiting(self._next_decision, time.time(), clean(kind), body)
        self._next_decision += 1
        self._waiting.append(decision)
        self._waiting_bytes += decision.n_bytes
        while self._waiting_bytes > min(2**22, self._max_bytes // 16):
            self._waiting_bytes -= self._waiting.popleft().n_bytes
            self.dropped_decisions += 1

    def has_given(self, plan: int) -> bool:
        """Whether a plan has or had that id."""
        return 0 < plan < self._next_plan

    def document(self, digest: str) -> bytes | None:
        """A document, where it is in memory."""
        return self._documents.get(digest)

    def waiting(self, limit: int, before: int | None) -> list[StoredDecision]:
        """Decisions that wait, the newest first."""
        found = (d.stored for d in reversed(self._waiting) if before is None or d.id < before)
        return list(itertools.islice(found, limit))

    @property
    def pending(self) -> bool:
        """Whether something is to be written."""
        return bool(self._unsaved or self._gone or self._waiting)

    def change(self) -> Change:
        """What is to be written next; nothing where all is written."""
        rows = tuple(row for _, row in sorted(self._unsaved.items()))
        documents = {d: self._documents[d] for row in rows for d in row.content if d in self._documents}
        decisions = tuple(itertools.islice(self._waiting, _DECISIONS_AT_ONCE))
        return Change(frozenset(self._gone), rows, documents, decisions)

    def written(self, change: Change) -> None:
        """Take note that a change is on the disk."""
        self._gone -= change.gone
        for row in change.rows:
            if self._unsaved.get(row.id) is row:
                del self._unsaved[row.id]
            if row.id in self.history.rows:
                self._never_saved.discard(row.id)
            else:
                self._gone.add(row.id)  # dropped while it was being written
        while self._waiting and change.decisions and self._waiting[0].id <= change.decisions[-1].id:
            self._waiting_bytes -= self._waiting.popleft().n_bytes
        if change.rows:
            self._tidy()

    def _changed(self, rows: Iterable[PlanRow]) -> None:
        self._unsaved.update((row.id, row) for row in rows if row.id not in self._too_large)
        self._tidy()

    def _tidy(self) -> None:
        """Drop the plans that have no room, and from memory the documents that the disk has or nobody needs."""
        rows, protected = self.history.rows, self.history.protected()
        for plan in self._too_large - protected:
            del rows[plan]
            self._forget(plan)
        for plan in self.history.drop_excess(self._document_bytes, self._max_bytes // 4):
            self._forget(plan)
        digests = {digest for plan in self._unsaved.keys() | protected for digest in rows[plan].content}
        self._documents = {digest: body for digest, body in self._documents.items() if digest in digests}
        used = {digest for row in rows.values() for digest in row.content}
        self._document_bytes = {digest: n for digest, n in self._document_bytes.items() if digest in used}

    def _forget(self, plan: int) -> None:
        self._unsaved.pop(plan, None)
        self._too_large.discard(plan)
        if plan in self._never_saved:
            self._never_saved.discard(plan)
        else:
            self._gone.add(plan)


def _room(n_bytes: int) -> int:
    """What a document takes in the file: it fills pages of its own."""
    return (n_bytes // _PAGE_BYTES + 2) * _PAGE_BYTES
