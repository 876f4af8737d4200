"""Measurements of candidates: counted, averaged, and written to a journal as they are made."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...formulation import ProfileError

SCHEMA_VERSION = 1

_Z_95 = 1.96
"""Standard normal quantile of a two-sided 95 % interval."""


@dataclass
class Record:
    """All measurements of one candidate: latency in microseconds, memory in bytes."""

    genome: tuple[int, ...]
    values: list[tuple[float, float]] = field(default_factory=list)

    @property
    def repeats(self) -> int:
        """How often it was measured."""
        return len(self.values)

    @property
    def means(self) -> tuple[float, float]:
        """Mean latency and mean memory."""
        latency_us, memory_bytes = np.mean(self.values, axis=0)
        return float(latency_us), float(memory_bytes)


class Measurements:
    """What was measured, and the journal that holds it.

    A search that is run again asks for the same measurements in the same order. The k-th request for a candidate is
    answered by the k-th line that the journal has for it, and only where there is none by the device.

    Parameters
    ----------
    measure : callable
    genes : ndarray of int
    budget, seed : int
    journal : Path or None

    Raises
    ------
    ProfileError
        The journal belongs to another search, or is damaged before its last line.
    """

    def __init__(
        self,
        measure: Callable[[tuple[int, ...]], tuple[float, float]],
        genes: NDArray[np.int64],
        budget: int,
        seed: int,
        journal: Path | None,
    ) -> None:
        self._measure, self._journal = measure, journal
        self.genes, self.budget = genes, budget
        self.by_genome: dict[tuple[int, ...], Record] = {}
        self.spent = self.resumed = 0
        self._stored: dict[tuple[int, ...], list[tuple[float, float]]] = {}
        header = {"schema": SCHEMA_VERSION, "options": genes.tolist(), "seed": seed}
        if journal is not None:
            if journal.exists() and journal.stat().st_size:
                self._read(journal, header)
            else:
                self._append(header)

    def measure(self, genome: tuple[int, ...]) -> None:
        """Measure a candidate once more, or take the measurement from the journal; nothing beyond the budget.

        Raises
        ------
        ProfileError
            The device gave figures that are not finite numbers of 0 or more.
        """
        if self.spent >= self.budget:
            return
        record = self.by_genome.setdefault(genome, Record(genome))
        stored = self._stored.get(genome, [])
        if record.repeats < len(stored):
            value = stored[record.repeats]
            self.resumed += 1
        else:
            value = _checked(genome, self._measure(genome))
            if self._journal is not None:
                self._append({"genome": list(genome), "latency_us": value[0], "memory_bytes": value[1]})
        record.values.append(value)
        self.spent += 1

    def table(self, records: Sequence[Record]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means and half widths of the 95 % intervals of some candidates, each shape (m, 2)."""
        means = np.array([record.means for record in records]).reshape(-1, 2)
        repeats = np.array([record.repeats for record in records], dtype=np.float64).reshape(-1, 1)
        return means, _Z_95 * self.relative_deviation() * means / np.sqrt(repeats)

    def relative_deviation(self) -> NDArray[np.float64]:
        """Relative standard deviation of latency and of memory, pooled over what was measured twice or more."""
        squares, freedom = np.zeros(2), 0
        for record in self.by_genome.values():
            if record.repeats > 1:
                values = np.array(record.values)
                scale = np.maximum(values.mean(axis=0), 1e-300)
                squares += np.sum(((values - values.mean(axis=0)) / scale) ** 2, axis=0)
                freedom += record.repeats - 1
        return np.sqrt(squares / max(freedom, 1))

    def contenders(self) -> list[Record]:
        """Candidates that none is known to dominate, in the order in which they were first measured."""
        records = list(self.by_genome.values())
        means, widths = self.table(records)
        low, high = means - widths, means + widths
        kept = []
        for k, record in enumerate(records):
            surely_no_worse = np.all(high <= low[k], axis=1)
            if not np.any(surely_no_worse & np.any(means < means[k], axis=1)):
                kept.append(record)
        return kept

    def _read(self, journal: Path, header: dict[str, Any]) -> None:
        content = journal.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            # The last line was cut off as it was written; what comes next must begin a line of its own.
            with journal.open("r+b") as file:
                file.truncate(len(whole))
        lines = list(_parsed(journal, whole))
        if not lines:
            self._append(header)
            return
        if lines[0] != header:
            raise ProfileError(
                f"journal {journal}",
                expected=f"one of a search with {header}",
                got=f"{lines[0]}",
                remedy="Use the same options and seed, or another file.",
            )
        for number, line in enumerate(lines[1:], start=2):
            try:
                genome = tuple(int(g) for g in line["genome"])
                value = _checked(genome, (line["latency_us"], line["memory_bytes"]))
            except (KeyError, TypeError, ValueError) as error:
                raise _damaged(journal, number) from error
            self._stored.setdefault(genome, []).append(value)

    def _append(self, line: dict[str, Any]) -> None:
        assert self._journal is not None
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _parsed(journal: Path, content: bytes) -> Iterable[Any]:
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise _damaged(journal, number) from error


def _damaged(journal: Path, number: int) -> ProfileError:
    return ProfileError(
        f"journal {journal}, line {number}",
        expected="a measurement",
        got="something else",
        remedy="Remove the damaged line, or begin a new journal.",
    )


def _checked(genome: tuple[int, ...], value: tuple[float, float]) -> tuple[float, float]:
    latency_us, memory_bytes = float(value[0]), float(value[1])
    if not (np.isfinite([latency_us, memory_bytes]).all() and latency_us >= 0 and memory_bytes >= 0):
        raise ProfileError(
            f"measurement of {genome}",
            expected="finite latency and memory of 0 or more",
            got=f"{latency_us}, {memory_bytes}",
            remedy="Check the function that measures.",
        )
    return latency_us, memory_bytes
