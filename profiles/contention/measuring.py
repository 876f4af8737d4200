"""Measures a co-run in rounds: each member alone, then all side by side, so that what drifts cancels in the ratio."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat, PositiveFloat

from ..foreign_load import ForeignLoad

CROWDED_WINDOWS = 3
"""Windows that a co-run takes where threads outnumber cores: a thread that found a core to itself keeps it for a while,
and shares are fair only in the mean of many moves. Rounds of a quarter of a second gave the same thread slowdowns of
1.0 and 2.0 in turn."""


@dataclass(frozen=True)
class Placement:
    """A contender with the cores it gets.

    Attributes
    ----------
    contender : int
        A model under a configuration, as the stage numbers them.
    cores : tuple of int
        Ids, as many as it has threads: its own while it runs alone, and in company where all fit.
    """

    contender: int
    cores: tuple[int, ...]


class Company(Protocol):
    """Members that were made ready to run."""

    def rates_hz(self, members: Sequence[int], window_s: float, floating: bool) -> Sequence[float]:
        """Runs a second of the members with these positions, side by side.

        Parameters
        ----------
        members : sequence of int
        window_s : float
        floating : bool
            Whether calling threads may use every core, instead of their own.
        """
        ...


class Stage(Protocol):
    """Where co-runs are measured: the live backends, or something that behaves like them."""

    def open(self, placements: Sequence[Placement]) -> AbstractContextManager[Company]:
        """Make members ready, warm."""
        ...


class MeasuredCoRun(BaseModel):
    """What one co-run showed.

    Attributes
    ----------
    members : tuple of int
        Activities that ran, as positions.
    crowded : bool
        Whether threads outnumbered the cores and shared them in slices of time.
    alone_hz : tuple of tuple of float
        Runs a second alone, by round and member.
    together_hz : tuple of tuple of float
        Runs a second side by side, by round and member.
    foreign_share : float
        Share of the machine that other processes took meanwhile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: tuple[int, ...]
    crowded: bool
    alone_hz: tuple[tuple[PositiveFloat, ...], ...]
    together_hz: tuple[tuple[PositiveFloat, ...], ...]
    foreign_share: FiniteFloat = 0.0

    @property
    def log_slowdown(self) -> NDArray[np.float64]:
        """Logarithm of time beside the others over time alone, shape (members,).

        The median of the rounds; where cores are shared out in slices, by the mean throughput of the rounds: a thread
        that stays alone on its core for a while in one round makes up for what it loses in another.
        """
        relative_hz = np.array(self.together_hz) / np.array(self.alone_hz)
        return -np.log(relative_hz.mean(axis=0)) if self.crowded else np.median(-np.log(relative_hz), axis=0)

    @property
    def noise(self) -> NDArray[np.float64]:
        """Standard error of `log_slowdown`, shape (members,); NaN after a single round."""
        relative_hz = np.array(self.together_hz) / np.array(self.alone_hz)
        rounds = len(relative_hz)
        if rounds < 2:
            return np.full(len(self.members), np.nan)
        return np.std(relative_hz, axis=0, ddof=1) / relative_hz.mean(axis=0) / np.sqrt(rounds)


def place(contenders: Sequence[int], threads: Sequence[int], cores: Sequence[int]) -> tuple[Placement, ...]:
    """Give contenders cores of their own, in their order; where there are too few, each gets the first."""
    fits = sum(threads) <= len(cores)
    placements, taken = [], 0
    for contender, count in zip(contenders, threads, strict=True):
        placements.append(Placement(contender, tuple(cores[taken : taken + count])))
        taken += count if fits else 0
    return tuple(placements)


def measure_co_run(
    members: Sequence[int],
    contenders: Sequence[int],
    threads: Sequence[int],
    cores: Sequence[int],
    stage: Stage,
    *,
    window_s: float,
    rounds: int,
) -> MeasuredCoRun:
    """Measure one co-run.

    A round runs every member alone, on its cores, for half a window, and all of them side by side for a window; every
    second round the other way round. Where threads outnumber cores nothing is pinned in company, the operating system
    shares the cores out, and the window is longer.

    Parameters
    ----------
    members : sequence of int
        Indices of activities, as the result names them.
    contenders : sequence of int
        The same as the stage numbers them.
    threads : sequence of int
        Of each member.
    cores : sequence of int
        Ids of the processor's cores.
    stage : Stage
    window_s : float
    rounds : int
    """
    crowded = sum(threads) > len(cores)
    company_s = window_s * (CROWDED_WINDOWS if crowded else 1)
    everyone = list(range(len(members)))
    alone_hz: list[list[float]] = []
    together_hz: list[list[float]] = []
    load = ForeignLoad()
    with stage.open(place(contenders, threads, cores)) as company:
        for turn in range(rounds):
            for together in (False, True) if turn % 2 == 0 else (True, False):
                if together:
                    together_hz.append(list(company.rates_hz(everyone, company_s, crowded)))
                else:
                    alone_hz.append([company.rates_hz([k], window_s / 2, False)[0] for k in everyone])
    return MeasuredCoRun(
        members=tuple(members),
        crowded=crowded,
        alone_hz=tuple(map(tuple, alone_hz)),
        together_hz=tuple(map(tuple, together_hz)),
        foreign_share=load.share(),
    )
