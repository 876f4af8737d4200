"""What a service remembers across restarts, told by those who serve without waiting or failing for the disk."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from .folder import StateFolder
from .memory import StateMemory
from .records import STATUSES, PlanRow, Setup, StateError, Status, StoredDecision, StoredPlan
from .texts import Document, as_json, clean
from .writer import Writer

MIN_BYTES = 2**20
_log = logging.getLogger(__name__)


class StateStore:
    """Plans, what they were planned for, and decisions, kept across restarts. Use it as a context manager.

    What has been told is on the disk when `begin` and `mark` return, and soon after `decide`; the process may be killed
    at any moment. Where the disk is full or fails, all goes on in memory, `trouble` says so, and it is written
    when there is room again; what a process that ends before that has not written is forgotten, so that the next one
    may find an older plan good. A file that is damaged is set aside and a new one begun.

    Safe for several threads at once.

    Parameters
    ----------
    folder : str or Path
        Made if missing. One process at a time may use it.
    max_bytes : int
        For the database with its journal; at least 1 MiB. What is oldest is dropped first, but never the plan that is
        good, the good one before it, or one that is starting.
    on_trouble : callable, optional
        Told in words of each trouble as it begins: on the store's thread, and for what is found while the store is
        opened, before the constructor returns.
    longest_retry_s : float
        Between two attempts to write what could not be written.

    Raises
    ------
    StateError
        The folder cannot be made or written, another process uses it, or a newer version wrote it.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        max_bytes: int = 64 * 2**20,
        on_trouble: Callable[[str], None] | None = None,
        longest_retry_s: float = 60.0,
    ) -> None:
        if max_bytes < MIN_BYTES:
            raise StateError("max_bytes", expected=f"at least {MIN_BYTES}", got=str(max_bytes), remedy="Allow more.")
        self._changed = threading.Condition()
        self._memory = StateMemory(max_bytes)
        self._closed = False
        held = StateFolder(Path(folder))
        try:
            self._writer = Writer(self._memory, self._changed, held, max_bytes, on_trouble, longest_retry_s)
        except BaseException:
            held.release()
            raise

    def __enter__(self) -> StateStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def trouble(self) -> str | None:
        """What keeps the state from being written, in words."""
        with self._changed:
            found = [self._writer.trouble] if self._writer.trouble else []
            if large := self._memory.too_large:
                found.append(f"too large to be kept beyond this process: plan {', '.join(map(str, large))}")
            return "; ".join(found) or None

    @property
    def dropped_decisions(self) -> int:
        """Decisions that were never written because too many waited."""
        return self._memory.dropped_decisions

    def begin(
        self, setup: Setup, plan: str, origin: str, reason: str = "", predicted: Mapping[str, Any] | None = None
    ) -> int:
        """A plan is about to be tried: call it before its sessions are opened. The plan that is good stays so.

        Parameters
        ----------
        setup : Setup
        plan : str
            JSON.
        origin : str
            ``start``, ``drift``, ``request``, ``change``, ``rollback``, …
        reason : str
            In words.
        predicted : mapping, optional
            Small; what is not JSON is stored as text.

        Returns
        -------
        int
            Id for `mark`. Ids grow.
        """
        documents = [Document.of(text) for text in (setup.scenario, setup.profile, plan)]
        with self._changed:
            number = self._memory.begin(setup.base_key, documents, origin, reason, predicted or {})
            ticket = self._writer.ask()
        self._writer.wait(ticket)
        return number

    def mark(self, plan: int, status: Status, reason: str = "") -> None:
        """Say what has become of a plan. Where one turns ``good``, the good one before it retires in the same instant.

        A plan that was good and is marked ``rolled_back`` or ``failed`` leaves none good: mark the one that serves
        again ``good``, or begin it anew. Until then `last_good` is the newest that retired.

        Raises
        ------
        StateError
            No plan has had this id, or there is no such status.
        """
        if status not in STATUSES or status == "starting":
            raise StateError(
                f"status of plan {plan}",
                expected=f"one of {', '.join(STATUSES[1:])}",
                got=repr(status),
                remedy="Begin a plan anew to start it again.",
            )
        with self._changed:
            if not self._memory.has_given(plan):
                raise StateError(
                    f"plan {plan}",
                    expected="an id that `begin` returned",
                    got="another",
                    remedy="Begin the plan first.",
                )
            self._memory.mark(plan, status, reason)
            ticket = self._writer.ask()
        self._writer.wait(ticket)

    def last_good(self, base_key: str) -> StoredPlan | None:
        """The plan to start from: the one that is good, else the newest that retired.

        Passed over are plans that were rolled back since, that have failed twice since they last were good (ended the
        process while they started, for example), and that the disk does not give back as they were.
        """
        with self._changed:
            rows = list(self._memory.history.good(clean(base_key)))
        return next((stored for row in rows if (stored := self._stored(row)) is not None), None)

    def plan(self, number: int) -> StoredPlan | None:
        """A plan with its documents; None where it has been dropped."""
        with self._changed:
            row = self._memory.history.rows.get(number)
        return None if row is None else self._stored(row)

    def plans(self, limit: int, before: int | None = None) -> list[PlanRow]:
        """Plans with ids below `before`, the newest first, without their documents."""
        with self._changed:
            rows = list(self._memory.history.rows.values())
        return [row for row in reversed(rows) if before is None or row.id < before][: max(0, limit)]

    def decide(self, decision: Mapping[str, Any], *, kind: str = "plan") -> None:
        """Add a decision, a fault or a change. Returns at once, whatever the disk does.

        Parameters
        ----------
        decision : mapping
            What is not JSON is stored as text, and what is longer than 64 KiB cut.
        kind : str
            ``plan``, ``fault``, ``change``, …
        """
        body = as_json(decision, self._memory.longest_json)
        with self._changed:
            if not self._closed:
                self._memory.decide(kind, body)
                self._changed.notify_all()

    def decisions(self, limit: int, before: int | None = None) -> list[StoredDecision]:
        """Decisions with ids below `before`, the newest first. Reads the disk: not for an event loop."""
        limit = max(0, limit)
        with self._changed:
            found = self._memory.waiting(limit, before)
        if len(found) < limit:
            first = found[-1].id if found else before
            found += self._writer.read(lambda database: database.decisions(limit - len(found), first)) or []
        return found

    def close(self) -> None:
        """Write what waits, where the disk lets it, and let the folder go. Plans still starting are ``stopped``."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._memory.stop()
        self._writer.close()

    def _stored(self, row: PlanRow) -> StoredPlan | None:
        texts = [self._text(digest) for digest in row.content]
        if any(text is None for text in texts):
            _log.warning("Plan %d is not what it was when it was written, and is left out.", row.id)
            return None
        scenario, profile, plan = (cast(str, text) for text in texts)
        return StoredPlan(row, Setup(row.base_key, scenario, profile), plan)

    def _text(self, digest: str) -> str | None:
        with self._changed:
            body = self._memory.document(digest)
        if body is None:
            body = self._writer.read(lambda database: database.document(digest))
        return None if body is None else Document(digest, body).text()
