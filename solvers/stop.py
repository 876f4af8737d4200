"""When a solver stops: tiny criteria that it asks now and then."""

from __future__ import annotations

from threading import Event
from typing import Protocol

from ..formulation.compile_time import search_s
from .progress import UNHEARD, Reporter


class Stop(Protocol):
    """Asked between steps of a search. It also carries who is told how far the search has come."""

    def __call__(self) -> bool:
        """Whether to stop now."""
        ...

    @property
    def remaining_s(self) -> float:
        """Seconds left, 0 when over."""
        ...

    @property
    def reporter(self) -> Reporter:
        """Whom a solver tells what it has found."""
        ...


class TimeLimit:
    """Stops `limit_s` seconds after it was made.

    Parameters
    ----------
    limit_s : float
        Wall-clock seconds, without those in which loops are compiled: that comes once after an installation.
    reporter : Reporter, optional
    """

    def __init__(self, limit_s: float, reporter: Reporter = UNHEARD) -> None:
        self.reporter = reporter
        self._end_s = search_s() + limit_s

    def __call__(self) -> bool:
        return search_s() >= self._end_s

    @property
    def remaining_s(self) -> float:
        """Seconds left, 0 when over."""
        return max(0.0, self._end_s - search_s())


class Cancellation:
    """Stops when an event is set, or when another criterion says so.

    Parameters
    ----------
    event : threading.Event
        Set by whoever no longer wants the answer.
    otherwise : Stop
    """

    def __init__(self, event: Event, otherwise: Stop) -> None:
        self._event = event
        self._otherwise = otherwise

    def __call__(self) -> bool:
        return self._event.is_set() or self._otherwise()

    @property
    def remaining_s(self) -> float:
        """Seconds left, 0 when over."""
        return 0.0 if self._event.is_set() else self._otherwise.remaining_s

    @property
    def reporter(self) -> Reporter:
        """That of the other criterion."""
        return self._otherwise.reporter


class Share:
    """Stops after a share of the time that another criterion has left.

    Nobody is told what is found meanwhile: a part of a search may answer another question than the whole.

    Parameters
    ----------
    whole : Stop
    share : float
        In (0, 1].
    """

    def __init__(self, whole: Stop, share: float) -> None:
        self._whole = whole
        self.reporter = UNHEARD
        self._part = TimeLimit(whole.remaining_s * share)

    def __call__(self) -> bool:
        return self._part() or self._whole()

    @property
    def remaining_s(self) -> float:
        """Seconds left, 0 when over."""
        return min(self._part.remaining_s, self._whole.remaining_s)
