"""The requests that a simulation plays: times and tenants."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrivals import arrival_times
from ...errors import WorkloadError, capped
from ...files import readable
from ...workload import Arrival, Trace

MOST_REQUESTS = 100_000_000
"""More are not drawn: a simulation keeps about 80 bytes of each."""


@dataclass(frozen=True, eq=False)
class Requests:
    """Requests in order of arrival.

    Attributes
    ----------
    time_us : ndarray, shape (requests,)
        Ascending.
    tenant : ndarray of int, shape (requests,)
        Index of each request's tenant.

    Raises
    ------
    WorkloadError
        Times that run backwards or are not finite, or lengths that differ.
    """

    time_us: NDArray[np.float64]
    tenant: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.time_us.shape != self.tenant.shape or self.time_us.ndim != 1:
            _refuse("as many tenants as times", f"{self.tenant.shape} and {self.time_us.shape}")
        if not np.all(np.isfinite(self.time_us)):
            _refuse("finite times", f"{self.time_us[~np.isfinite(self.time_us)][0]}")
        back = np.flatnonzero(np.diff(self.time_us) < 0)
        if len(back):
            _refuse("times that never run backwards", f"a step back at entry {int(back[0]) + 1}", "Sort the requests.")

    def __len__(self) -> int:
        return len(self.time_us)

    @classmethod
    def poisson(cls, rate_hz: ArrayLike, count: int, seed: int = 0) -> Requests:
        """`count` requests of independent Poisson streams, rates shape (tenants,) in requests a second."""
        rate = np.asarray(rate_hz, dtype=np.float64)
        rng = np.random.default_rng(seed)
        time_us = np.cumsum(rng.exponential(1e6 / rate.sum(), count))
        shares = np.cumsum(rate) / rate.sum()
        tenant = np.searchsorted(shares[:-1], rng.random(count), side="right")
        return cls(time_us, tenant.astype(np.int64))

    @classmethod
    def from_arrivals(cls, arrivals: Sequence[Arrival], duration_us: float, seed: int = 0) -> Requests:
        """What arrives within `duration_us`; each stream draws from its own child of the seed.

        Raises
        ------
        WorkloadError
            More than `MOST_REQUESTS` are to be expected.
        """
        expected = sum(len(a.times_us) if isinstance(a, Trace) else a.rate_hz * duration_us / 1e6 for a in arrivals)
        if not expected <= MOST_REQUESTS:
            remedy = "Simulate a shorter time, or lower the rates."
            _refuse(f"at most {MOST_REQUESTS:,}", f"about {expected:.3g} in {duration_us / 1e6:g} s", remedy)
        times = [arrival_times(a, duration_us, np.random.default_rng([seed, k])) for k, a in enumerate(arrivals)]
        tenant = np.repeat(np.arange(len(times)), [len(t) for t in times])
        together = np.concatenate(times) if times else np.empty(0)
        order = np.argsort(together, kind="stable")
        return cls(together[order], tenant[order].astype(np.int64))

    @classmethod
    def from_csv(cls, path: str | Path, tenants: Sequence[str]) -> Requests:
        """Read a trace with the columns `time_s` and `model`, a header first; other columns are left alone.

        Parameters
        ----------
        path : str or Path
        tenants : sequence of str
            Names that the column `model` may hold; the index in here is the request's tenant.

        Raises
        ------
        WorkloadError
            It cannot be read, lacks a column, is empty, names an unknown model, or its times are no numbers or run
            backwards; the line is named.
        """
        subject = f"trace {path}"
        index = {name: i for i, name in enumerate(tenants)}
        times: list[float] = []
        which: list[int] = []
        for line, row in _rows(path, subject):
            where = f"{subject}, line {line}"
            try:
                time_s = float(row["time_s"])
            except (TypeError, ValueError):
                time_s = math.nan
            if not math.isfinite(time_s * 1e6):
                _refuse("a time in seconds", repr(row["time_s"]), "Correct this line.", where)
            if times and time_s < times[-1]:
                _refuse("times that never run backwards", f"{time_s} after {times[-1]}", "Sort the trace.", where)
            if row["model"] not in index:
                remedy = "Name the models as the scenario does."
                _refuse(f"one of {capped(tenants)}", repr(row["model"]), remedy, where)
            times.append(time_s)
            which.append(index[row["model"]])
        if not times:
            _refuse("at least one request", "none", "Record the trace again.", subject)
        return cls(np.array(times) * 1e6, np.array(which, dtype=np.int64))


def _rows(path: str | Path, subject: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a trace with the numbers of their lines."""
    try:
        with readable(subject, WorkloadError), Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or ()
            if {"time_s", "model"} - set(names):
                remedy = "Name the columns in the first line."
                _refuse("the columns time_s and model", capped(names) or "no header", remedy, subject)
            for row in reader:
                yield reader.line_num, row
    except csv.Error as error:
        raise WorkloadError(
            subject, expected="comma-separated values", got=str(error), remedy="Record the trace again."
        ) from error


def _refuse(expected: str, got: str, remedy: str = "Correct the requests.", subject: str = "requests") -> None:
    raise WorkloadError(subject, expected=expected, got=got, remedy=remedy)
