"""Which plan served well last: the rows of all plans and the rules between them, without any disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from .records import PlanRow, Status

MAX_PLANS = 1000
MAX_FAILURES = 2
"""A plan that served well and then failed this often in a row is passed over. Once may have been the plug."""
_ROW_BYTES = 512
_MOST_STARTING = 2


class PlanHistory:
    """Rows of plans by id.

    Parameters
    ----------
    rows : iterable of PlanRow
    """

    def __init__(self, rows: Iterable[PlanRow] = ()) -> None:
        self.rows: dict[int, PlanRow] = {row.id: row for row in sorted(rows, key=lambda row: row.id)}

    def mark(self, plan: int, status: Status, reason: str, at_s: float) -> list[PlanRow]:
        """Give a row a status. Returns all rows that changed by that: where one turns good, the one before retires."""
        row = self.rows.get(plan)
        if row is None:
            return []
        changed = [replace(row, status=status, status_reason=reason, changed_at_s=at_s)]
        if status == "good":
            changed += [
                replace(other, status="retired", status_reason=f"plan {plan} is good", changed_at_s=at_s)
                for other in self.rows.values()
                if other.status == "good" and other.id != plan
            ]
        self.rows.update((row.id, row) for row in changed)
        return changed

    def mark_starting(self, status: Status, reason: str, at_s: float) -> list[PlanRow]:
        """Give all rows that are still starting another status. Returns them."""
        starting = [row.id for row in self.rows.values() if row.status == "starting"]
        return [changed for plan in starting for changed in self.mark(plan, status, reason, at_s)]

    def good(self, base_key: str | None = None) -> Iterator[PlanRow]:
        """Rows to start from, best first: the good one, then those retired, the newest first.

        A plan is passed over that was rolled back after that attempt, or failed `MAX_FAILURES` times.
        """
        failed: Counter[tuple[str, str, str]] = Counter()
        rolled_back: set[tuple[str, str, str]] = set()
        good, retired = [], []
        for row in reversed(self.rows.values()):
            if row.status == "failed":
                failed[row.content] += 1
            elif row.status == "rolled_back":
                rolled_back.add(row.content)
            elif failed[row.content] >= MAX_FAILURES or row.content in rolled_back:
                continue
            elif row.status == "good":
                good.append(row)
            elif row.status == "retired":
                retired.append(row)
        yield from (row for row in (*good, *retired) if base_key in (None, row.base_key))

    def protected(self) -> set[int]:
        """Ids that are never dropped: the good plan, another good one to go back to, and what is starting."""
        starting = [row.id for row in self.rows.values() if row.status == "starting"][-_MOST_STARTING:]
        kept = [row for row in self.rows.values() if row.status == "good"]
        for row in self.good():
            if not kept or (kept[0].base_key == row.base_key and kept[0].content != row.content):
                kept.append(row)
            if len(kept) == 2:
                break
        return {*starting, *(row.id for row in kept)}

    def bytes_of(self, document_bytes: Mapping[str, int]) -> int:
        """Room that rows and documents take, generously counted; documents missing in the mapping are free."""
        documents = {digest for row in self.rows.values() for digest in row.content}
        texts = sum(len(row.reason) + len(row.status_reason) + len(str(row.predicted)) for row in self.rows.values())
        return len(self.rows) * _ROW_BYTES + texts + sum(document_bytes.get(digest, 0) for digest in documents)

    def drop_excess(self, document_bytes: Mapping[str, int], max_bytes: int) -> list[int]:
        """Drop the oldest rows that are not protected until the rest has room. Returns their ids."""
        kept = self.protected()
        oldest = [plan for plan in self.rows if plan not in kept]
        dropped: list[int] = []
        while oldest and (len(self.rows) > MAX_PLANS or self.bytes_of(document_bytes) > max_bytes):
            dropped.append(oldest.pop(0))
            del self.rows[dropped[-1]]
        return dropped
