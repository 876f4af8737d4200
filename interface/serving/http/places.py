"""The places that connections take, and who makes room for others."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

DRAIN_TIMEOUT_S = 30.0
"""For requests that are being served when a server stops."""


class Client(Protocol):
    """A connection.

    Attributes
    ----------
    due_s : float
        When its client must have done what is waited for, on the monotonic clock.
    """

    due_s: float

    def overdue(self, now_s: float) -> None:
        """What was waited for did not come in time."""

    def make_room(self) -> None:
        """Be closed for others' sake."""


@dataclass(frozen=True)
class ConnectionLimits:
    """What a client may take.

    Attributes
    ----------
    max_connections : int
        Open at once.
    header_s, body_s, read_s : float
        From the first byte of a request to the end of its header; from there to the end of its body; for a client to
        read what was written.
    idle_s : float
        Between two requests.
    max_header_bytes : int
        Request line and header.
    max_body_bytes : int
        Longest body; with what its transfer adds, twice that is read.
    """

    max_connections: int = 1024
    header_s: float = 10.0
    body_s: float = 30.0
    read_s: float = 30.0
    idle_s: float = 15.0
    max_header_bytes: int = 64 * 2**10
    max_body_bytes: int = 64 * 2**20


class Connections:
    """All connections of a server, and in their order those that wait for their client.

    Where room is needed, those go first that never had an answer.

    Parameters
    ----------
    limits : ConnectionLimits
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.open: set[Client] = set()
        self._strangers: OrderedDict[Client, None] = OrderedDict()
        self._known: OrderedDict[Client, None] = OrderedDict()

    def make_room(self) -> bool:
        """Where there are too many, close the one that has waited longest. False where none waits."""
        if len(self.open) < self.limits.max_connections:
            return True
        waiting = self._strangers or self._known
        if not waiting:
            return False
        oldest, _ = waiting.popitem(last=False)
        oldest.make_room()
        return True

    def wait(self, connection: Client, known: bool) -> None:
        """It waits for its client from now on."""
        self.leave(connection)
        (self._known if known else self._strangers)[connection] = None

    def leave(self, connection: Client) -> None:
        """It does not wait any more."""
        self._strangers.pop(connection, None)
        self._known.pop(connection, None)

    def close_late(self, now_s: float) -> None:
        """Close those whose time is over."""
        for connection in [c for c in self.open if c.due_s < now_s]:
            connection.overdue(now_s)
