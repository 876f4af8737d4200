"""What came of holding a plan against a lock, as a table and as plain data."""

from __future__ import annotations

from typing import Any

from .lock import Verification, shortened
from .table import Cell, Table


def verification_table(verification: Verification) -> Table:
    """What came out otherwise than it is locked."""
    tone = "bad" if verification.failed else ""
    return Table(
        "Against the lock",
        ("what", "locked", "here"),
        tuple(
            (Cell(found.what, "strong"), shortened(found.locked), Cell(shortened(found.here), tone))
            for found in verification.mismatches
        ),
        note="Keep both plan files: `edgeplan diff` shows what they do otherwise.",
    )


def verification_items(verification: Verification) -> list[Table | str]:
    """The table, where there is something to show, and what it comes to."""
    found = [] if verification.same else [verification_table(verification)]
    return [*found, verification.sentence]


def verification_data(verification: Verification) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "same": verification.same,
        "failed": verification.failed,
        "reproducible": verification.lock.reproducible,
        "reason": verification.lock.reason,
        "plan": {"locked": verification.lock.outcome.plan, "here": verification.plan},
        "mismatches": [
            {"what": found.what, "locked": found.locked, "here": found.here} for found in verification.mismatches
        ],
        "message": verification.sentence,
    }
